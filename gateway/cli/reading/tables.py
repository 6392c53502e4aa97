"""
Tables of `gateway.read` for people: 80 columns are enough, ids stay whole, numbers are short, curves are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.console import console, print_notice
from schemas.columns import float_to_json
from schemas.runtime.terminal import json_text
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from gateway.client.query import Api
    from gateway.read.table import Table

WIDE = 160  # where the output is no terminal
MIN_CELL = 6
BARS = "▁▂▃▄▅▆▇█"
TIMES = frozenset({"created", "started", "ended", "updated", "began", "time", "last_time"})


def print_table(table: Table, *, titles: Sequence[str] | None = None, whole: Sequence[str] = ("run_id",)) -> None:
    """Print a table; the columns `whole` are never cut, because people copy them. Then say what is missing."""
    from rich.table import Table as Shown
    from rich.text import Text

    out = console()
    out.width = out.width if out.is_terminal else WIDE
    names = list(titles or table.columns)
    shown = Shown(box=None, pad_edge=False, header_style="bold")
    for name in names:
        is_number = any(isinstance(cell, int | float) for cell in table.columns[name]) and name not in TIMES
        shown.add_column(
            mask_unprintable(name), overflow="ellipsis", no_wrap=name in whole,
            justify="right" if is_number else "left", min_width=min(MIN_CELL, len(name)),
        )  # fmt: skip
    for row in zip(*(table.columns[name] for name in names), strict=True):
        cells = [short(name, cell) for name, cell in zip(names, row, strict=True)]
        shown.add_row(*[Text(mask_unprintable(cell), no_wrap=True) for cell in cells])
    out.print(shown)
    print_missing(table)


def print_missing(table: Table) -> None:
    """Say on stderr what a table does not have, if anything."""
    if len(table) < table.count and not table.cut:
        print_notice(f"{len(table):,} of {table.count:,} are shown")
    if table.cut:
        print_notice(table.cut)


def print_unknown(
    api: Api, where: str = "", *, columns: Sequence[str] = (), order_by: str | Sequence[str] | None = None
) -> None:
    """Say on stderr which names of a filter, of columns and of an order no run has, and which are near."""
    from gateway.read.near import unknown_names

    for line in unknown_names(api, where, columns=columns, order_by=order_by):
        print_notice(line)


def document(table: Table, **more: Any) -> dict[str, Any]:
    """Return a table as the JSON of `--json`."""
    rows = [{name: _plain(cell) for name, cell in row.items()} for row in table]
    facts = {"exact": table.exact, "count": table.count, "as_of": table.as_of, "cut": table.cut}
    return {**facts, "next_page_token": table.next_page_token, **more, "rows": rows}


def short(name: str, cell: Any) -> str:
    """Return a value as it fits into a table."""
    if cell is None:
        return ""
    if name in TIMES and isinstance(cell, int):
        from gateway.cli.runs import time_text

        return time_text(cell)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if name.rpartition(".")[2] == "duration" and isinstance(cell, int):
        return duration_text(cell)
    if isinstance(cell, float):
        return f"{cell:.6g}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell if isinstance(cell, str) else json_text(cell, indent=None)


def exactly(name: str, cell: Any) -> str:
    """Return a value with all its digits, for values that `short` shows alike."""
    if name in TIMES and isinstance(cell, int):
        return f"{short(name, cell)}.{cell % 1_000_000:06}"
    if name.rpartition(".")[2] == "duration" and isinstance(cell, int):
        return f"{cell:,} µs"
    return repr(cell) if isinstance(cell, float) else short(name, cell)


def duration_text(duration_us: int) -> str:
    """Return a duration (µs) as `8.23 s` or `2h 03m 05s`."""
    seconds = duration_us / 1e6
    if abs(seconds) < 60:
        return f"{seconds:.3g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}h {minutes:02}m {seconds:02}s" if hours else f"{minutes}m {seconds:02}s"


def spark(values: Sequence[float], width: int = 16) -> str:
    """
    Return a curve as one line of `width` bars; "·" where a share of the values has none that is finite.

    Of each share the value farthest from the median of all is drawn, so that a spike or a dip shows.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "·" * min(width, len(values))
    low, high, middle = min(finite), max(finite), sorted(finite)[len(finite) // 2]
    width = min(width, len(values))
    bars = []
    for at in range(width):
        share = values[len(values) * at // width : len(values) * (at + 1) // width]
        far = max((one for one in share if math.isfinite(one)), key=lambda one: abs(one - middle), default=None)
        level = 0.0 if far is None or high == low else (far / 2 - low / 2) / (high / 2 - low / 2)  # no overflow
        bars.append("·" if far is None else BARS[min(7, int(level * 8))])
    return "".join(bars)


def _plain(cell: Any) -> Any:
    return float_to_json(cell) if isinstance(cell, float) else cell
