"""
Series as tables: charts of many, groups of runs, histograms over steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from gateway.client.errors import ClientError
from gateway.query import in_experiment
from gateway.read.asking import (
    MAX_RUNS,
    WAIT_S,
    Freshness,
    OneRun,
    Runs,
    column_key,
    pages,
    question,
    run_id,
    run_ids,
    table_of,
)
from gateway.read.table import Table
from schemas.columns import float_column, float_from_json, int_column

if TYPE_CHECKING:
    from gateway.client.query import Api

STATISTICS = ("step", "count", "mean", "median", "std", "stderr", "min", "max", "ci95_low", "ci95_high")
INDEX_COLUMNS = (
    "run_id", "series", "count", "non_finite", "last_step", "last_time", "last", "min", "max",
)  # fmt: skip


INDEX_FLOATS = ("last", "min", "max")
AXES = ("step", "time", "relative")


class SeriesTable(Table):
    """Points of series, one row each. `series` has a dict for each: count, in_range, exact, min, max, last, marks."""

    series: list[dict[str, Any]]


def series(  # noqa: PLR0913 -- keywords of a question
    runs: Runs,
    names: str | Sequence[str] | None = None,
    *,
    regex: str | None = None,
    prefix: str | None = None,
    range: tuple[float | None, float | None] | None = None,
    axis: str = "step",
    buckets: int = 1_000,
    superseded: bool = False,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
    api: Api | None = None,
) -> SeriesTable:
    """
    Return the points of series as rows run_id, series, step, time (µs), value; at most about four times `buckets` each.

    Series are named as they are written (`loss`, `validate/loss{rank=3}`), or chosen by `regex` or `prefix`; without
    any there are all. `range` is (from, to), both included, None: open; `axis` says of what: step, time (µs), relative
    (µs since the run began). A series with more points than fit has the first, lowest, highest and last of each
    bucket of the range at their true steps; then it is not `exact`, and `points` has all. With `superseded` the dicts
    in `series` have what later attempts replaced under `attempts`.
    """
    ids = run_ids(runs)
    asked = {
        "names": [names] if isinstance(names, str) else None if names is None else list(names),
        "match": match_of(regex, prefix), "buckets": buckets, "superseded": superseded or None,
        "range": _range(axis, range),
        **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    as_of = ""
    for first in _firsts(len(ids)):
        for page in pages(api, "/v1/series", {**asked, "runs": ids[first : first + MAX_RUNS]}, what="series"):
            found += page["series"]
            as_of = as_of or offsets_text(page["as_of"])
    return series_table(found, as_of)


def series_table(found: Sequence[Mapping[str, Any]], as_of: str) -> SeriesTable:
    """Return series as the API answers them as one table."""
    names, ids = list[str](), list[str]()
    steps, times, values = int_column([]), int_column([]), float_column([])
    for one in found:
        columns = one["columns"]
        count = len(columns["steps"])
        ids += [one["run_id"]] * count
        names += [one["series"]] * count
        steps.extend(int_column(columns["steps"]))
        times.extend(int_column(columns["times"]))
        values.extend(float_column(columns["values"]))
    inexact = sum(not one["exact"] for one in found)
    dropped = sum(one.get("points_dropped") is not None for one in found)
    cuts = [f"{dropped} series have lost their points to `gateway retention`"] if dropped else []
    if inexact > dropped:
        what = "first, lowest, highest and last points of buckets"
        cuts.append(f"{inexact - dropped} series are {what}: narrow `range`, or read `points`")
    table = SeriesTable(
        {"run_id": ids, "series": names, "step": steps, "time": times, "value": values},
        exact=not inexact, count=sum(one["in_range"] for one in found), as_of=as_of, cut="; ".join(cuts),
    )  # fmt: skip
    table.series = [{name: value for name, value in one.items() if name != "columns"} for one in found]
    return table


def index(
    runs: Runs, *, regex: str | None = None, prefix: str | None = None, min_offsets: str | None = None,
    timeout_s: float = WAIT_S, api: Api | None = None,
) -> Table:  # fmt: skip
    """Return every series of runs without points: its count, last, lowest and highest value. Times are µs."""
    cells: dict[str, list[Any]] = {name: [] for name in INDEX_COLUMNS}
    as_of = ""
    ids = run_ids(runs)
    for first in _firsts(len(ids)):
        asked = {
            "runs": ids[first : first + MAX_RUNS],
            "match": match_of(regex, prefix),
            **Freshness(min_offsets, timeout_s).asked,
        }
        for page in pages(api, "/v1/series/index", asked, what="series"):
            for name, column in cells.items():
                column.extend(_float(one) if name in INDEX_FLOATS else one for one in page[name])
            as_of = as_of or offsets_text(page["as_of"])
    return Table(cells, as_of=as_of)


def groups(  # noqa: PLR0913 -- keywords of a question
    by: str | Sequence[str],
    names: str | Sequence[str],
    *,
    runs: Runs | None = None,
    where: str = "",
    experiment: str | None = None,
    range: tuple[float | None, float | None] | None = None,
    axis: str = "step",
    buckets: int = 1_000,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
    api: Api | None = None,
) -> Table:
    """
    Return statistics of series over groups of runs by step: `groups("params.lr", "loss", where="state = 'finished'")`.

    `by` names params, tags or facts; runs with the same values are one group. The rows have these values, the number
    of `runs`, series, step, count, mean, median, std, stderr, min, max and the 95 % band ci95_low to ci95_high.
    """
    keys = [by] if isinstance(by, str) else list(by)
    asked = {
        "runs": None if runs is None else run_ids(runs), "where": in_experiment(where, experiment) or None,
        "group_by": [column_key(one) for one in keys], "names": [names] if isinstance(names, str) else list(names),
        "buckets": buckets, "range": _range(axis, range),
        **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    answer = question(api, "/v1/series/groups", asked)
    rows: list[dict[str, Any]] = []
    for group in answer["groups"]:
        head = dict(zip(keys, group["key"], strict=True)) | {"runs": group["runs"]}
        for one in group["series"]:
            columns = [one["steps"], *(one[name] for name in STATISTICS[1:])]
            named = [dict(zip(STATISTICS, cells, strict=True)) for cells in zip(*columns, strict=True)]
            rows += [head | {"series": one["series"]} | cells for cells in named]
    why = "series are too long to be read whole: narrow `range`; or retention dropped their points"
    cut = "" if answer["exact"] else why
    return table_of(
        rows, [*keys, "runs", "series", *STATISTICS],
        exact=answer["exact"], as_of=offsets_text(answer.get("as_of")), cut=cut,
    )  # fmt: skip


def histograms(
    run: OneRun, name: str, *, steps_limit: int = 200, min_offsets: str | None = None, timeout_s: float = WAIT_S,
    api: Api | None = None,
) -> Table:  # fmt: skip
    """Return the histograms of a series over steps: rows step, time (µs), edges and counts."""
    asked = {"run_id": run_id(run), "name": name, "steps_limit": steps_limit, **Freshness(min_offsets, timeout_s).asked}
    answer = question(api, "/v1/series/histograms", asked)
    steps = answer["steps"]
    edges = answer["edges"]
    shared = bool(edges) and not isinstance(edges[0], list)  # one row of edges for all steps
    columns = {
        "step": steps, "time": answer["times"], "edges": [edges] * len(steps) if shared else edges,
        "counts": answer["counts"],
    }  # fmt: skip
    cut = "" if answer["exact"] else f"{answer['total']:,} steps are there: raise `steps_limit`"
    return Table(
        columns, exact=answer["exact"], count=answer["total"], as_of=offsets_text(answer.get("as_of")), cut=cut
    )


def match_of(regex: str | None, prefix: str | None) -> dict[str, str] | None:
    """Return how series are chosen; None: all. Raises ClientError."""
    if regex is not None and prefix is not None:
        raise ClientError("regex and prefix choose series in two ways: give one of them")
    return {"regex": regex} if regex is not None else {"prefix": prefix} if prefix is not None else None


def offsets_text(as_of: Any) -> str:
    """Return offsets as text, however a route writes them."""
    if isinstance(as_of, Mapping):
        return (
            f"{as_of['partition']}:{as_of['offset']}"
            if "partition" in as_of
            else ",".join(f"{a}:{b}" for a, b in as_of.items())
        )
    return str(as_of or "")


def _float(value: Any) -> float | None:
    return None if value is None else float_from_json(value)


def _range(axis: str, limits: tuple[float | None, float | None] | None) -> dict[str, Any] | None:
    """Return a range as the API takes it. Raises ClientError."""
    if axis not in AXES:
        raise ClientError(f"axis {axis!r:.60} is none of {', '.join(AXES)}")
    if limits is None:
        return None
    first, last = limits
    return {"axis": axis, "from": _end(first), "to": _end(last)}


def _end(limit: float | None) -> float | None:
    """Return an end of a range as JSON has it, whatever kind of number it is. Raises ClientError."""
    if limit is None:
        return None
    if not isfinite(limit):
        raise ClientError(f"{limit} is no end of a range: None stands for an open one")
    return int(limit) if limit == int(limit) else float(limit)


def _firsts(count: int) -> Sequence[int]:
    return range(0, count, MAX_RUNS)
