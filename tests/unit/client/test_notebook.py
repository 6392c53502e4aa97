"""Cells of a notebook that are executed again."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import gateway

pytestmark = pytest.mark.usefixtures("own_process")


class Shell:
    """What IPython shows of a cell: the number of its execution, and the request with the cell's id."""

    def __init__(self, cell_id: str) -> None:
        self.execution_count = 0
        self._cell_id = cell_id

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self._cell_id} if self._cell_id else {}}

    def execute(self, code: str) -> dict[str, Any]:
        """Execute a cell as ipykernel does: under a file name that holds a digest of its text."""
        self.execution_count += 1
        names: dict[str, Any] = {"gateway": gateway}
        exec(compile(code, f"/tmp/ipykernel_17/{abs(hash(code))}.py", "exec"), names)
        return names


@pytest.mark.parametrize(
    ("cell_id", "second", "is_ended"),
    [
        ("", "run = gateway.start_run('first')", True),
        ("", "run = gateway.start_run('edited')", False),  # the text is all that is known of the cell
        ("c1", "run = gateway.start_run('edited')", True),
    ],
)
def test_a_cell_that_is_executed_again_ends_the_run_that_it_left_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cell_id: str, second: str, is_ended: bool
) -> None:
    shell = Shell(cell_id)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    other = shell.execute("run = gateway.start_run('other')")["run"] if not cell_id else None
    run = shell.execute("run = gateway.start_run('first')")["run"]
    capsys.readouterr()
    again = shell.execute(second)["run"]

    assert (run.is_finished, again.is_finished, other is not None and other.is_finished) == (is_ended, False, False)
    said = capsys.readouterr().err
    assert said.count("run first is finished, because the cell") == is_ended
    assert "still open" not in said  # the next run is already starting


def test_a_cell_may_start_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell("c1")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    runs = shell.execute("runs = [gateway.start_run() for _ in range(2)]")["runs"]

    assert not any(run.is_finished for run in runs)
