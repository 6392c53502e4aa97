"""
What a chart asks the query API: its runs, its series, a part of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway import read
from gateway.notebook.curves import MOST_SERIES, columns_of, facts_of
from gateway.notebook.frames import encode
from gateway.read.asking import WAIT_S, Freshness, pages, question
from gateway.read.curves import match_of

if TYPE_CHECKING:
    from gateway.client.query import Api

MOST_ROWS = 50_000  # of all series together, before corners of buckets: 5 MB at most
FEWEST_BUCKETS, MOST_BUCKETS = 100, 1_000
AXES = ("step", "time", "relative")


class Question(NamedTuple):
    """The series that a chart shows."""

    runs: Sequence[str]
    names: Sequence[str] | None = None
    regex: str | None = None
    prefix: str | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The series, as routes take them."""
        match = match_of(self.regex, self.prefix)
        given = {"runs": list(self.runs), "names": None if self.names is None else list(self.names), "match": match}
        return {name: value for name, value in given.items() if value is not None}


def read_curves(
    asked: Question, api: Api, min_offsets: str | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """
    Return the head of a frame, the series with the offsets of their answers, and the offsets that all of them have.

    The answers include everything below `min_offsets`, for which the API waits.

    Raises RunNotFound, ApiUnavailable and ApiRefused.
    """
    fresh = Freshness(min_offsets, WAIT_S).asked
    runs = _runs(asked, api, fresh)
    series: list[dict[str, Any]] = []
    total, as_of = 0, ""
    for page in pages(api, "/v1/series", {**_asking(asked, api), **fresh}, what="series"):
        series += [{**one, "as_of": page["as_of"]} for one in page["series"]]
        total, as_of = page["total"], as_of or page["as_of"]
        if len(series) >= MOST_SERIES:
            break
    more = total - MOST_SERIES
    cut = f"{more:,} more series are not shown: choose with names, regex or prefix" if more > 0 else ""
    return {"runs": runs, "cut": cut}, series[:MOST_SERIES], as_of


def read_window(asked: Question, window: Mapping[str, Any], api: Api) -> bytes:
    """Return the frame of a part of the series, exact where it has at most four points a bucket. Raises as above."""
    series: list[dict[str, Any]] = []
    for page in pages(api, "/v1/series", {**_asking(asked, api), "range": dict(window)}, what="series"):
        series += page["series"]
        if len(series) >= MOST_SERIES:
            break
    head = {"kind": "window", "window": dict(window)}
    return encode(head, [(facts_of(one), columns_of(one["columns"])) for one in series[:MOST_SERIES]])


def window_of(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the range that a page asks for; None if it is none."""
    axis, first, last = asked.get("axis"), asked.get("from"), asked.get("to")
    numbers = [one for one in (first, last) if isinstance(one, int) and not isinstance(one, bool)]
    return {"axis": axis, "from": first, "to": last} if axis in AXES and len(numbers) == 2 else None


def _runs(asked: Question, api: Api, fresh: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return id, name and beginning (µs) of each run, in the order that was asked for."""
    chosen = {"key": ["fact", "run_id"], "op": "in", "values": list(asked.runs)}
    columns = [["fact", "name"], ["fact", "started"], ["fact", "created"]]
    asking = {"filter": chosen, "stage": "all", "columns": columns, "limit": len(asked.runs), **fresh}
    found = question(api, "/v1/runs/table", asking)
    facts = dict(zip(found["run_ids"], zip(*found["columns"], strict=True), strict=True))
    missing = [one for one in asked.runs if one not in facts]
    if missing:
        raise read.RunNotFound(
            f"no run {missing[0]!r:.300}: a new one can be read as soon as its first event is folded"
        )
    named = [(one, *facts[one]) for one in asked.runs]
    return [{"id": one, "name": name, "began": started or created} for one, name, started, created in named]


def _asking(asked: Question, api: Api) -> dict[str, Any]:
    """Return the question about points, with as many buckets as keep the chart bounded, however many series it has."""
    if asked.names is None:
        body = {"runs": list(asked.runs), "match": asked.chosen.get("match"), "limit": MOST_SERIES}
        count = len(question(api, "/v1/series/index", body)["series"])
    else:
        count = len(asked.runs) * len(asked.names)
    buckets = max(FEWEST_BUCKETS, min(MOST_BUCKETS, MOST_ROWS // max(1, count)))
    return {**asked.chosen, "buckets": buckets, "limit": MOST_SERIES}
