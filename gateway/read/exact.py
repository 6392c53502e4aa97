"""
Every point of runs, from one snapshot, as it was recorded.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gateway.client.query import find_api, open_bytes
from gateway.read.asking import WAIT_S, Freshness, Progress, Runs, known, run_ids
from gateway.read.table import Table
from schemas.columns import NON_FINITE

if TYPE_CHECKING:
    from gateway.client.query import Api, ApiBytes

READ_BYTES = 256 * 1024
MAX_RUNS = 100  # in one address
MOVE_EVERY = 10_000  # rows
LONGEST_CELL = 2**31 - 1  # characters: no name that the API has is refused


def points(
    runs: Runs,
    names: str | Sequence[str] | None = None,
    *,
    superseded: bool = False,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
    progress: bool = True,
    api: Api | None = None,
) -> Table:
    """
    Return every point of series of runs: rows run_id, series, attempt, step, time (µs), value, in the order of the log.

    Of steps that a later attempt repeated only its points are there; with `superseded` those that it replaced, too, and
    a column that says which they are. A series that a run lacks has no points. 10 million points take 500 MB and about
    20 s; `gateway runs export --parquet` writes them to a file instead. Raises RunNotFound and PointsDropped.
    """
    ids = run_ids(runs)
    asked = {"name": [names] if isinstance(names, str) else names, "superseded": superseded or None}
    found_ids, found_names, attempts = list[str](), list[str](), array("q")
    steps, times, values, replaced = array("q"), array("q"), array("d"), list[bool]()
    as_of = ""
    with Progress("points", is_shown=progress) as bar:
        for first in range(0, len(ids), MAX_RUNS):
            some, fresh = ids[first : first + MAX_RUNS], Freshness(min_offsets, timeout_s).asked
            with known(), open_bytes(api or find_api(), "/v1/export/points", 0, run_id=some, **asked, **fresh) as data:
                as_of = as_of or data.header("X-Folded")
                for run_id, series, attempt, step, time, value, *rest in rows_of(data):
                    found_ids.append(run_id)
                    found_names.append(series)
                    attempts.append(int(attempt))
                    steps.append(int(step))
                    times.append(int(time))
                    values.append(NON_FINITE[value] if value in NON_FINITE else float(value))
                    replaced += [one == "true" for one in rest]
                    if not len(steps) % MOVE_EVERY:
                        bar.move(len(steps), "points")
    columns: dict[str, Sequence[object]] = {
        "run_id": found_ids, "series": found_names, "attempt": attempts, "step": steps, "time": times, "value": values,
    }  # fmt: skip
    return Table({**columns, "superseded": replaced} if superseded else columns, as_of=as_of)


def rows_of(data: ApiBytes) -> Iterator[tuple[str, ...]]:
    """Yield the rows of an export as CSV, without its first line. Ids and names repeat as the same object."""
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(io.BufferedReader(_Raw(data), READ_BYTES), encoding="utf-8", newline="")
    lines = csv.reader(text)
    next(lines, None)
    texts: dict[str, str] = {}
    for run_id, series, *rest in lines:
        if series not in texts or run_id not in texts:  # the text of each, once: a run has millions of rows
            texts = {run_id: run_id.removeprefix("'"), series: series.removeprefix("'")}
        yield texts[run_id], texts[series], *rest


class _Raw(io.RawIOBase):
    def __init__(self, data: ApiBytes) -> None:
        self._data = data

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, into: Any) -> int:
        """Fill the buffer."""
        some = self._data.read(len(into))
        into[: len(some)] = some
        return len(some)
