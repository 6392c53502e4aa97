"""
The tracker `mlflow`: runs in MLflow, with their original times.

A repeated delivery changes nothing there: an equal metric row is not stored again, an equal parameter is accepted, tags
and artifacts are overwritten, and a run is looked up by its tag before it is created. A parameter whose value changes
(a later attempt) keeps its first value, as MLflow requires; the new value is the tag `gw.param.<name>@<attempt>`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from time import monotonic, sleep
from typing import Any

from consumers.trackers.edits import find_run_deletion
from consumers.trackers.mlflow.address import open_backend
from consumers.trackers.mlflow.backend import Backend, CachedRemoteRun, NewRun, RemoteRun
from consumers.trackers.mlflow.edits import (
    TagChanges,
    delete_duplicates,
    delete_runs,
    drop_copies,
    find_replacement,
    find_run,
    is_deleted_by_log,
    is_put_away,
    is_wanted,
    put_away,
    replace_run,
    set_stage,
    stage_after,
    take_out,
)
from consumers.trackers.mlflow.mapping_state import MappingState, name_tags
from consumers.trackers.mlflow.metrics import series_columns
from consumers.trackers.mlflow.param_conflicts import changed_params, resolve
from consumers.trackers.mlflow.params import MAX_VALUES, ArtifactSpill, params_of_refused
from consumers.trackers.mlflow.read import experiment_name, read_contents, visible_run
from consumers.trackers.mlflow.responses import MlflowRefused, NothingDone
from consumers.trackers.mlflow.rest_backend import RestBackend
from consumers.trackers.mlflow.tags import changed_tags, user_tags
from consumers.trackers.mlflow.translate import StatusChange, Translation, read_status, run_key, translate
from consumers.trackers.protocol import Capabilities, Contents, ReadBack, State
from consumers.trackers.run_start import Opening, fold_opening, may_move
from consumers.trackers.run_status import RunStatus
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point, SeriesColumns
from schemas.mapping.mlflow import MAX_PARAM, MAX_RUN_NAME, MAX_TAG, PARENT_TAG, RUN_NAME_TAG
from schemas.runtime.settings import Settings
from schemas.statuses import ENDED
from schemas.wire import Envelope

RUN_TAG, KEY_TAG = "gw.run_id", "gw.run_key"
TIMEOUT_S = 60.0
SETTLE_S = 5.0  # after a creation without an answer: how long a run is looked for before it is created again
LOOK_AGAIN_S = 0.25
NO_ARTIFACTS_S = 60.0  # after a refused artifact: how long no other one is tried


class MlflowTracker:
    """Runs in MLflow, found by their tag `gw.run_key`."""

    name = "mlflow"
    cannot_hold: Sequence[str] = (
        "times below a millisecond",
        "±Infinity: stored as ±1.797e308, the largest number; reported by the tag gw.nonfinite",
        "equal points (name, step, millisecond, value): one row",
        "the sign of -0.0, if the server's database is SQLite",
        f"parameters beyond {MAX_PARAM} characters and tags beyond {MAX_TAG}: cut",
        "observations that are not numbers: text in params `name_step`; histograms, long ones and all after "
        f"{MAX_VALUES} are artifacts, or cut and counted if the server does not accept them (tag gw.artifacts_refused)",
        "console lines",
        "the experiment of a run by id: its tag names the experiment",
        "deletes and renames of series and parameters",
        "what code says of metrics: goal, unit, x axis, alarm",
    )

    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_tags=True, keeps_equal_points=False, keeps_infinity=False,
        cut_params=(MAX_PARAM, MAX_TAG), cut_tags=(MAX_TAG,), cut_names=(MAX_RUN_NAME,),
    )  # fmt: skip

    def __init__(self, *, url: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = url, timeout_s
        self.call_bytes = RestBackend.call_bytes  # until `open`: then that of the backend
        self._backend: Backend | None = None
        self._experiments: dict[str, str] = {}
        self._creating = threading.Lock()  # two runs of a new experiment must not both create it
        self._unanswered: dict[str, float] = {}  # by run key: when a creation got no answer
        self._opened = self._artifacts_at = 0.0

    def open(self, settings: Settings) -> None:
        """Take the address, from the settings unless it was configured. Raises BadSettings if there is none."""
        self._backend = open_backend(self._url or settings.need("mlflow_url"), self._timeout_s)
        self.call_bytes = self._backend.call_bytes
        self._opened = monotonic()

    def close(self) -> None:
        """Close connections."""
        if self._backend is not None:
            self._backend.close()

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        """Write events of a run to MLflow. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            return state  # events of a deleted run that producers still send are dropped
        backend = self._opened_backend()
        if find_run_deletion(envelopes) is not None:
            delete_runs(
                backend,
                find_run(backend, state["run"]) if state else backend.find_runs(KEY_TAG, run_key(run_id)),
            )
            return {"deleted": True}
        try:
            return self._write(backend, run_id, envelopes, state, in_doubt)
        except MlflowRefused:
            if state and is_deleted_by_log(backend, state["run"]):
                return {"deleted": True}  # by a call whose checkpoint was lost; repeated events are dropped too
            if state and state.get("stage") != "deleted" and is_put_away(backend, state["run"]):
                # A call whose checkpoint was lost put it into the trash.
                return self._write(backend, run_id, envelopes, {**state, "stage": "deleted"}, in_doubt)
            found = find_replacement(backend, state["run"], KEY_TAG, run_key(run_id)) if state else None
            if found is None:
                raise
        # A call whose checkpoint was lost has made the run again: this one may not have the event that says why.
        stage = {"stage": "deleted"} if found.is_put_away else {}
        place = {"run": found.id, "artifacts": found.artifact_uri, "place": _place(backend, found)}
        return self._write(backend, run_id, envelopes, {**state, **place, **stage}, in_doubt)

    def _write(
        self, backend: Backend, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int
    ) -> State:
        opening = fold_opening(
            Opening(*state["opening"]) if "opening" in state else None, [envelope.event for envelope in envelopes]
        )
        kept, is_new = (dict(state), False) if state else self._find_or_create(backend, run_id, opening, in_doubt)
        before_stage = kept.pop("stage", "active")
        if before_stage == "deleted":
            take_out(backend, kept["run"])
        if not is_new and may_move(envelopes) and self._is_elsewhere(kept, opening):
            self._move(backend, run_id, kept, opening)
        if state and in_doubt and may_move(envelopes):
            drop_copies(backend, state["run"], kept["run"], KEY_TAG, run_key(run_id))
        kept["opening"] = list(opening)
        remote = CachedRemoteRun(backend, kept["run"], is_new=is_new)
        before = MappingState.from_json(kept.get("notes", {}))
        status = RunStatus(*kept["end"]) if kept.get("end") else None
        new = translate(envelopes, before, status, lambda: remote.run)
        refused, reason = self._store_artifacts(backend, remote, kept, new.spills)
        more = params_of_refused(refused, new.state, lambda: remote.run.params)
        mapping = more.update(new.state)
        resolved = resolve([*new.params, *more.params], remote, {**new.names, **more.names}, mapping)
        mapping = mapping.with_names(resolved.names)
        tags = new.tags | resolved.tags | self._late_tags(backend, kept, new)
        tags |= {"gw.tag": opening.tag[:MAX_TAG]} if "gw.tag" in tags else {}  # not that of a superseded attempt
        names = name_tags({**new.names, **more.names, **resolved.names})
        tags |= changed_tags(names | mapping.to_tags(), before.to_tags())
        tags |= {"gw.artifacts_refused": reason[:MAX_TAG]} if reason else {}
        texts = {key: text for key, text in tags.items() if text is not None}
        for call in backend.split(new.metrics, resolved.params, texts):
            backend.log_batch(kept["run"], call)
        for key in [key for key in tags if key not in texts]:
            backend.delete_tag(kept["run"], key)
        self._set_status(backend, kept, run_key(run_id), new.status_change, is_new=is_new)
        kept |= {} if new.status is None else {"end": list(new.status)}
        stage = stage_after(before_stage if state else "active", envelopes)  # without a state all comes again
        set_stage(backend, kept["run"], before_stage, stage)
        kept |= {"stage": stage} if stage == "deleted" else {}
        return kept | {"notes": mapping.to_json()}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read what people see of a run in MLflow. Raises TrackerUnavailable, TrackerRefused."""
        backend = self._opened_backend()
        if state.get("deleted"):
            found = backend.find_runs(KEY_TAG, run_key(run_id))  # restored from the trash, or by a backup
            if not found:
                raise TrackerRefused("the run was deleted")
            where = Contents(where=f"run {found[0].id} at {backend.address}")
            return ReadBack(iter(()), {}, read_status(found[0].status), None, None, contents=where)
        mapping = MappingState.from_json(state.get("notes", {}))
        is_away = state.get("stage") == "deleted"
        run = backend.get_run(state["run"]) if is_away else visible_run(backend, state["run"])
        keys = mapping.params if mapping.has_all_params else run.params.keys() - set(mapping.values)
        params = {mapping.name_of(key, run.tags): run.params[key] for key in keys if key in run.params}
        params |= changed_params(run.tags, mapping)
        return ReadBack(
            _points(backend, run, mapping),
            params,
            read_status(run.status),
            run.started_ms * 1_000,
            run.ended_ms and run.ended_ms * 1_000,
            user_tags(mapping, run.tags) if state.get("tags") else None,
            altered=mapping.display_differences(),
            columns=_columns(backend, run, mapping),
            contents=read_contents(backend, run, mapping),
        )

    def start_over(self, run_id: str, state: State) -> State:
        """Remove nothing: the run is found by its tag or created again, and existing rows are not stored twice."""
        return {}

    def replace(self, run_id: str, state: State) -> State:
        """Move the run to the trash: its next delivery makes another one. Raises TrackerUnavailable."""
        backend = self._opened_backend()
        for old in find_run(backend, state["run"]) if "run" in state else ():
            put_away(backend, old)
        return {}

    def _opened_backend(self) -> Backend:
        if self._backend is None:
            raise RuntimeError("open() comes first")
        return self._backend

    def _find_or_create(
        self, backend: Backend, run_id: str, opening: Opening, in_doubt: int
    ) -> tuple[dict[str, Any], bool]:
        """Return the state of a run that has no checkpoint, and whether this call created it."""
        key = run_key(run_id)
        found, is_in_doubt = self._find(backend, key, in_doubt)
        found.sort(key=lambda run: run.is_empty)
        if is_in_doubt:
            delete_duplicates(backend, found[1:])
        if not found:
            try:
                created = backend.create_run(self._wanted(backend, run_id, opening))
            except NothingDone:
                raise
            except TrackerUnavailable:
                self._unanswered[key] = monotonic()
                raise
        run = found[0] if found else created
        self._unanswered.pop(key, None)
        kept: dict[str, Any] = {
            "run": run.id,
            "artifacts": run.artifact_uri,
            "tags": True,  # the mapping state has all of them
            "named": bool(opening.name) and not found,
            "place": [experiment_name(opening.tag), opening.shown // 1_000] if not found else _place(backend, run),
        }
        kept |= {"stage": "deleted"} if run.is_put_away else {}
        return kept | ({"doubted": True} if is_in_doubt else {}), not found

    def _wanted(self, backend: Backend, run_id: str, opening: Opening) -> NewRun:
        name = (opening.name or run_id)[:MAX_RUN_NAME]
        tags = {RUN_TAG: run_id[:MAX_TAG], KEY_TAG: run_key(run_id)}
        return NewRun(self._experiment(backend, opening.tag), name, opening.shown // 1_000, tags)

    def _is_elsewhere(self, kept: dict[str, Any], opening: Opening) -> bool:
        """Return True if a run has another start, or is in another experiment, than its events say by now."""
        if "place" not in kept:
            return False  # an earlier release began it: `gateway verify --repair` finds such runs
        experiment, started_ms = kept["place"]
        is_late = opening.started is not None and started_ms != opening.started // 1_000
        return is_late or bool(opening.tag and experiment != experiment_name(opening.tag))

    def _move(self, backend: Backend, run_id: str, kept: dict[str, Any], opening: Opening) -> None:
        """Make a run again where its events say by now that it belongs."""
        wanted = self._wanted(backend, run_id, opening)
        if not opening.tag:
            experiment = backend.get_run(kept["run"]).experiment_id
            wanted = wanted._replace(experiment_id=experiment or wanted.experiment_id)
        run = backend.get_run(kept["run"])
        if not run.is_active:
            raise MlflowRefused(f"run {run.id} is in MLflow's trash and cannot move: restore it, or repair it")
        if not is_wanted(run, wanted):
            run = replace_run(backend, run, wanted, KEY_TAG, PARENT_TAG)
        place = [experiment_name(opening.tag) if opening.tag else kept["place"][0], opening.shown // 1_000]
        kept |= {"run": run.id, "artifacts": run.artifact_uri, "place": place}

    def _find(self, backend: Backend, key: str, in_doubt: int) -> tuple[list[RemoteRun], bool]:
        """
        Return the runs of a key, and whether one may exist that is not visible yet.

        A creation whose answer was lost may take effect, or become visible to the search, a while later. It may also
        be one of the previous process.
        """
        since = self._unanswered.get(key, self._opened if in_doubt else None)
        while True:
            found = backend.find_runs(KEY_TAG, key)
            if found or since is None or monotonic() - since > SETTLE_S:
                return found, since is not None
            sleep(LOOK_AGAIN_S)

    def _experiment(self, backend: Backend, tag: str) -> str:
        name = experiment_name(tag)
        with self._creating:
            if name not in self._experiments:
                self._experiments[name] = backend.ensure_experiment(name)
            return self._experiments[name]

    def _store_artifacts(
        self, backend: Backend, remote: CachedRemoteRun, kept: dict[str, Any], spills: Sequence[ArtifactSpill]
    ) -> tuple[Sequence[ArtifactSpill], str]:
        """Write artifacts; return those that are not stored, and the reason."""
        if not spills:
            return (), ""
        if monotonic() < self._artifacts_at:
            return spills, "artifacts were refused a moment ago"
        kept.setdefault("artifacts", "")
        kept["artifacts"] = kept["artifacts"] or remote.run.artifact_uri
        for number, spill in enumerate(spills):
            if reason := backend.store_artifact(kept["artifacts"], spill.path, spill.content):
                self._artifacts_at = monotonic() + NO_ARTIFACTS_S
                return spills[number:], reason
        return (), ""

    def _late_tags(self, backend: Backend, kept: dict[str, Any], new: Translation) -> TagChanges:
        """Return tags for facts that were unknown when the run was created: its name, and its parent's run."""
        tags: TagChanges = {}
        if new.name:
            tags[RUN_NAME_TAG] = Opening(*kept["opening"]).name[:MAX_RUN_NAME]
        if new.parent_run_id is not None:
            kept["parent"] = new.parent_run_id or kept.get("parent", "")
        if kept.get("parent") and (parents := backend.find_runs(KEY_TAG, run_key(kept["parent"]))):
            kept["parent"] = ""
            tags[PARENT_TAG] = parents[0].id
        return tags

    def _set_status(
        self, backend: Backend, kept: dict[str, Any], key: str, change: StatusChange | None, *, is_new: bool
    ) -> None:
        if change is None or (is_new and change.status == "RUNNING"):
            return  # a new run is already running
        is_over = read_status(change.status) in ENDED
        if is_over and kept.pop("doubted", False):
            delete_duplicates(backend, [run for run in backend.find_runs(KEY_TAG, key) if run.id != kept["run"]])
        backend.set_status(kept["run"], change.status, change.time_ms if is_over else None)


def _place(backend: Backend, run: RemoteRun) -> list[Any]:
    experiment = backend.get_experiment(run.experiment_id).name if run.experiment_id else ""
    return [experiment, run.started_ms]


def _columns(backend: Backend, run: RemoteRun, mapping: MappingState) -> Iterator[SeriesColumns]:
    return series_columns(backend.metric_columns(run), mapping, run.tags)


def _points(backend: Backend, run: RemoteRun, mapping: MappingState) -> Iterator[Point]:
    for name, steps, times_ms, values, _ in _columns(backend, run, mapping):
        yield from map(Point, (name,) * len(steps), steps, times_ms, values)
