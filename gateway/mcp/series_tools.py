"""
Tools about series: exact points, differences of runs, the first divergence, what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from operator import itemgetter
from time import time
from typing import TYPE_CHECKING, Any

from gateway import read
from gateway.client.errors import ClientError
from gateway.mcp.budget import Cursor, Found, answer
from gateway.mcp.diagnosis import MAX_SPIKES, Finding, Points, diagnose
from gateway.mcp.links import run_page, runs_page
from gateway.mcp.tools import TOKENS
from gateway.read.asking import document
from gateway.read.curves import match_of
from schemas.columns import float_from_json
from schemas.statuses import ENDED

if TYPE_CHECKING:
    from gateway.client.query import Api

ABOUT = ("count", "in_range", "exact", "non_finite", "min", "max", "last_step", "last")
DIAGNOSED_BUCKETS = 1_000
MAX_DIAGNOSED = 500  # series of one question
MAX_READ = 1_000  # series whose points are read for one answer
MAX_NAMED = 100  # series that one run has alone


class SeriesTools:
    """Tools about series of runs that are known by their ids."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list_series(
        self, run: str, regex: str | None = None, prefix: str | None = None, cursor: str | None = None,
        max_tokens: int = TOKENS,
    ) -> dict[str, Any]:  # fmt: skip
        """Every series (metric) of a run with its number of points and its last, lowest and highest value."""
        begin = Cursor.read(cursor)
        table = read.index(run, regex=regex, prefix=prefix, api=self._api)
        names = [name for name in table.columns if name != "run_id"]
        rows = [[row[name] for name in names] for row in table]
        found = Found(names, rows, True, table.as_of, run_page(self._api, run), len(rows))
        return answer(found, begin, max_tokens)

    def series(  # noqa: PLR0913, PLR0917 -- a tool's arguments
        self,
        runs: Sequence[str],
        names: Sequence[str] | None = None,
        regex: str | None = None,
        prefix: str | None = None,
        from_x: float | None = None,
        to_x: float | None = None,
        axis: str = "step",
        buckets: int = 200,
        cursor: str | None = None,
        max_tokens: int = TOKENS,
    ) -> dict[str, Any]:
        """
        Points of series: by exact names, a regex or a prefix; from_x to to_x on axis step, time (µs) or relative (µs
        since the run began).

        A series with more points than fit shows the first, lowest, highest and last point of each of `buckets` ranges,
        at their true steps: `about` says per series `exact` (all its points are there), `count`, `in_range`, and its
        lowest, highest and last value, which are exact always. Narrow the range to see every point. NaN and infinities
        are the texts "NaN", "Infinity", "-Infinity".
        """
        begin = Cursor.read(cursor)
        limits = None if from_x is None and to_x is None else (_finite(from_x), _finite(to_x))
        if names is None:
            count = len(read.index(list(runs), regex=regex, prefix=prefix, api=self._api))
            if count > MAX_READ:
                how = "choose with names, regex or prefix; list_series has their last, lowest and highest values"
                raise ClientError(f"{count:,} series match, and one answer reads at most {MAX_READ:,}: {how}")
        table = read.series(
            list(runs), None if names is None else list(names), regex=regex, prefix=prefix, range=limits, axis=axis,
            buckets=buckets, api=self._api,
        )  # fmt: skip
        rows = [list(row.values()) for row in table]
        described = {(one["run_id"], one["series"]): {name: one.get(name) for name in ABOUT} for one in table.series}

        def about(row: Sequence[Any]) -> tuple[str, Any]:
            return f"{row[0]} {row[1]}", described[row[0], row[1]]

        link = runs_page(self._api, "/workspace", list(runs))
        found = Found(
            list(table.columns), rows, table.exact, table.as_of, link, len(rows), cut=table.cut, about=about,
            facts={"series": len(table.series), "points": table.count},
        )  # fmt: skip
        return answer(found, begin, max_tokens)

    def diff(
        self, runs: Sequence[str], changed_only: bool = True, cursor: str | None = None, max_tokens: int = TOKENS
    ) -> dict[str, Any]:
        """What differs between 2 to 20 runs: facts, parameters, tags, environment, code, last metrics, attempts."""
        begin = Cursor.read(cursor)
        table = read.diff(*runs, changed_only=changed_only, api=self._api)
        rows = [list(row.values()) for row in table]
        link = runs_page(self._api, "/compare", list(runs))
        found = Found(list(table.columns), rows, table.exact, table.as_of, link, len(rows), cut=table.cut)
        return answer(found, begin, max_tokens)

    def first_divergence(
        self,
        a: str,
        b: str,
        names: Sequence[str] | None = None,
        absolute: float = 0.0,
        relative: float = 0.0,
        cursor: str | None = None,
        max_tokens: int = TOKENS,
    ) -> dict[str, Any]:
        """
        The first step at which two runs differ, over all series or those named: `first`, and a row for each series.

        Values differ by more than the larger of absolute and relative * max(|a|, |b|). Series that only one run has
        are in `only_a` and `only_b`.
        """
        begin = Cursor.read(cursor)
        table = read.divergence(
            a, b, None if names is None else list(names), absolute=absolute, relative=relative, api=self._api
        )
        rows = [list(row.values()) for row in table]
        cuts = [table.cut] if table.cut else []
        for side, names_of_one in (("a", table.only_a), ("b", table.only_b)):
            if len(names_of_one) > MAX_NAMED:
                cuts.append(f"only_{side} has the first {MAX_NAMED} of {len(names_of_one):,} names")
        found = Found(
            list(table.columns), rows, table.exact, table.as_of, runs_page(self._api, "/compare", [a, b]), len(rows),
            cut="; ".join(cuts), facts={
                "first": table.first, "series_compared": table.compared, "only_a": table.only_a[:MAX_NAMED],
                "only_b": table.only_b[:MAX_NAMED],
            },
        )  # fmt: skip
        return answer(found, begin, max_tokens)

    def diagnose(
        self, run: str, regex: str | None = None, prefix: str | None = None, cursor: str | None = None,
        max_tokens: int = TOKENS,
    ) -> dict[str, Any]:  # fmt: skip
        """
        What is wrong with the series of a run: nan, spike, plateau, rise (after the best value), stall (no news).

        Rows: kind, series, step, value, text, evidence (the numbers that the rule compared). `exact` is false where a
        series is so long that it was judged by the first, lowest, highest and last points of buckets.
        """
        begin = Cursor.read(cursor)
        match_of(regex, prefix)
        index = read.index(run, regex=regex, prefix=prefix, api=self._api)  # first, because it gives the offset
        log = document(self._api, run, "log", max_points=1, max_series=1)
        names = [row["series"] for row in index][:MAX_DIAGNOSED]
        table = read.series(run, names, buckets=DIAGNOSED_BUCKETS, api=self._api) if names else None
        findings = []
        for one, points in by_series(table) if table is not None else ():
            some = Points(one["series"], *points, one["non_finite"], _first_mark(one))
            goal = str(one.get("goal") or "")
            usual = goal if goal in ("min", "max") else ""
            running = log["state"] not in ENDED
            findings += diagnose(some, now=int(time() * 1e6), is_running=running, goal=usual)  # type: ignore[arg-type]  # checked above
        rows = [list(one) for one in findings]
        cuts = [f"of {one:,} spikes of {name} the {MAX_SPIKES} most extreme" for name, one in _many_spikes(findings)]
        if len(index) > len(names):
            cuts.append(f"only {MAX_DIAGNOSED} of {len(index):,} series: choose with regex or prefix")
        cut = "; ".join(cuts)
        exact = table is None or table.exact
        facts = {"state": log["state"], "series": len(names), "series_judged_by_buckets": _inexact(table)}
        found = Found(
            ["kind", "series", "step", "value", "text", "evidence"], rows, exact and not cut, index.as_of,
            run_page(self._api, run), len(rows), cut=cut, facts=facts,
        )  # fmt: skip
        return answer(found, begin, max_tokens)


