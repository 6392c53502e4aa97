"""
Tools that find: experiments and what their runs have, runs by a filter, alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway import read
from gateway.client.query import get
from gateway.mcp.budget import Cursor, Found, answer
from gateway.mcp.links import page
from gateway.query import in_experiment
from gateway.read.asking import column_name, known, question
from gateway.read.near import unknown_names

if TYPE_CHECKING:
    from gateway.client.query import Api

MAX_NAMES = 5_000
MAX_ALERTS = 10_000
ALERT = (
    "state", "severity", "name", "run_id", "series", "fired", "resolved", "step", "value", "message", "resolution",
    "muted", "rule_id", "version", "alert_id",
)  # fmt: skip
MAX_FOUND = 1_000  # runs read for one answer; the cursor reads on
TOKENS = 4_000


class FindTools:
    """Tools that need no run."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def probe_experiment(
        self, experiment: str | None = None, where: str = "", cursor: str | None = None, max_tokens: int = TOKENS
    ) -> dict[str, Any]:
        """
        What there is: the runs of an experiment (or all runs) by state, and every parameter, metric and tag they have.

        Begin here. Rows: column (as find_runs takes it), types, and how many runs have it. `states` counts runs.
        """
        begin = Cursor.read(cursor)
        chosen = in_experiment(where, experiment)
        states = question(self._api, "/v1/runs/values", {"key": ["fact", "state"], "where": chosen, "limit": 20})
        found = question(self._api, "/v1/runs/columns", {"where": chosen, "limit": MAX_NAMES})
        rows = [
            [column_name(one["key"]), "|".join(one["types"]), one["runs"]]
            for one in found["columns"]
            if one["key"][0] != "fact"  # those that every run has
        ]
        counts = {str(one["value"]): one["runs"] for one in states["values"]}
        facts = {"experiment": experiment, "runs": sum(counts.values()), "states": counts}
        cut = "" if found["is_complete"] else f"there are more than {MAX_NAMES:,} columns"
        return answer(
            Found(
                ["column", "types", "runs"], rows, not cut, str(found["as_of"]), page(self._api, "/", where=chosen),
                len(rows), cut=cut, facts=facts,
            ),
            begin, max_tokens,
        )  # fmt: skip

    def find_runs(
        self,
        where: str = "",
        columns: Sequence[str] = ("name", "state", "created"),
        order_by: str | None = None,
        experiment: str | None = None,
        cursor: str | None = None,
        max_tokens: int = TOKENS,
    ) -> dict[str, Any]:
        """
        Runs that match a filter: metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'failed'.

        Operators: = != < <= > >= like ilike in, is null, and, or, not, parentheses; names with other characters in
        backticks. Columns: facts (name, state, experiment, created, started, ended, message, ...), params.NAME,
        tags.NAME, metrics.NAME (last value), min(metrics.NAME), max(...), first(...), count(...). order_by:
        "metrics.loss asc". Times are µs since 1970 UTC. Newest first.
        """
        begin = Cursor.read(cursor)
        chosen = in_experiment(where, experiment)
        table = read.runs(chosen, columns=columns, order_by=order_by, limit=MAX_FOUND, offset=begin.skip, api=self._api)
        rows = [list(row.values()) for row in table]
        cut = "" if table.exact else "values longer than 1,000 characters are cut: get_run has them whole"
        unknown = [] if table.count else unknown_names(self._api, where)
        found = Found(
            list(table.columns), rows, table.exact, table.as_of, page(self._api, "/", where=chosen), table.count,
            first=begin.skip, cut=cut, facts={"unknown": unknown} if unknown else {},
        )  # fmt: skip
        return answer(found, begin, max_tokens)

    def alerts(
        self, state: str = "firing", run: str | None = None, cursor: str | None = None, max_tokens: int = TOKENS
    ) -> dict[str, Any]:
        """Alerts: what fires now (state firing), has resolved, or all; of one run or of all. Newest first."""
        begin = Cursor.read(cursor)
        some: list[dict[str, Any]] = []
        as_of, token = "", None
        while True:
            with known():
                found = get(self._api, "/v1/alerts", state=state, run_id=run, limit=1_000, page_token=token)
            some += found["alerts"]
            as_of, token = as_of or str(found["as_of"]), found["next_page_token"]
            if token is None or len(some) >= MAX_ALERTS:
                break
        rows = [[one[name] for name in ALERT] for one in some]
        cut = f"more alerts than {MAX_ALERTS:,}: name a run" if token else ""
        link = page(self._api, "/alerts", state=state)
        return answer(Found(ALERT, rows, not cut, as_of, link, len(rows), cut=cut), begin, max_tokens)
