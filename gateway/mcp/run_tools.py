"""
Tools about one run: what it is, why it failed, whether everything arrived; waiting for it; its tags and its note.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway import read
from gateway.client.errors import ClientError
from gateway.client.query import post, run_path
from gateway.mcp import waiting
from gateway.mcp.budget import Cursor, Found, answer, plain
from gateway.mcp.conditions import read_condition
from gateway.mcp.links import run_page
from gateway.mcp.tools import TOKENS
from gateway.read.asking import document, known

if TYPE_CHECKING:
    from gateway.client.query import Api

LAST_LINES, MAX_LINES = 50, 1_000  # of the console
MAX_NAMED = 50  # series


class RunTools:
    """
    Tools about a run that is known by its id.

    What gives the offset of an answer is read first: all else is as new or newer, so nothing is missed from there on.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def get_run(self, run: str, cursor: str | None = None, max_tokens: int = TOKENS) -> dict[str, Any]:
        """A run: its facts, and rows of parameters, tags and the last value of each metric. Times are UTC."""
        begin = Cursor.read(cursor)
        index = read.index(run, api=self._api)
        log = self._log(run)
        rows = [["param", name, value] for name, value in log["parameters"].items()]
        rows += [["tag", name, value] for name, value in log["tags"].items()]
        rows += [
            ["metric", row["series"], {name: row[name] for name in ("last", "last_step", "count")}] for row in index
        ]
        return self._answer(log, ["kind", "name", "value"], rows, begin, max_tokens, index.as_of)

    def why_failed(
        self, run: str, lines: int = LAST_LINES, cursor: str | None = None, max_tokens: int = TOKENS
    ) -> dict[str, Any]:
        """
        Why a run failed: its message, its attempts, its last console lines, its last metrics, the first NaN.

        Rows: kind (attempt, console, metric), name, value; the newest console lines last.
        """
        begin = Cursor.read(cursor)
        if not 1 <= lines <= MAX_LINES:
            raise ClientError(f"lines is a number from 1 to {MAX_LINES:,}, not {lines}")
        index = read.index(run, api=self._api)
        log = self._log(run)
        console = read.console(run, before="end", limit=lines, api=self._api)
        rows: list[list[Any]] = [["attempt", step, one] for step, one in _attempts(log["steps"])]
        rows += [["console", row["stream"], row["line"]] for row in console]
        for row in index:
            last = {name: row[name] for name in ("last", "last_step", "non_finite") if row[name] != 0 or name == "last"}
            rows.append(["metric", row["series"], last])
        broken = [row["series"] for row in index if row["non_finite"]]
        facts = {"series_with_nan_or_infinity": broken[:MAX_NAMED]}
        cuts = [f"console lines before the last {len(console)}: raise lines"] if console.previous_page_token else []
        if not console.exact:
            cuts.append("long console lines are cut")
        if len(broken) > MAX_NAMED:
            cuts.append(f"series_with_nan_or_infinity has the first {MAX_NAMED} of {len(broken):,}")
        names = ["kind", "name", "value"]
        return self._answer(log, names, rows, begin, max_tokens, index.as_of, facts, cuts)

    def completeness(self, run: str, cursor: str | None = None, max_tokens: int = TOKENS) -> dict[str, Any]:
        """
        Whether everything that was recorded has arrived: `complete`, and what is missing by producer.

        A producer is one process. `expected` is null until it has closed: until then more may come.
        """
        begin = Cursor.read(cursor)
        offset = self._offset(run)
        log = self._log(run)
        names = ["producer", "received", "expected", "missing", "refused_duplicates", "dropped_points"]
        rows = [[one[name] for name in names] for one in log["completeness"]]
        is_complete = bool(rows) and all(
            one["expected"] == one["received"] and not one["missing"] and not one["dropped_points"]
            for one in log["completeness"]
        )
        facts = {"complete": is_complete, "points_dropped_by_retention": log["points_dropped"]}
        return self._answer(log, names, rows, begin, max_tokens, offset, facts)

    def wait_for(
        self, run: str, condition: str, since_offset: str | None = None, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """
        Wait until a condition holds: ended, failed, event, `loss < 0.3`, `step(loss) >= 1000`, `loss is nan`.

        It listens to the event stream, so call it instead of asking again and again. If it does not hold within
        timeout_s (at most 300), `met` is false: call again with since_offset set to the `offset` of this answer, and
        nothing in between is missed. Names with spaces or operators stand in backticks.
        """
        waited = waiting.wait_for(run, read_condition(condition), since_offset, timeout_s, self._api)
        return {
            "met": waited.met, "condition": condition, "why": waited.why, "found": plain(waited.found), "exact": True,
            "count": int(waited.met), "cursor": None, "cut": "", "offset": waited.offset,
            "link": run_page(self._api, run),
        }  # fmt: skip

    def _log(self, run: str) -> dict[str, Any]:
        return document(self._api, run, "log", max_points=1, max_series=1)

    def _offset(self, run: str) -> str:
        as_of = document(self._api, run, "series", buckets=1, limit=1)["as_of"]
        return f"{as_of['partition']}:{as_of['offset']}"

    def _answer(
        self,
        log: Mapping[str, Any],
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        begin: Cursor,
        max_tokens: int,
        offset: str,
        more: Mapping[str, Any] | None = None,
        cuts: Sequence[str] = (),
    ) -> dict[str, Any]:
        names = (
            "run_id",
            "name",
            "state",
            "message",
            "experiment",
            "start_time",
            "end_time",
            "lifecycle_stage",
            "note",
        )
        facts = {name: log[name] for name in names} | dict(more or {})
        truncated = [part for part in log["truncated"] if part != "series"]
        parts = [f"the run log has only a part of {', '.join(truncated)}"] if truncated else []
        cut = "; ".join([*parts, *cuts])
        link = run_page(self._api, str(log["run_id"]))
        found = Found(columns, rows, not parts, offset, link, len(rows), cut=cut, facts=facts)
        return answer(found, begin, max_tokens)


class WriteTools:
    """Tools that change a run; only with `gateway mcp --write`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def set_tags(self, run: str, tags: dict[str, str | None]) -> dict[str, Any]:
        """Set tags of a run; null removes one. The change is an event in the log, and every tracker gets it."""
        return self._edit(run, {"tags": tags})

    def set_note(self, run: str, note: str) -> dict[str, Any]:
        """Set the note of a run, which replaces the one it has. The change is an event in the log."""
        return self._edit(run, {"note": note})

    def _edit(self, run: str, change: Mapping[str, Any]) -> dict[str, Any]:
        with known():
            done = post(self._api, run_path(run, "edits"), change, headers={"Idempotency-Key": str(uuid.uuid4())})
        return {"done": True, "exact": True, "count": 1, "offset": done["as_of"], "link": run_page(self._api, run)}


def _attempts(steps: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every attempt of a run log with the name of its step."""
    for name, step in steps.items():
        for one in step["attempts"]:
            kept = ("attempt_number", "status", "message", "start_time", "end_time")
            yield name, {field: one[field] for field in kept}
        for branch in step.get("branches", {}).values():
            yield from _attempts(branch["steps"])
