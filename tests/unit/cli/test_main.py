"""The command line: quick to start, commands of other distributions, errors in one line."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import __main__, main
from schemas.errors import StackError

run = CliRunner().invoke


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(main, "_entry_points", lambda: list(points))


def hello(name: str, loud: bool = False) -> None:
    """Greet."""
    typer.echo(f"hello {name.upper() if loud else name}")


def refuse() -> None:
    """Fail with a known error."""
    raise StackError("no cheese: buy some")


def interrupt() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def point(name: str, target: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{target}", main.GROUP)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points load by module name; this file has one whatever the import mode."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[hello.__module__])


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    program = (
        "import sys; from gateway.cli.main import main\n"
        "sys.argv = ['gateway', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'pydantic_settings', 'psutil', 'aiokafka', 'asyncpg', 'httpx', 'mlflow'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert all(f" {name} " in shown for name in ("up", "down", "status", "logs", "doctor", "runs", "demo", "verify"))
    assert shown.splitlines()[-1] == "[]"
    assert "Deliver history to a tracker" in shown
    assert "Show the state of each tracker" in shown
    assert "From tracking-gateway" not in shown


def test_a_command_of_an_entry_point_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("hello", "hello"))
    result = run(main.app, ["hello", "--loud", "you"])

    assert (result.exit_code, result.stdout) == (0, "hello YOU\n")


def test_a_command_of_an_entry_point_has_its_own_help(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("hello", "hello"))
    result = run(main.app, ["hello", "--help"])

    assert result.exit_code == 0
    assert "--loud" in result.stdout


def test_a_command_that_cannot_be_loaded_names_itself_and_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("broken", "no_such_module_at_all:command", main.GROUP))
    listed = run(main.app, ["--help"])
    result = run(main.app, ["broken"])

    assert listed.exit_code == 0
    assert result.exit_code == 2
    assert "broken (no_such_module_at_all:command)" in result.stderr
    assert "No module named" in result.stderr


def test_a_known_error_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("refuse", "refuse"))
    result = run(main.app, ["refuse"])

    assert (result.exit_code, result.stderr) == (2, "gateway: no cheese: buy some\n")


def test_an_interrupt_is_one_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("interrupt", "interrupt"))
    result = run(main.app, ["interrupt"])

    assert (result.exit_code, result.stderr.strip()) == (130, "gateway: interrupted")


async def _cancelled() -> None:
    asyncio.gather(asyncio.sleep(60))
    await asyncio.sleep(0)
    raise KeyboardInterrupt


def leave_work() -> None:
    """Be interrupted with work that is not awaited."""
    asyncio.run(_cancelled())


def test_work_that_an_interrupt_cancels_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, point("work", "leave_work"))
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [])
    result = run(main.app, ["work"])
    gc.collect()

    assert (result.exit_code, result.stderr.strip()) == (130, "gateway: interrupted")
    assert caplog.records == []


class Interrupted:
    """A finder of modules that is interrupted while it looks for the command line."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "gateway.cli.main":
            raise KeyboardInterrupt


def test_an_interrupt_while_the_command_loads_is_one_as_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130


def test_an_unknown_setting_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFAK", "broker:9092")
    result = run(main.app, ["status", "--home", str(home)])

    assert result.exit_code == 2
    assert "GATEWAY_KAFAK" in result.stderr
    assert result.stderr.count("\n") == 1
