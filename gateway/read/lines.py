"""
Console lines and observations of a run, page by page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.read.asking import WAIT_S, Freshness, OneRun, Progress, document, run_id
from gateway.read.curves import offsets_text
from gateway.read.table import Table

if TYPE_CHECKING:
    from gateway.client.query import Api

PAGE_LINES = 1_000
LINE_COLUMNS = ("at", "stream", "time", "line")
_FORWARD = ("after", "has_next", "next_token")
OBSERVATION_COLUMNS = ("at", "series", "step", "time", "type", "value")


def console(  # noqa: PLR0913 -- keywords of a question
    run: OneRun,
    search: str | None = None,
    *,
    regex: str | None = None,
    stream: str | None = None,
    from_time: int | None = None,
    around: int | None = None,
    before: str | None = None,
    after: str | None = None,
    limit: int = 1_000,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
    api: Api | None = None,
) -> LinesTable:
    """
    Return console lines of a run, oldest first: rows at (a position), stream, time (µs), line.

    `search` is text that a line contains, in any case, `regex` a regular expression of PostgreSQL. `from_time` begins
    at a time, `around` has one (µs) in the middle. `after` and `before` are tokens of other tables; `before="end"`
    gives the last lines.
    """
    asked = {
        "search": search, "regex": regex, "stream": stream, "from_time": from_time, "around": around,
        "before": before, "after": after, **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    return _paged(api, run_id(run), "console", "lines", _given(asked), limit, LINE_COLUMNS)


def observations(
    run: OneRun, name: str | None = None, search: str | None = None, *, after: str | None = None, limit: int = 1_000,
    min_offsets: str | None = None, timeout_s: float = WAIT_S, api: Api | None = None,
) -> LinesTable:  # fmt: skip
    """Return values of a run that are not plain numbers, as they were recorded: text, tables, JSON, histograms."""
    asked = {"name": name, "search": search, "after": after, **Freshness(min_offsets, timeout_s).asked}
    return _paged(api, run_id(run), "observations", "observations", _given(asked), limit, OBSERVATION_COLUMNS)


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in asked.items() if one is not None}


class LinesTable(Table):
    """Rows of a console or of observations; `previous_page_token` goes into `before`, for what comes before them."""

    previous_page_token: str | None


def _paged(
    api: Api | None, run: str, route: str, field: str, asked: dict[str, Any], limit: int, names: tuple[str, ...]
) -> LinesTable:
    rows: list[dict[str, Any]] = []
    read: list[dict[str, Any]] = []
    way, follows, token = ("before", "has_previous", "previous_token") if "before" in asked else _FORWARD
    with Progress(route) as bar:
        while True:
            page = document(api, run, route, **asked, limit=min(PAGE_LINES, limit - len(rows)))
            read.append(page)
            rows = page[field] + rows if way == "before" else rows + page[field]
            bar.move(len(rows), field)
            if not page[follows] or len(rows) >= limit or "around" in asked:
                break
            asked = {**{name: one for name, one in asked.items() if name != "from_time"}, way: page[token]}
    oldest, newest = (read[-1], read[0]) if way == "before" else (read[0], read[-1])
    previous = oldest["previous_token"] if oldest["has_previous"] else None
    cuts = [
        *(["more follow: raise the limit, or continue after next_page_token"] if newest["has_next"] else []),
        *(["others come before: raise the limit, or pass previous_page_token as `before`"] if previous else []),
        *(["long ones are cut"] if any(row["cut"] for row in rows) else []),
    ]
    table = LinesTable(
        {name: [row[name] for row in rows] for name in names}, exact=not any(row["cut"] for row in rows),
        as_of=offsets_text(read[0]["as_of"]), cut="; ".join(cuts), next_page_token=newest["next_token"],
    )  # fmt: skip
    table.previous_page_token = previous
    return table
