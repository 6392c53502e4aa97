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

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.append import append_at, has_written, refuse_surplus, remove_file, write_new
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.protocol import Capabilities, Contents, ReadBack, State
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.wandb import read
from consumers.trackers.wandb.edits import FileEdits, apply_edits, find_edits
from consumers.trackers.wandb.translate import RunHeader, fold_header
from consumers.trackers.wandb.writer import RunFileWriter, read_records
from schemas.errors import TrackerRefused
from schemas.facts import Point, exact_columns
from schemas.mapping.names import wandb_id
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WandbTracker:
    """Offline W&B runs in `<wandb_dir>/wandb/`."""

    name = "wandb"
    cannot_hold: Sequence[str] = (
        "console lines: W&B stamps them with the time of the upload",
        "start and end of named steps",
        "observations that are not numbers keep their value, but not their type",
        "the trash: a run that can be restored stays",
        "units, charts and alarms of metrics, and definitions by patterns with * before their end",
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
                kept = self._move(run_id, self._append(run_id, kept, part), part, plan)
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
        return self._rewrite(run_id, kept | {"head": header._asdict()}, envelopes[-1], found, plan)

    def _move(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Rewrite the file if its run belongs to another project than was known when it began."""
        tag = Opening(*kept["opening"]).tag
        if not tag or tag == kept["head"]["project"]:
            return kept
        head = kept["head"] | {"project": tag}
        return self._rewrite(run_id, kept | {"head": head}, envelopes[-1], FileEdits({}, {}, ()), plan)

    def _rewrite(
        self, run_id: str, kept: dict[str, Any], last: Envelope, edits: FileEdits, plan: EditPlan
    ) -> dict[str, Any]:
        """Write the file again, with these edits and this header; `last` is the last event that it contains."""
        path = self._folder / kept["file"]
        number = kept.get("edits", 0) + 1
        new_path = path.with_name(f"_edit-{number}.new")
        fresh = kept | {"length": 0, "rows": 0, "records": 0, "edits": number}
        writer = RunFileWriter(run_id, fresh, self._project)
        records = apply_edits(read_records(path, kept["length"]), edits, kept["head"]["project"])
        write_new(new_path, writer.rewrite(records))
        plan.commit(Edited(writer.state, {new_path: path}), last)
        return writer.state

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's file: events in another order may give it another name. Raises TrackerUnavailable."""
        if "file" in state:
            remove_file(self._folder / state["file"])
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's file. Raises TrackerRefused if it is missing or damaged."""
        if state.get("deleted"):
            return self._deleted(run_id)
        path = self._folder / state["file"]
        refuse_surplus(path, state["size"])

        def records() -> Iterator[Any]:
            return read_records(path, state["size"])

        held = read.RunFileFacts(records())
        points = (Point(series, step, time // 1_000, value) for series, step, time, value in read.points(records()))
        contents = held.contents(read.observations(records()), self._project, str(path.parent))
        return ReadBack(
            points, held.params, held.status, held.time("started"), held.time("ended"), held.tags,
            exact_columns(read.points(records())), contents=contents,
        )  # fmt: skip

    def _deleted(self, run_id: str) -> ReadBack:
        """Look for a deleted run: a backup of the folder may have brought it back. Raises TrackerRefused."""
        found = [one for one in sorted(self._folder.glob(f"offline-run-*-{wandb_id(run_id)}")) if has_written(one)]
        if not found:
            raise TrackerRefused("the run was deleted")
        return ReadBack(iter(()), {}, "running", None, None, contents=Contents(where=str(found[0])))


def _first_state(run_id: str, envelopes: Sequence[Envelope]) -> dict[str, Any]:
    started = fold_opening(None, [envelope.event for envelope in envelopes]).shown
    name = wandb_id(run_id)
    try:
        day = f"{_EPOCH + timedelta(microseconds=started):%Y%m%d_%H%M%S}"
    except OverflowError:  # after the year 9999
        day = "99991231_235959"
    return {
        "id": name, "file": f"offline-run-{day}-{name}/run-{name}.wandb", "started": started, "length": 0, "size": 0,
        "rows": 0, "records": 0, "head": RunHeader()._asdict(), "end": None,
    }  # fmt: skip
