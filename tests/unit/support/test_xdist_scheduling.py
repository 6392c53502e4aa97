"""Which tests share a process, and which ports each process has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import xdist_scheduling

ROOT = Path(__file__).parents[3]
STARTS_A_STACK = re.compile(r"from gateway\.local\.stack import|(gateway\(|COMMAND, )\"(up|demo)\"")


def test_every_file_that_starts_a_stack_is_named() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if STARTS_A_STACK.search(path.read_text(encoding="utf-8"))
    }

    assert found - {"tests/unit/support/test_xdist_scheduling.py"} == xdist_scheduling.STACKS


def test_files_that_start_stacks_stay_together_and_every_other_file_for_itself() -> None:
    stacks = {xdist_scheduling.unit_of(f"{file}::test_x[a::b]") for file in xdist_scheduling.STACKS}

    assert stacks == {"stacks"}
    assert (
        xdist_scheduling.unit_of("tests/unit/materialiser/test_fold.py::test_x[a::b]")
        == "tests/unit/materialiser/test_fold.py"
    )


@pytest.mark.parametrize(
    ("arguments", "processes"),
    [(["tests"], 3), (["tests/a.py", "tests/unit"], 3), (["tests/a.py::test_x", "tests/b.py"], 0)],
)
def test_single_files_need_no_second_process(arguments: list[str], processes: int) -> None:
    assert xdist_scheduling.processes(arguments) == processes


def test_no_two_processes_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for worker in ("", "gw0", "gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        found.append(set(xdist_scheduling.own_ports()))

    assert len(set().union(*found)) == sum(len(ports) for ports in found)
