"""
The tracker `tensorboard`: one event file a run, in a folder of its own, with original times and steps.

Point `tensorboard --logdir` at the folder. Charts show 32-bit floats, which is all that TensorBoard loads; the exact
value stands beside each in the file. Parameters and the status show in the HParams dashboard, and stand with tags and
notes as text below `gw/`. The kept state says how long the file was after the last checkpoint: see run_file.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from consumers.delivery.tracker import Capabilities, ReadBack, State
from consumers.trackers import tensorboard_terms as terms
from consumers.trackers.mangling import folder_name, tensorboard_name
from consumers.trackers.run_file import AGAIN, append_at, remove_file, remove_folder
from consumers.trackers.tensorboard_file import Damaged, frame, read
from schemas.errors import TrackerRefused
from schemas.facts import Point
from schemas.settings import Settings
from schemas.wire import Batch

_ENDED = ("finished", "failed", "killed")


class TensorboardTracker:
    """Event files in `<folder>/<run id>/`."""

    name = "tensorboard"
    cannot_hold: Sequence[str] = (
        "console lines, and start and end of named steps",
        "the type of observations that are neither numbers nor histograms: text below gw/text/",
        "parameters of a later attempt in the HParams dashboard: it shows the first ones; all are in gw/params",
        "deletes and renames of series, parameters and tags",
        "float64 in charts: TensorBoard draws 32-bit floats; the file holds both",
        "charts are sampled by TensorBoard itself unless it is started with --samples_per_plugin",
    )
    capabilities = Capabilities(keeps_artifacts=True, can_delete=True)

    def __init__(self, *, folder: str = "") -> None:
        self._given = folder
        self._folder = Path()

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was given. Raises BadSettings when there is none."""
        self._folder = Path(self._given or settings.need("tensorboard_dir")).absolute()

    def close(self) -> None:
        """Nothing is held open between deliveries."""

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Append these batches to the run's file. Raises TrackerUnavailable (disk), TrackerRefused (file is gone)."""
        if state.get("deleted"):
            return state  # what a producer still sends of it is gone with it
        events = [batch.event for batch in batches]
        kept = dict(state) or _first_state(run_id, events)
        path = self._folder / kept["file"]
        if any(event.kind == "deleted" and event.what == "run" for event in events):
            remove_folder(path.parent)
            return {"deleted": True}
        records = [] if kept["size"] else [terms.first_record(kept["started"])]
        records += terms.text_records(run_id, events, kept)
        records += terms.scalar_records(events)
        data = frame(records)
        append_at(path, kept["size"], data)
        return kept | {"size": kept["size"] + len(data)}

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's file: what began in another order may have another name. Raises TrackerUnavailable."""
        if "file" in state:
            remove_file(self._folder / state["file"])
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's file. Raises TrackerRefused when it is missing or damaged."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        facts: dict[str, Any] = {"status": "running", "time": None}
        started = state["started"]
        for event in self._events(state):
            for value in event.summary.value:
                if value.tag in (terms.PARAMS, terms.STATUS, terms.TAGS):
                    told = orjson.loads(value.tensor.string_val[0])
                    if value.tag == terms.PARAMS:
                        params |= {name: str(text) for name, text in told.items()}
                    elif value.tag == terms.TAGS:
                        tags |= told
                    else:
                        facts = told
                        started = told.get("started") or started
        ended = facts["time"] if facts["status"] in _ENDED else None
        return ReadBack(self._points(state), params, facts["status"], started, ended, tags)

    def _points(self, state: State) -> Iterator[Point]:
        for event in self._events(state):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == terms.SCALARS:
                    time_ms = terms.microseconds(event.wall_time) // 1_000
                    yield Point(tensorboard_name(value.tag), event.step, time_ms, terms.exact(value))

    def _events(self, state: State) -> Iterable[Any]:
        path = self._folder / state["file"]
        try:
            for record in read(path, state["size"]):
                yield terms.parse(record)
        except FileNotFoundError:
            raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
        except (OSError, Damaged) as error:
            raise TrackerRefused(f"{error}: {AGAIN}") from error


def _first_state(run_id: str, events: Sequence[Any]) -> dict[str, Any]:
    opened = (event.time for event in events if event.kind in ("run_started", "run_created"))
    started = next(opened, min(event.time for event in events))
    file = f"{folder_name(run_id)}/events.out.tfevents.{started // 1_000_000:010d}.gateway"
    return {"file": file, "started": started, "size": 0, "facts": 0, "hparams": False}
