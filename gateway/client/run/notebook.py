"""
End the runs that an earlier execution of the same notebook cell left open.

A cell that starts a run without `with`, and is executed again, means a new run in place of the old one. A cell is known
by the id that Jupyter sends with it, so that it may be edited in between; front ends that send none, and IPython at a
terminal, know it by its text.
"""

from __future__ import annotations

import sys

from gateway.client.notices import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from gateway.client.run.run import Run

    Cell = tuple[str, int]  # the cell, and the number of its execution
FINISH_S = 5.0  # the longest that a cell waits for the end of its earlier run


def current_cell() -> Cell | None:
    """Return the cell that is being executed, None outside of IPython."""
    ipython = sys.modules.get("IPython")
    try:
        shell = None if ipython is None else ipython.get_ipython()
        return None if shell is None else (_cell_id(shell) or _file_of_cell(), int(shell.execution_count))
    except Exception:  # noqa: BLE001 -- it is another program's object; without a cell nothing is ended
        return None


def end_runs_of_this_cell(runs: Iterable[Run]) -> None:
    """Finish the runs that an earlier execution of this cell started."""
    cell = current_cell()
    if cell is None or not cell[0]:
        return
    for run in runs:
        if run.cell is not None and run.cell[0] == cell[0] and run.cell[1] != cell[1]:
            tell("cell", f"run {run.name or run.id} is finished, because the cell that started it is executed again")
            run.is_replaced = True
            run.finish(timeout_s=FINISH_S)


def _cell_id(shell: Any) -> str:
    """Return the id of the cell in the request that the kernel is executing; "" where there is none."""
    request = shell.get_parent() if hasattr(shell, "get_parent") else None  # of ipykernel; IPython alone has none
    metadata = request.get("metadata") if isinstance(request, dict) else None
    return str(metadata.get("cellId") or "") if isinstance(metadata, dict) else ""


def _file_of_cell() -> str:
    """Return the name under which IPython compiled the outermost cell: it holds a digest of the text."""
    frame, found = sys._getframe(), ""
    while frame is not None:
        name = frame.f_code.co_filename
        if "ipykernel_" in name:
            found = name
        elif name.startswith("<ipython-input-"):
            found = name.rpartition("-")[2]  # without the number of the execution
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return found
