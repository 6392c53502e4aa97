"""
What one delivery adds to a live W&B run.

Pure. Rows are made envelope by envelope and numbered through the whole run: the same envelopes give the same rows with
the same numbers however they are cut into calls, so a row that is uploaded twice takes its own place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from consumers.trackers.wandb import translate
from schemas.mapping.names import wandb_id
from schemas.wire import Envelope

STEP = "gw/step"
MAX_PROJECT = MAX_GROUP = 128  # characters
_PROJECT_REFUSED = re.compile(r"[/\\#?%:\x00-\x1f]")
_WORDS = {'"NaN"', '"Infinity"', '"-Infinity"'}  # text that a reader of W&B's history takes for numbers
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Upload(NamedTuple):
    """What is brought, and what is kept once it is there."""

    first_row: int  # number of the first of `rows`
    rows: Sequence[translate.Row]
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    exit_code: int | None  # None while the run goes on
    state: dict[str, Any]

    @property
    def last_row(self) -> int:
        """How many rows the run has afterwards."""
        return self.first_row + len(self.rows)

    def is_nothing(self, before: Mapping[str, Any]) -> bool:
        """Tell whether the run stays as it is, given the state kept before."""
        return not self.rows and not self.config and self.state == before


def upload(run_id: str, envelopes: Sequence[Envelope], before: Mapping[str, Any], project: str) -> Upload:
    """Return what these envelopes add to the run that `before` was kept of."""
    is_new = "id" not in before
    state = _first_state(run_id, envelopes[0], project, before.get("again", 0)) if is_new else dict(before)
    state.pop("gone", None)
    events = [envelope.event for envelope in envelopes]
    found = [row for event in events for row in translate.history([event])]
    config = {key: json.loads(text) for key, text in translate.config(events).items()}
    config |= _started(state, events)
    if is_new:
        config["gw.run_id"] = run_id
    head = translate.fold_head(translate.Head(**state["head"]), events)
    before_end = translate.End(*state["end"]) if state["end"] else None
    was_over = before_end is not None and before_end.is_over
    end = translate.fold_end(before_end, events)
    summary: dict[str, Any] = {}
    if end is not None and end.time is not None:
        facts = {"gw.status": end.status, "gw.ended_at": instant(end.time), "gw.message": end.message}
        config |= facts
        summary = {"gw/status": end.status, "gw/message": end.message}
    elif was_over or is_new:
        config["gw.status"] = "running"
    state |= {"head": head._asdict(), "end": end and list(end)}
    first = state["rows"]
    state["rows"] = first + len(found)
    return Upload(first, found, config, summary, end and end.code, state)


def logged(row: translate.Row) -> dict[str, Any]:
    """Return a row as the SDK's `log` takes it."""
    cells = {key: json.loads(f"\"'{text[1:-1]}'\"" if text in _WORDS else text) for key, text in row.cells.items()}
    return {**cells, STEP: row.step, "_timestamp": row.time / 1_000_000}


def instant(microseconds: int) -> str:
    """Return a time as text, to the microsecond."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    except OverflowError:  # after the year 9999
        return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def microseconds(text: str | None) -> int | None:
    """Return the time that `instant` wrote."""
    if text is None:
        return None
    if "T" not in text:
        return int(text.replace(".", ""))
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _first_state(run_id: str, first: Envelope, project: str, again: int) -> dict[str, Any]:
    # The first envelope alone decides the project: how many come with it differs from call to call.
    wanted = getattr(first.event, "tag", "") if first.event.kind in ("run_started", "run_created") else ""
    name = _PROJECT_REFUSED.sub("-", wanted or project)[:MAX_PROJECT]
    return {
        "id": wandb_id(run_id) + (f"-r{again}" if again else ""), "again": again, "project": name,
        "entity": "", "rows": 0, "started": 0,
        "head": translate.Head(project=name)._asdict(), "end": None,
    }  # fmt: skip


def _started(state: dict[str, Any], events: Sequence[Any]) -> dict[str, str]:
    """Return the start for the config when it gets known: the first event's time, or better that of the start."""
    if state["started"] == 2:
        return {}
    opened = next((event.time for event in events if event.kind in ("run_started", "run_created")), None)
    if opened is None and state["started"] == 1:
        return {}
    state["started"] = 1 if opened is None else 2
    return {"gw.started_at": instant(events[0].time if opened is None else opened)}
