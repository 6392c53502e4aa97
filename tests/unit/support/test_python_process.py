"""A forked Python program is started, killed, read and executed again as a new interpreter would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import python_process
from tests.support.python_process import PythonProcess

ENVIRONMENT = {"HOME": "/", "PATH": os.defpath}


def started(code: str, *arguments: str, **variables: str) -> PythonProcess:
    return PythonProcess([sys.executable, "-c", code, *arguments], env=ENVIRONMENT | variables)


def test_output_and_status_are_those_of_the_program() -> None:
    one = started("import sys; print('out', *sys.argv[1:]); print('err', file=sys.stderr); sys.exit(7)", "a", "b c")

    assert one.communicate(60) == ("out a b c\n", "err\n")
    assert (one.returncode, one.poll(), one.wait(0)) == (7, 7, 7)


def test_an_exception_is_printed_and_gives_status_1() -> None:
    one = started("1 / 0")
    out, err = one.communicate(60)

    assert (one.returncode, out, err.splitlines()[-1]) == (1, "", "ZeroDivisionError: division by zero")


def test_functions_of_atexit_run_at_the_end() -> None:
    one = started("import atexit; atexit.register(print, 'last'); print('first')")

    assert one.communicate(60) == ("first\nlast\n", "")


def test_it_has_its_own_environment_folder_and_modules(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("NAME = 'of the path'\n")
    code = "import os, mine; print(sorted(name for name in os.environ if name[0] != '_'), os.getcwd(), mine.NAME)"
    variables = {"A": "1", "PYTHONPATH": str(tmp_path)}
    one = PythonProcess([sys.executable, "-c", code], env=variables, cwd=tmp_path)

    assert one.communicate(60) == (f"['A', 'PYTHONPATH'] {tmp_path} of the path\n", "")


def test_the_path_of_the_test_that_starts_the_server_is_not_that_of_later_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_process, "_started", [])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    try:
        started("pass").communicate(60)
        one = started("import sys; print(*sys.path, sep='\\n')")

        assert str(tmp_path) not in one.communicate(60)[0].splitlines()
    finally:
        python_process.end_server()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    one = started("import time; print('ready', flush=True); time.sleep(600)")
    while one.said(0) != "ready\n":
        assert one.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.01)
    one.send_signal(number)

    assert one.wait(60) == -number


def test_it_may_execute_itself_again() -> None:
    code = "import os, sys; os.environ.pop('FIRST', '') and os.execv(sys.executable, sys.orig_argv); print(sys.argv[1])"

    assert started(code, "again", FIRST="1").communicate(60) == ("again\n", "")


def test_a_module_runs_as_the_main_program() -> None:
    one = PythonProcess([sys.executable, "-m", "json.tool", "--help"], env=ENVIRONMENT)
    out, _ = one.communicate(60)

    assert (one.returncode, out.startswith("usage: python -m json.tool")) == (0, True)
