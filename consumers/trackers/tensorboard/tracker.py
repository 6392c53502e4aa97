"""
The tracker `tensorboard`: one event file for each run, in a folder of its own, with the original times and steps.

Point `tensorboard --logdir` at the folder. Charts show 32-bit floats, the only ones that TensorBoard loads; the file
also holds the exact value of each point. Parameters and the status appear in the HParams dashboard; they are also
texts below `gw/`, as tags and notes are. The stored state holds the length of the file at the last checkpoint: see
files/append.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.append import has_written, refuse_surplus, remove_file
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.protocol import Capabilities, Contents, ReadBack, State
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.tensorboard import read, summaries
from consumers.trackers.tensorboard.edits import apply_edits, find_edits
from consumers.trackers.tensorboard.translate import translate
from consumers.trackers.tensorboard.writer import append_records, read_records, write_records
from schemas.errors import TrackerRefused
from schemas.facts import Point, exact_columns
from schemas.mapping.names import folder_name
from schemas.runtime.settings import Settings
from schemas.wire import Envelope


class TensorboardTracker:
    """Event files in `<folder>/<run id>/`."""

    name = "tensorboard"
    cannot_hold: Sequence[str] = (
        "console lines, and start and end of named steps",
        "the type of observations that are neither numbers nor histograms: text below gw/text/",
        "parameters of a later attempt in the HParams dashboard: it shows the first ones; all are in gw/params",
        "the trash: a run that can be restored stays",
        "what code says of metrics: goal, unit, x axis, alarm",
        "deletes and renames in a TensorBoard that is running: it shows them after a restart",
        "float64 in charts: TensorBoard draws 32-bit floats; the file holds both",
        "charts are sampled by TensorBoard itself unless it is started with --samples_per_plugin",
    )
    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_series=True, can_edit_params=True, can_edit_tags=True
    )

    def __init__(self, *, folder: str = "") -> None:
        self._configured = folder
        self._folder = Path()

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was configured. Raises BadSettings if there is none."""
        self._folder = Path(self._configured or settings.need("tensorboard_dir")).absolute()

    def close(self) -> None:
        """Do nothing: no file is open between deliveries."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Append events to the run's file. Raises TrackerUnavailable (disk), TrackerRefused (the file is gone)."""
        plan = EditPlan(self._folder, run_id)
        state, envelopes = plan.resume(state, envelopes)
        if state.get("deleted") or not envelopes:
            return state  # events of a deleted run that producers still send are dropped
        kept = dict(state) or _first_state(run_id, [envelope.event for envelope in envelopes])
        deletion = find_run_deletion(envelopes)
        if deletion is not None:
            return plan.commit(deleted(kept, [(self._folder / kept["file"]).parent]), deletion)
        for are_edits, part in split_at_edits(envelopes):
            kept = self._edit(kept, part, plan) if are_edits and kept["size"] else self._append(run_id, kept, part)
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope]) -> dict[str, Any]:
        begun = {"opening": list(Opening(kept["started"], kept["started"]))}  # an earlier release stored the start only
        records, after = translate(run_id, [envelope.event for envelope in envelopes], begun | kept)
        return after | {"size": append_records(self._folder / kept["file"], kept["size"], records)}

    def _edit(self, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Rewrite the file with some edits applied."""
        edits = find_edits(self._records(kept), edits_of(envelopes))
        if not edits:
            return kept
        path, number = self._folder / kept["file"], kept.get("edits", 0) + 1
        new_path = path.with_name(f"_edit-{number}.new")
        size = write_records(new_path, apply_edits(self._records(kept), edits))
        now = kept | {"size": size, "edits": number}
        plan.commit(Edited(now, {new_path: path}), envelopes[-1])
        return now

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's file: events in another order may give it another name. Raises TrackerUnavailable."""
        if "file" in state:
            remove_file(self._folder / state["file"])
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's file. Raises TrackerRefused if it is missing or damaged."""
        if state.get("deleted"):
            folder = self._folder / folder_name(run_id)
            if not has_written(folder):
                raise TrackerRefused("the run was deleted")
            return ReadBack(iter(()), {}, "running", None, None, contents=Contents(where=str(folder)))
        path = self._folder / state["file"]
        refuse_surplus(path, state["size"])
        held = read.EventFileFacts(self._events(state), state["started"])
        points = read.points(self._events(state))
        contents = held.contents(read.observations(self._events(state)), run_id, str(path.parent))
        return ReadBack(
            (Point(series, step, time // 1_000, value) for series, step, time, value in points),
            held.params, held.status, held.started, held.ended, held.tags,
            exact_columns(read.points(self._events(state))), contents=contents,
        )  # fmt: skip

    def _events(self, state: State) -> Iterable[Any]:
        return map(summaries.parse, self._records(state))

    def _records(self, state: State) -> Iterator[bytes]:
        return read_records(self._folder / state["file"], state["size"])


def _first_state(run_id: str, events: Sequence[Any]) -> dict[str, Any]:
    opening = fold_opening(None, events)
    started = opening.shown
    file = f"{folder_name(run_id)}/events.out.tfevents.{started // 1_000_000:010d}.gateway"
    begun = Opening(opening.first)
    return {"file": file, "started": started, "size": 0, "facts": 0, "hparams": False, "opening": list(begun)}
