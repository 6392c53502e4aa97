"""
Translate the events of one delivery into what it adds to a live W&B run.

Pure. Rows are built event by event and numbered through the whole run: the same events give the same rows with the same
numbers however they are cut into calls, so a row that is uploaded twice takes its own place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.wandb.definitions import WandbDefinition, fold_best, fold_definitions, wandb_definitions
from consumers.trackers.wandb.translate import (
    STEP_KEY,
    HistoryRow,
    RunEnd,
    RunHeader,
    config_items,
    fold_end,
    fold_header,
    history_rows,
    to_instant,
)
from schemas.mapping.names import wandb_id
from schemas.wire import Envelope

MAX_PROJECT = MAX_GROUP = 128  # characters
_PROJECT_REFUSED = re.compile(r"[/\\#?%:\x00-\x1f]")
_NUMBER_WORDS = {'"NaN"', '"Infinity"', '"-Infinity"'}  # texts that readers of W&B's history take for numbers


class Upload(NamedTuple):
    """What a delivery adds to a run, and the state once the server has it."""

    first_row: int  # number of the first of `rows`
    rows: Sequence[HistoryRow]
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    exit_code: int | None  # None while the run continues
    state: dict[str, Any]
    definitions: Sequence[WandbDefinition] = ()  # of all metrics of the run

    @property
    def row_count(self) -> int:
        """The number of rows that the run has afterwards."""
        return self.first_row + len(self.rows)

    def is_empty(self, before: Mapping[str, Any]) -> bool:
        """Return True if nothing changes compared with the stored state."""
        return not self.rows and not self.config and self.state == before


def translate(run_id: str, envelopes: Sequence[Envelope], before: Mapping[str, Any], project: str) -> Upload:
    """Return what these events add to a run with the stored state `before`."""
    is_new = "id" not in before
    state = _first_state(run_id, envelopes[0], project, before.get("again", 0)) if is_new else dict(before)
    state.pop("gone", None)
    events = [envelope.event for envelope in envelopes]
    rows = [row for event in events for row in history_rows([event])]
    config = {key: json.loads(text) for key, text in config_items(events).items()}
    header = fold_header(RunHeader(**state["head"]), events)
    if is_new or "opening" in state:  # an earlier release did not store how the run began
        known = Opening(*state["opening"]) if "opening" in state else None
        opening = fold_opening(known, events)
        header = header._replace(name=opening.name)
        config |= {"gw.tag": opening.tag} if "gw.tag" in config else {}
        if known is None or known.shown != opening.shown:
            config["gw.started_at"] = to_instant(opening.shown)
        state["opening"] = list(opening)
    if is_new:
        config["gw.run_id"] = run_id
    end_before = RunEnd(*state["end"]) if state["end"] else None
    was_over = end_before is not None and end_before.is_over
    end = fold_end(end_before, events)
    summary: dict[str, Any] = {}
    if end is not None and end.time is not None:
        facts = {"gw.status": end.status, "gw.ended_at": to_instant(end.time), "gw.message": end.message}
        config |= facts
        summary = {"gw/status": end.status, "gw/message": end.message}
    elif was_over or is_new:
        config["gw.status"] = "running"
    summary |= _define(state, events)
    state |= {"head": header._asdict(), "end": end and list(end)}
    first = state["rows"]
    state["rows"] = first + len(rows)
    definitions = wandb_definitions(state.get("defined", {}))
    return Upload(first, rows, config, summary, end and end.exit_code, state, definitions)


def _define(state: dict[str, Any], events: Sequence[Any]) -> dict[str, Any]:
    """Add to the state what the events say of metrics, and return the best values that changed."""
    known = fold_definitions(state.get("defined", {}), events, has_rows=state["rows"] > 0)
    if not known:
        return {}
    before = state.get("best", {})
    state["defined"], state["best"] = known, fold_best(before, known, events)
    return {key: value for key, value in state["best"].items() if before.get(key) != value}


def sdk_row(row: HistoryRow) -> dict[str, Any]:
    """Return a row in the form that the SDK's `log` accepts; texts that read like numbers get quotes."""
    cells = {
        key: json.loads(f"\"'{text[1:-1]}'\"" if text in _NUMBER_WORDS else text) for key, text in row.cells.items()
    }
    return {**cells, STEP_KEY: row.step, "_timestamp": row.time / 1_000_000}


def _first_state(run_id: str, first: Envelope, project: str, again: int) -> dict[str, Any]:
    # The first event alone decides the project: how many events arrive with it differs from call to call.
    tag = getattr(first.event, "tag", "") if first.event.kind in ("run_started", "run_created") else ""
    name = _PROJECT_REFUSED.sub("-", tag or project)[:MAX_PROJECT]
    return {
        "id": wandb_id(run_id) + (f"-r{again}" if again else ""), "again": again, "project": name,
        "entity": "", "rows": 0,
        "head": RunHeader(project=name)._asdict(), "end": None,
    }  # fmt: skip
