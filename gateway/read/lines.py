"""
Console lines and observations of a run, page by page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.read.asking import WAIT_S, Freshness, Progress, document
from gateway.read.curves import offsets_text
from gateway.read.table import Table

if TYPE_CHECKING:
    from gateway.client.query import Api

PAGE_LINES = 1_000
LINE_COLUMNS = ("at", "stream", "time", "line")


def console(  # noqa: PLR0913 -- keywords of a question
    run: str,
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
) -> Table:
    """
    Return console lines of a run, oldest first: rows at (a position), stream, time (µs), line.

    `search` is text that a line contains, `regex` a pattern. `from_time` begins at a time, `around` at the lines about
    one (µs); `after` and `before` continue at a position. `next_page_token` of the table goes into `after`.
    """
    asked = {
        "search": search, "regex": regex, "stream": stream, "from_time": from_time, "around": around,
        "before": before, "after": after, **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    return _paged(api, run, "console", "lines", asked, limit, LINE_COLUMNS)


def observations(
    run: str, name: str | None = None, search: str | None = None, *, after: str | None = None, limit: int = 1_000,
    min_offsets: str | None = None, timeout_s: float = WAIT_S, api: Api | None = None,
) -> Table:  # fmt: skip
    """Return values of a run that are not plain numbers, as they were recorded: text, tables, JSON, histograms."""
    asked = {"name": name, "search": search, "after": after, **Freshness(min_offsets, timeout_s).asked}
    return _paged(api, run, "observations", "observations", asked, limit, None)


def _paged(
    api: Api | None, run: str, route: str, field: str, asked: dict[str, Any], limit: int, names: tuple[str, ...] | None
) -> Table:
    rows: list[dict[str, Any]] = []
    as_of = ""
    with Progress(route) as bar:
        while True:
            page = document(api, run, route, **asked, limit=min(PAGE_LINES, limit - len(rows)))
            rows += page[field]
            as_of, token = as_of or offsets_text(page.get("as_of")), page["next_token"]
            bar.move(len(rows), "lines")
            if token is None or len(rows) >= limit or asked.get("before") or asked.get("around") is not None:
                break
            asked = {**asked, "after": token, "from_time": None}
    found = names or (list(rows[0]) if rows else ("at", "name", "step", "time", "value"))
    cut = "" if token is None else "more follow: pass next_page_token as `after`, or raise `limit`"
    columns = {name: [row.get(name) for row in rows] for name in found}
    return Table(columns, exact=not cut, count=len(rows), as_of=as_of, cut=cut, next_page_token=token)