def _finite(limit: float | None) -> float | None:
    if limit is not None and not isfinite(limit):
        raise ClientError(f"{limit} is no end of a range: leave it out for an open one")
    return limit


def by_series(table: read.SeriesTable) -> list[tuple[dict[str, Any], tuple[list[int], list[int], list[float]]]]:
    """Return each series of a table with its steps, times and values, by step."""
    rows: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    names = ("run_id", "series", "step", "time", "value")
    for run_id, name, step, at, value in zip(*(table.columns[one] for one in names), strict=True):
        rows.setdefault((run_id, name), []).append((step, at, float_from_json(value)))
    found = []
    for one in table.series:
        points = sorted(rows.get((one["run_id"], one["series"]), []), key=itemgetter(0, 1))
        columns = ([row[0] for row in points], [row[1] for row in points], [row[2] for row in points])
        found.append((one, columns))
    return found


def _many_spikes(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    """Return the series that have more spikes than are shown, with their number."""
    counts = {one.series: one.evidence["spikes"] for one in findings if one.kind == "spike"}
    return [(name, count) for name, count in counts.items() if count > MAX_SPIKES]


def _first_mark(series: dict[str, Any]) -> int | None:
    """Return the step of the first value that is not finite, as the API marks it."""
    return min((mark["step"] for mark in series.get("marks") or ()), default=None)


def _inexact(table: read.SeriesTable | None) -> int:
    return 0 if table is None else sum(not one["exact"] for one in table.series)
