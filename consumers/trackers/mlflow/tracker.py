"""
The tracker `mlflow`: runs in MLflow, with the original times.

Delivering twice changes nothing there: an equal metric row is no new row, an equal parameter is accepted, a tag is
overwritten, an artifact too, and the run is found by its tag before it is made. A parameter that gets another value (a
later attempt) keeps its first one, as MLflow wants, and the new one is the tag `gw.param.<name>@<attempt>`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from time import monotonic, sleep
from typing import Any

from consumers.trackers.edits import find_run_deletion
from consumers.trackers.mlflow import metrics as terms
from consumers.trackers.mlflow.address import open_place
from consumers.trackers.mlflow.backend import Held, New, Place
from consumers.trackers.mlflow.param_conflicts import Asked, altered, changed, divide, note_tags
from consumers.trackers.mlflow.params import MAX_VALUES, PARAM_TAG, Aside, as_params, params
from consumers.trackers.mlflow.requests import Call, cut
from consumers.trackers.mlflow.responses import MISSING, MlflowRefused, NothingDone
from consumers.trackers.mlflow.tags import Words, own_tags, tags
from consumers.trackers.protocol import Capabilities, ReadBack, State
from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.mapping.names import shorten
from schemas.runtime.settings import Settings
from schemas.statuses import ENDED
from schemas.wire import Envelope

MAX_EXPERIMENT = 500  # characters
DEFAULT_EXPERIMENT = "Default"
RUN_TAG, KEY_TAG = "gw.run_id", "gw.run_key"
GONE_TAG = "gw.deleted"  # of a run that the log deleted; one that a person put into the trash has none
TIMEOUT_S = 60.0
SETTLE_S = 5.0  # so long a run whose making was not answered is looked for before it is made
LOOK_AGAIN_S = 0.25
NO_ARTIFACTS_S = 60.0  # so long artifacts are not tried again after one was refused
_READ_STATUS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed", "SCHEDULED": "created"}


class MlflowTracker:
    """Runs in MLflow, found by their tag `gw.run_key`."""

    name = "mlflow"
    cannot_hold: Sequence[str] = (
        "times below a millisecond",
        "±Infinity: stored as ±1.797e308, told by the tag gw.nonfinite",
        "equal points (name, step, millisecond, value): one row",
        "the sign of -0.0, when the server's database is SQLite",
        f"parameters beyond {terms.MAX_PARAM} characters and tags beyond {terms.MAX_TAG}: cut",
        "observations that are not numbers: text in params `name_step`; histograms, long ones and all after "
        f"{MAX_VALUES} are artifacts, or cut and counted where the server takes none (tag gw.artifacts_refused)",
        "console lines",
        "deletes and renames of series and parameters",
    )

    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_tags=True,
        cut_params=(terms.MAX_PARAM, terms.MAX_TAG), cut_tags=(terms.MAX_TAG,),
    )  # fmt: skip

    call_bytes = 256 * 1024  # 6,000 points or more: 8 s where 8 runs share a server of 6,000 points/s

    def __init__(self, *, url: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._place: Place | None = None
        self._experiments: dict[str, str] = {}
        self._making = threading.Lock()  # two runs of one new experiment must not both create it
        self._doubts: dict[str, float] = {}  # by run key: when the making of a run was not answered
        self._opened = self._artifacts_at = 0.0

    def open(self, settings: Settings) -> None:
        """Take the address, from the settings unless it was given. Raises BadSettings when there is none."""
        self._place = open_place(self._url or settings.need("mlflow_url"), self._timeout_s)
        self._opened = monotonic()

    def close(self) -> None:
        """Let go of connections."""
        if self._place is not None:
            self._place.close()

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        """Bring envelopes of a run to MLflow. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            return state  # what a producer still sends of it is gone with it
        place = self._opened_place()
        if find_run_deletion(envelopes) is not None:
            return self._delete(place, run_id, state)
        try:
            return self._bring(place, run_id, envelopes, state, in_doubt)
        except MlflowRefused:
            if state and _went(place, state["run"]):
                return {"deleted": True}  # by a call whose checkpoint was lost: what comes again goes with it
            raise

    def _bring(self, place: Place, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int) -> State:
        events = [envelope.event for envelope in envelopes]
        before = terms.Notes.from_json(state.get("notes", {}))
        metrics, notes = terms.metrics(events, before)
        wanted, aside, notes = params(envelopes, notes)
        kept, is_new = (dict(state), False) if state else self._find_or_create(place, run_id, envelopes, in_doubt)
        run = kept["run"]
        server = Asked(place, run, is_new)
        refused, why = self._keep(place, server, kept, aside)
        more, notes = as_params((one for part in refused for one in part.observations), notes)
        words, notes = tags(events, notes, lambda: server.held.tags)
        taken, moved, notes = divide(wanted + more, server, notes)
        words |= moved | self._late_facts(place, kept, events) | changed(note_tags(notes), note_tags(before))
        words |= {"gw.artifacts_refused": why[: terms.MAX_TAG]} if why else {}
        for call in cut(metrics, taken, {key: text for key, text in words.items() if text is not None}):
            place.log(run, call)
        for key in [key for key, text in words.items() if text is None]:
            place.delete_tag(run, key)
        end = fold_run_status(RunStatus(*kept["end"]) if kept.get("end") else None, events)
        self._set_status(place, kept, _run_key(run_id), terms.ended(end, events), is_new)
        kept |= {} if end is None else {"end": list(end)}
        return kept | {"notes": notes.to_json()}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read a run from MLflow. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        place = self._opened_place()
        notes = terms.Notes.from_json(state.get("notes", {}))
        held = place.held(state["run"])
        found = {notes.name_of(key): held.params[key] for key in notes.params if key in held.params}
        for key, text in held.tags.items():
            name = notes.name_of(key)
            if name.startswith(PARAM_TAG):
                found[name.removeprefix(PARAM_TAG).rpartition("@")[0]] = text
        return ReadBack(
            _points(place, held, notes),
            found,
            _READ_STATUS.get(held.status, "running"),
            held.started_ms * 1_000,
            held.ended_ms and held.ended_ms * 1_000,
            own_tags(notes, held.tags) if state.get("tags") else None,
            altered=altered(notes),
        )

    def start_over(self, run_id: str, state: State) -> State:
        """Nothing has to go: the run is found by its tag, or made anew, and what it has is not written twice."""
        return {}

    def _opened_place(self) -> Place:
        if self._place is None:
            raise RuntimeError("open() comes first")
        return self._place

    def _delete(self, place: Place, run_id: str, state: State) -> State:
        """Move the run to MLflow's trash, where it may be already: `mlflow gc` empties it."""
        found = _if_there(place, state["run"]) if state else place.find(KEY_TAG, _run_key(run_id))
        for held in found:
            if held.is_active:
                place.log(held.run, Call(tags={GONE_TAG: "1"}))
                place.delete(held.run)
        return {"deleted": True}

    def _find_or_create(
        self, place: Place, run_id: str, envelopes: Sequence[Envelope], in_doubt: int
    ) -> tuple[dict[str, Any], bool]:
        """Return what is kept of a run that has no checkpoint, and whether it was made just now."""
        key = _run_key(run_id)
        opened = next((b.event for b in envelopes if isinstance(b.event, ev.RunStarted | ev.RunCreated)), None)
        found, doubted = self._look(place, key, in_doubt)
        found.sort(key=_is_empty)
        if doubted:
            _delete_twins(place, found[1:])
        if not found:
            started = (opened.time if opened else min(envelope.event.time for envelope in envelopes)) // 1_000
            name = ((opened.name if opened else "") or run_id)[: terms.MAX_RUN_NAME]
            new = {RUN_TAG: run_id[: terms.MAX_TAG], KEY_TAG: key}
            experiment = self._experiment(place, opened.tag if opened else "")
            try:
                made = place.create(New(experiment, name, started, new))
            except NothingDone:
                raise
            except TrackerUnavailable:
                self._doubts[key] = monotonic()
                raise
        kept: dict[str, Any] = {"run": (found or [made])[0].run, "artifacts": (found or [made])[0].artifacts}
        self._doubts.pop(key, None)
        kept["tags"] = True  # all of them are noted
        return kept | {"named": bool(opened and opened.name)} | ({"doubted": True} if doubted else {}), not found

    def _look(self, place: Place, key: str, in_doubt: int) -> tuple[list[Held], bool]:
        """
        Return the runs of a key, and whether one may be there that is not shown yet.

        A making whose answer was lost may take effect, or be shown by the search, a while later; it may also be one of
        the process before this one.
        """
        since = self._doubts.get(key, self._opened if in_doubt else None)
        while True:
            found = place.find(KEY_TAG, key)
            if found or since is None or monotonic() - since > SETTLE_S:
                return found, since is not None
            sleep(LOOK_AGAIN_S)

    def _experiment(self, place: Place, tag: str) -> str:
        name = shorten(tag.strip() or DEFAULT_EXPERIMENT, tag, MAX_EXPERIMENT)
        with self._making:
            if name not in self._experiments:
                self._experiments[name] = place.experiment(name)
            return self._experiments[name]

    def _keep(
        self, place: Place, server: Asked, kept: dict[str, Any], aside: Sequence[Aside]
    ) -> tuple[Sequence[Aside], str]:
        """Write artifacts; return those that are not kept, and why."""
        if not aside:
            return (), ""
        if monotonic() < self._artifacts_at:
            return aside, "artifacts were refused a moment ago"
        kept.setdefault("artifacts", "")
        kept["artifacts"] = kept["artifacts"] or server.held.artifacts
        for number, part in enumerate(aside):
            if why := place.keep(kept["artifacts"], part.path, part.content):
                self._artifacts_at = monotonic() + NO_ARTIFACTS_S
                return aside[number:], why
        return (), ""

    def _late_facts(self, place: Place, kept: dict[str, Any], events: Sequence[Any]) -> Words:
        """Return tags for what was not known when the run was made: its name, and its parent's run."""
        found: Words = {}
        for event in events:
            if isinstance(event, ev.RunStarted | ev.RunCreated | ev.RunResumed):
                kept["parent"] = event.parent_run_id or kept.get("parent", "")
                if event.name and not kept["named"]:
                    kept["named"] = True
                    found["mlflow.runName"] = event.name[: terms.MAX_RUN_NAME]
        if kept.get("parent") and (parents := place.find(KEY_TAG, _run_key(kept["parent"]))):
            kept["parent"] = ""
            found["mlflow.parentRunId"] = parents[0].run
        return found

    def _set_status(
        self, place: Place, kept: dict[str, Any], key: str, ended: terms.Ended | None, is_new: bool
    ) -> None:
        if ended is None or (is_new and ended.status == "RUNNING"):
            return  # a run is made running
        is_over = _READ_STATUS.get(ended.status) in ENDED
        if is_over and kept.pop("doubted", False):
            _delete_twins(place, [twin for twin in place.find(KEY_TAG, key) if twin.run != kept["run"]])
        place.set_status(kept["run"], ended.status, ended.time_ms if is_over else None)


def _points(place: Place, held: Held, notes: terms.Notes) -> Iterator[Point]:
    for key in sorted(held.keys):
        yield from terms.read_points(place.history(held.run, key), notes)


def _delete_twins(place: Place, twins: Sequence[Held]) -> None:
    """Delete runs made by calls whose answers were lost, and shown late; a copy that a person made holds something."""
    for twin in filter(_is_empty, twins):
        place.delete(twin.run)


def _is_empty(held: Held) -> bool:
    return not held.keys and not held.params


def _if_there(place: Place, run: str) -> list[Held]:
    try:
        return [place.held(run)]
    except MlflowRefused as error:
        if error.code != MISSING:
            raise
        return []  # `mlflow gc` was there


def _went(place: Place, run: str) -> bool:
    """Tell whether the log deleted this run."""
    return any(not held.is_active and GONE_TAG in held.tags for held in _if_there(place, run))


def _run_key(run_id: str) -> str:
    """Return what a run is looked up by: MLflow's filter language has no escape for quotes."""
    return blake2b(run_id.encode(), digest_size=16).hexdigest()
