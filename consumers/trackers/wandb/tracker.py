"""
The tracker `wandb`: one offline run file for each run, which `wandb sync` can upload at any time.

It needs no W&B process and no network: writer.py writes W&B's own records (protobuf of the pinned release) to W&B's own
transaction log. The stored state holds the length of the file at the last checkpoint. Bytes that a dead process wrote
after it are cut off before the next append, so no row is missing or duplicated. A summary and an exit record close the
file of a run that ended; if points arrive late, both are cut off and written again after those points.

W&B requires one increasing step for each run. The steps of the training code may repeat, decrease and belong to
several processes, so `_step` counts rows, and `gw/step` is the step of the training code, declared as the x axis of
every chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.append import append_at, remove_file, write_new
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.protocol import Capabilities, ReadBack, State
from consumers.trackers.wandb.edits import apply_edits, find_edits
from consumers.trackers.wandb.translate import STEP_KEY, RunHeader, fold_header, from_instant
from consumers.trackers.wandb.writer import RunFileWriter, read_records
from schemas.columns import NON_FINITE
from schemas.errors import TrackerRefused
from schemas.facts import Point
from schemas.mapping.names import wandb_id, wandb_name
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONFIG_PREFIX, _TAG_PREFIX = "gw.", "gw.tag."


class WandbTracker:
    """Offline W&B runs in `<wandb_dir>/wandb/`."""

    name = "wandb"
    cannot_hold: Sequence[str] = (
        "console lines: W&B stamps them with the time of the upload",
        "start and end of named steps",
        "observations that are not numbers keep their value, but not their type",
        "the previous name of a renamed run stays in the file, hidden by the new one",
    )

    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_series=True, can_edit_params=True, can_edit_tags=True
    )

    def __init__(self, *, folder: str = "", project: str = "") -> None:
        self._configured = folder
        self._folder = Path()
        self._project = project

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was configured. Raises BadSettings if there is none."""
        self._folder = Path(self._configured or settings.need("wandb_dir")).absolute() / "wandb"
        self._project = self._project or settings.wandb_project

    def close(self) -> None:
        """Do nothing: no file is open between deliveries."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Append events to the run's file. Raises TrackerUnavailable (disk), TrackerRefused (the file is gone)."""
        plan = EditPlan(self._folder, run_id)
        state, envelopes = plan.resume(state, envelopes)
        if state.get("deleted") or not envelopes:
            return state  # events of a deleted run that producers still send are dropped
        kept = dict(state) or _first_state(run_id, envelopes)
        path = self._folder / kept["file"]
        deletion = find_run_deletion(envelopes)
        if deletion is not None:
            return plan.commit(deleted(kept, [path.parent]), deletion)
        for are_edits, part in split_at_edits(envelopes):
            if are_edits and kept["length"]:
                kept = self._edit(run_id, kept, part, plan)
            else:
                kept = self._append(run_id, kept, part)
        remove_file(Path(f"{path}.synced"))  # so that the next `wandb sync` uploads it again
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope]) -> dict[str, Any]:
        length = kept["length"]
        writer = RunFileWriter(run_id, dict(kept), self._project)
        writer.write_events([envelope.event for envelope in envelopes])
        append_at(self._folder / kept["file"], length, writer.body + writer.tail)
        return writer.state

    def _edit(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Rewrite the file with some edits applied."""
        path = self._folder / kept["file"]
        edits = edits_of(envelopes)
        found = find_edits(read_records(path, kept["length"]), edits)
        header = fold_header(RunHeader(**kept["head"]), edits)
        if not any(found) and header._asdict() == kept["head"]:
            return kept
        number = kept.get("edits", 0) + 1
        new_path = path.with_name(f"_edit-{number}.new")
        fresh = kept | {"length": 0, "rows": 0, "records": 0, "head": header._asdict(), "edits": number}
        writer = RunFileWriter(run_id, fresh, self._project)
        write_new(new_path, writer.rewrite(apply_edits(read_records(path, kept["length"]), found)))
        plan.commit(Edited(writer.state, {new_path: path}), envelopes[-1])
        return writer.state

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's file: events in another order may give it another name. Raises TrackerUnavailable."""
        if "file" in state:
            remove_file(self._folder / state["file"])
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's file. Raises TrackerRefused if it is missing or damaged."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        path = self._folder / state["file"]
        params: dict[str, str] = {}
        facts: dict[str, Any] = {}
        status = "running"
        for record in read_records(path, state["size"]):
            if record.WhichOneof("record_type") == "config":
                for item in record.config.update:
                    kept = facts if item.key.startswith(_CONFIG_PREFIX) else params
                    kept[wandb_name(item.key)] = item.value_json
            elif record.WhichOneof("record_type") == "exit":
                status = orjson.loads(facts["gw.status"])
        started, ended = (
            from_instant(orjson.loads(facts.get(f"gw.{name}_at", "null"))) for name in ("started", "ended")
        )
        tags = {
            key.removeprefix(_TAG_PREFIX): orjson.loads(text)
            for key, text in facts.items()
            if key.startswith(_TAG_PREFIX)
        }
        return ReadBack(_points(path, state["size"]), params, status, started, ended, tags)


def _first_state(run_id: str, envelopes: Sequence[Envelope]) -> dict[str, Any]:
    opened = (e.event.time for e in envelopes if e.event.kind in ("run_started", "run_created"))
    started = next(opened, min(envelope.event.time for envelope in envelopes))
    name = wandb_id(run_id)
    try:
        day = f"{_EPOCH + timedelta(microseconds=started):%Y%m%d_%H%M%S}"
    except OverflowError:  # after the year 9999
        day = "99991231_235959"
    return {
        "id": name, "file": f"offline-run-{day}-{name}/run-{name}.wandb", "started": started, "length": 0, "size": 0,
        "rows": 0, "records": 0, "head": RunHeader()._asdict(), "end": None,
    }  # fmt: skip


def _points(path: Path, size: int) -> Iterator[Point]:
    for record in read_records(path, size):
        if record.WhichOneof("record_type") != "history":
            continue
        cells = {item.key: item.value_json for item in record.history.item}
        step, time = int(cells[STEP_KEY]), int(cells["_timestamp"].replace(".", ""))
        for key, text in cells.items():
            if key not in ("_step", "_timestamp", "_runtime", STEP_KEY) and (value := _number(text)) is not None:
                yield Point(wandb_name(key), step, time // 1_000, value)


def _number(text: str) -> float | None:
    if text in NON_FINITE:
        return NON_FINITE[text]
    return float(text) if text[0] in "-0123456789" else None
