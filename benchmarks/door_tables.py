"""The table of mlflow_door.py. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.history.figure import Figure, higher, lower
from benchmarks.table import markdown, number, ratio

HEAD = ("what", "figure", "door", "stock", "better")


class Row(NamedTuple):
    """One figure of one side."""

    what: str
    unit: str
    value: float
    is_rate: bool  # more is better


def door_table(door: Sequence[Row], stock: Sequence[Row]) -> str:
    """Return a row for each figure, with how many times the door is better; a side without the figure has none."""
    found = {side: {(row.what, row.unit): row for row in rows} for side, rows in (("door", door), ("stock", stock))}
    lines = []
    for key in dict.fromkeys([*found["door"], *found["stock"]]):
        ours, theirs = (found[side].get(key) for side in ("door", "stock"))
        better = ""
        if ours and theirs:
            better = ratio(ours.value, theirs.value) if ours.is_rate else ratio(theirs.value, ours.value)
        lines.append((*key, *("" if one is None else number(one.value) for one in (ours, theirs)), better))
    return markdown(HEAD, lines)


def door_figures(door: Sequence[Row], stock: Sequence[Row]) -> list[Figure]:
    """Return the figures of the door for the history, compared with the stock server."""
    theirs = {(row.what, row.unit): row.value for row in stock}
    figures = list[Figure]()
    for row in door:
        others = {"stock server": theirs[row.what, row.unit]} if (row.what, row.unit) in theirs else {}
        figure = higher if row.is_rate else lower
        bound = 2.5 if row.unit.startswith("p99") else 1.5
        figures.append(figure(f"{row.what}, {row.unit}", row.value, row.unit, others, bound=bound))
    return figures
