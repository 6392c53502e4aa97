"""
The tracker `wandb`: one offline run file for each run, which `wandb sync` uploads whenever somebody wants to.

No W&B process and no network: this file writes W&B's own records (protobuf of the pinned release) into W&B's own
transaction log. The kept state says how long the file was after the last checkpoint; whatever a dead process wrote
beyond is cut off before anything is appended, so no row is missing and none is there twice. Summary and exit record
close the file of a run that ended; when points come late they are cut off, and written again behind those.

W&B wants one rising step a run. Ours may repeat, fall and belong to several processes, so `_step` counts rows and
`gw/step` is the step of the training code, declared as x axis of every chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from wandb.proto import wandb_internal_pb2 as pb

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.append import AGAIN, append_at, remove_file, write_new
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.protocol import Capabilities, ReadBack, State
from consumers.trackers.wandb import translate
from consumers.trackers.wandb.edits import STEP, edited, find_edits
from consumers.trackers.wandb.file import Damaged, read
from consumers.trackers.wandb.live.translate import microseconds
from consumers.trackers.wandb.writer import Writer
from schemas.columns import NON_FINITE
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.mapping.names import wandb_id, wandb_name
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OUR_CONFIG, _OUR_TAG = "gw.", "gw.tag."


class WandbTracker:
    """Offline W&B runs in `<wandb_dir>/wandb/`."""

    name = "wandb"
    cannot_hold: Sequence[str] = (
        "console lines: W&B stamps them with the time of the upload",
        "start and end of named steps",
        "observations that are not numbers keep their value, but not their type",
        "a name of the run before it was renamed stays in the file, behind the new one",
    )

    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_series=True, can_edit_params=True, can_edit_tags=True
    )

    def __init__(self, *, folder: str = "", project: str = "") -> None:
        self._given = folder
        self._folder = Path()
        self._project = project

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was given. Raises BadSettings when there is none."""
        self._folder = Path(self._given or settings.need("wandb_dir")).absolute() / "wandb"
        self._project = self._project or settings.wandb_project

    def close(self) -> None:
        """Nothing is held open between deliveries."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Bring these envelopes to the run's file. Raises TrackerUnavailable (disk), TrackerRefused (file is gone)."""
        plan = EditPlan(self._folder, run_id)
        state, envelopes = plan.resume(state, envelopes)
        if state.get("deleted") or not envelopes:
            return state  # what a producer still sends of a deleted run is gone with it
        kept = dict(state) or _first_state(run_id, envelopes)
        path = self._folder / kept["file"]
        gone = find_run_deletion(envelopes)
        if gone is not None:
            return plan.commit(deleted(kept, [path.parent]), gone)
        for are_edits, piece in split_at_edits(envelopes):
            if are_edits and kept["length"]:
                kept = self._edit(run_id, kept, piece, plan)
            else:
                kept = self._append(run_id, kept, piece)
        try:
            Path(f"{path}.synced").unlink(missing_ok=True)  # the next `wandb sync` takes what is new, and overwrites
        except OSError as error:
            raise TrackerUnavailable(f"{path}.synced cannot be removed ({error}): check its permissions") from error
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope]) -> dict[str, Any]:
        length = kept["length"]
        writer = Writer(run_id, dict(kept), self._project)
        writer.write_events([envelope.event for envelope in envelopes])
        append_at(self._folder / kept["file"], length, writer.body + writer.tail)
        return writer.state

    def _edit(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Write the file anew as some edits leave it."""
        path = self._folder / kept["file"]
        events = edits_of(envelopes)
        edits = find_edits(_records(path, kept["length"]), events)
        head = translate.fold_head(translate.Head(**kept["head"]), events)
        if not any(edits) and head._asdict() == kept["head"]:
            return kept
        number = kept.get("edits", 0) + 1
        beside = path.with_name(f"_edit-{number}.new")
        fresh = kept | {"length": 0, "rows": 0, "records": 0, "head": head._asdict(), "edits": number}
        writer = Writer(run_id, fresh, self._project)
        write_new(beside, writer.rewrite(edited(_records(path, kept["length"]), edits)))
        plan.commit(Edited(writer.state, {beside: path}), envelopes[-1])
        return writer.state

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's file: what began in another order may have another name. Raises TrackerUnavailable."""
        if "file" in state:
            remove_file(self._folder / state["file"])
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's file. Raises TrackerRefused when it is missing or damaged."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        path = self._folder / state["file"]
        params: dict[str, str] = {}
        facts: dict[str, Any] = {}
        status = "running"
        for record in _records(path, state["size"]):
            if record.WhichOneof("record_type") == "config":
                for item in record.config.update:
                    kept = facts if item.key.startswith(_OUR_CONFIG) else params
                    kept[wandb_name(item.key)] = item.value_json
            elif record.WhichOneof("record_type") == "exit":
                status = orjson.loads(facts["gw.status"])
        started, ended = (
            microseconds(orjson.loads(facts.get(f"gw.{name}_at", "null"))) for name in ("started", "ended")
        )
        tags = {
            key.removeprefix(_OUR_TAG): orjson.loads(text) for key, text in facts.items() if key.startswith(_OUR_TAG)
        }
        return ReadBack(_points(path, state["size"]), params, status, started, ended, tags)


def _first_state(run_id: str, envelopes: Sequence[Envelope]) -> dict[str, Any]:
    opened = (b.event.time for b in envelopes if b.event.kind in ("run_started", "run_created"))
    started = next(opened, min(envelope.event.time for envelope in envelopes))
    name = wandb_id(run_id)
    try:
        day = f"{_EPOCH + timedelta(microseconds=started):%Y%m%d_%H%M%S}"
    except OverflowError:  # after the year 9999
        day = "99991231_235959"
    return {
        "id": name, "file": f"offline-run-{day}-{name}/run-{name}.wandb", "started": started, "length": 0, "size": 0,
        "rows": 0, "records": 0, "head": translate.Head()._asdict(), "end": None,
    }  # fmt: skip


def _records(path: Path, size: int) -> Iterator[Any]:
    try:
        for raw in read(path, size):
            yield pb.Record.FromString(raw)
    except FileNotFoundError:
        raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
    except (OSError, Damaged) as error:
        raise TrackerRefused(f"{error}: {AGAIN}") from error


def _points(path: Path, size: int) -> Iterator[Point]:
    for record in _records(path, size):
        if record.WhichOneof("record_type") != "history":
            continue
        cells = {item.key: item.value_json for item in record.history.item}
        step, time = int(cells[STEP]), int(cells["_timestamp"].replace(".", ""))
        for key, text in cells.items():
            if key not in ("_step", "_timestamp", "_runtime", STEP) and (value := _number(text)) is not None:
                yield Point(wandb_name(key), step, time // 1_000, value)


def _number(text: str) -> float | None:
    if text in NON_FINITE:
        return NON_FINITE[text]
    return float(text) if text[0] in "-0123456789" else None
