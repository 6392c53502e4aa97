"""
The tracker `mlflow`: runs in an MLflow tracking server, with the original times.

The only file that knows MLflow. It talks through `MlflowClient` and never through the fluent API, which stamps its own
times. Delivering twice changes nothing there: an equal metric row is no new row, an equal parameter is accepted, a tag
is overwritten, and the run is found by its tag before it is made. A parameter that gets another value (a later
attempt) keeps its first one, as MLflow wants, and the new one is the tag `gw.param.<name>@<attempt>`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import zip_longest
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from consumers.delivery.tracker import Capabilities, ReadBack, State
from consumers.trackers import mlflow_terms as terms
from consumers.trackers.mangling import mlflow_key, mlflow_name, shorten
from schemas import events as ev
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.settings import Settings
from schemas.wire import Batch

T = TypeVar("T")
MAX_METRICS, MAX_PARAMS = 900, 100  # in one call, tags as params, 1,000 together: mlflow.utils.validation
MAX_CALL_BYTES = 900_000  # documented bound 1e6; Databricks and proxies hold it
MAX_EXPERIMENT = 500  # characters
DEFAULT_EXPERIMENT = "Default"
TIMEOUT_S = 60
_REFUSALS = {
    "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "BAD_REQUEST",
    "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT",
}  # fmt: skip
_READ_STATUS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed", "SCHEDULED": "created"}


class MlflowTracker:
    """Runs in an MLflow server, found by their tag `gw.run_id`."""

    name = "mlflow"
    cannot_hold: Sequence[str] = (
        "times below a millisecond",
        "±Infinity: stored as ±1.797e308, told by the tag gw.nonfinite",
        "equal points (name, step, millisecond, value): one row",
        "the sign of -0.0, when the server's database is SQLite",
        f"parameters beyond {terms.MAX_PARAM} characters and tags beyond {terms.MAX_TAG}: cut",
        f"observations that are not numbers: text in params `name_step`, {terms.MAX_VALUES} a run",
        "console lines",
        "deletes and renames of series, parameters and tags",
    )

    capabilities = Capabilities(keeps_artifacts=True, can_delete=True)

    def __init__(self, *, url: str = "") -> None:
        self._url = url
        self._client: Any = None
        self._experiments: dict[str, str] = {}
        self._making = threading.Lock()  # two runs of one new experiment must not both create it

    def open(self, settings: Settings) -> None:
        """Take the address, from the settings unless it was given. Raises BadSettings when there is none."""
        self._url = self._url or settings.need("mlflow_url")
        if not self._url.startswith(("http://", "https://")):
            raise BadSettings(
                f"the address of MLflow is {_masked(self._url)!r}: write that of a server, http://host:port"
            )
        # The delivery loop retries, with other runs going on; the client's own 7 retries hold a thread for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT_S))
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout is for facts
        self._client = MlflowClient(tracking_uri=self._url)

    def close(self) -> None:
        """Connections belong to MLflow's client and end with the process."""

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Bring batches of a run to the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            return state  # what a producer still sends of it is gone with it
        events = [batch.event for batch in batches]
        if any(isinstance(event, ev.Deleted) and event.what == "run" for event in events):
            return self._delete(run_id, state)
        notes = terms.Notes.from_json(state.get("notes", {}))
        metrics, notes = terms.metrics(events, notes)
        params, notes = terms.params(events, notes)
        with self._translated():
            kept, is_new = (dict(state), False) if state else self._find_or_create(run_id, batches)
            run = kept["run"]
            held = {} if is_new or not params else dict(self._client.get_run(run).data.params)
            tags, notes = self._log_params(run, params, held, notes)
            tags |= terms.tags(events) | self._late_facts(kept, events) | _note_tags(notes)
            self._log_metrics(run, metrics, tags)
            self._set_status(run, terms.ended(events))
        return kept | {"notes": notes.to_json()}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read a run from the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        notes = terms.Notes.from_json(state.get("notes", {}))
        with self._translated():
            run = self._client.get_run(state["run"])
        observed = set(notes.values)
        params = {notes.name_of(key): text for key, text in run.data.params.items() if key not in observed}
        for key, text in run.data.tags.items():
            name = notes.name_of(key)
            if name.startswith(terms.PARAM_TAG):
                params[name.removeprefix(terms.PARAM_TAG).rpartition("@")[0]] = text
        ended = run.info.end_time
        return ReadBack(
            self._points(state["run"], sorted(run.data.metrics), notes),
            params,
            _READ_STATUS.get(run.info.status, "running"),
            run.info.start_time * 1_000,
            ended and ended * 1_000,
        )

    def _delete(self, run_id: str, state: State) -> State:
        """Move the run to MLflow's trash, where it may be already: `mlflow gc` empties it."""
        with self._translated():
            run = state["run"] if state else self._find(_run_key(run_id))
            if run is not None and self._client.get_run(run).info.lifecycle_stage == "active":
                self._client.delete_run(run)
        return {"deleted": True}

    def _points(self, run: str, keys: Sequence[str], notes: terms.Notes) -> Iterator[Point]:
        for key in keys:
            with self._translated():
                history = self._client.get_metric_history(run, key)
            rows = (terms.Metric(key, float(row.value), row.timestamp, row.step) for row in history)
            yield from terms.read_points(rows, notes)

    def _find_or_create(self, run_id: str, batches: Sequence[Batch]) -> tuple[dict[str, Any], bool]:
        """Return what is kept of a run that has no checkpoint, and whether it was made just now."""
        key = _run_key(run_id)
        found = self._find(key)
        opened = next((b.event for b in batches if isinstance(b.event, ev.RunStarted | ev.RunCreated)), None)
        is_new = found is None
        if found is None:
            tags = {"gw.run_id": run_id[: terms.MAX_TAG], "gw.run_key": key}
            created = self._client.create_run(
                self._experiment(opened.tag if opened else ""),
                start_time=(opened.time if opened else min(batch.event.time for batch in batches)) // 1_000,
                tags=tags,
                run_name=((opened.name if opened else "") or run_id)[: terms.MAX_RUN_NAME],
            )
            found = created.info.run_id
        return {"run": found, "named": bool(opened and opened.name)}, is_new

    def _find(self, key: str) -> str | None:
        experiments = [item.experiment_id for item in self._pages(self._client.search_experiments)]
        asked = f"tags.`gw.run_key` = '{key}'"
        found = self._client.search_runs(experiments, filter_string=asked, max_results=1)
        return found[0].info.run_id if found else None

    def _pages(self, ask: Callable[..., Any]) -> Iterator[Any]:
        page = ask()
        yield from page
        while page.token:
            page = ask(page_token=page.token)
            yield from page

    def _experiment(self, tag: str) -> str:
        name = shorten(tag.strip() or DEFAULT_EXPERIMENT, tag, MAX_EXPERIMENT)
        with self._making:
            if name not in self._experiments:
                found = self._client.get_experiment_by_name(name)
                if found is not None and found.lifecycle_stage != "active":
                    raise TrackerRefused(
                        f"MLflow's experiment {name!r:.200} is deleted: restore it, or delete it for good"
                    )
                self._experiments[name] = found.experiment_id if found else self._client.create_experiment(name)
            return self._experiments[name]

    def _log_metrics(self, run: str, metrics: Sequence[terms.Metric], tags: Mapping[str, str]) -> None:
        points = [Metric(key, value, time, step) for key, value, time, step in metrics]
        words = [RunTag(key, text) for key, text in tags.items()]
        calls: Iterable[tuple[list[Any], list[Any]]] = zip_longest(
            _parts(points, MAX_METRICS, MAX_CALL_BYTES // 2, lambda metric: len(metric.key) * 4 + 100),
            _parts(words, MAX_PARAMS, MAX_CALL_BYTES // 2, lambda tag: len(tag.key) * 4 + len(tag.value) * 4 + 50),
            fillvalue=[],
        )
        for part, shown in calls:
            self._client.log_batch(run, metrics=part, tags=shown, synchronous=True)

    def _log_params(
        self, run: str, params: Sequence[terms.Param], held: dict[str, str], notes: terms.Notes
    ) -> tuple[dict[str, str], terms.Notes]:
        """Log what MLflow takes as params; return the rest as tags, with the names of those in the notes."""
        tags: dict[str, str] = {}
        names = dict(notes.names)
        new: dict[str, str] = {}
        for param in params:
            text = param.text[: terms.MAX_PARAM]
            if param.owns and held.setdefault(param.key, text) == text:
                new[param.key] = text
                continue
            name = f"{param.prefix}{notes.name_of(param.key)}@{param.attempt}"
            key = mlflow_key(name)
            tags[key] = param.text[: terms.MAX_TAG]
            if mlflow_name(key) != name:
                names[key] = name
        made = [Param(key, text) for key, text in new.items()]
        size = MAX_CALL_BYTES
        for part in _parts(made, MAX_PARAMS, size, lambda param: len(param.key) * 4 + len(param.value) * 4 + 50):
            self._client.log_batch(run, params=part, synchronous=True)
        return tags, notes._replace(names=names)

    def _late_facts(self, kept: dict[str, Any], events: Sequence[Any]) -> dict[str, str]:
        """Return tags for what was not known when the run was made: its name, and its parent's run."""
        tags: dict[str, str] = {}
        for event in events:
            if isinstance(event, ev.RunStarted | ev.RunCreated | ev.RunResumed):
                kept["parent"] = event.parent_run_id or kept.get("parent", "")
                if event.name and not kept["named"]:
                    kept["named"] = True
                    tags["mlflow.runName"] = event.name[: terms.MAX_RUN_NAME]
        if kept.get("parent") and (parent := self._find(_run_key(kept["parent"]))):
            kept["parent"] = ""
            tags["mlflow.parentRunId"] = parent
        return tags

    def _set_status(self, run: str, ended: terms.Ended | None) -> None:
        if ended is None:
            return
        if ended.status in _READ_STATUS and ended.status != "SCHEDULED":
            self._client.set_terminated(run, ended.status, ended.time_ms)
        else:
            self._client.update_run(run, status=ended.status)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            text = _masked(" ".join(str(error).split()))[:400]
            where = _masked(self._url)
            if error.error_code in _REFUSALS:
                raise TrackerRefused(f"MLflow at {where} refuses it ({text})") from error
            raise TrackerUnavailable(f"MLflow at {where} does not take events now ({text})") from error


def _masked(text: str) -> str:
    """Return text without the passwords of the addresses in it."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]*@", r"\1:***@", text)


def _run_key(run_id: str) -> str:
    """Return what a run is looked up by: MLflow's filter language has no escape for quotes."""
    return blake2b(run_id.encode(), digest_size=16).hexdigest()


def _note_tags(notes: terms.Notes) -> dict[str, str]:
    tags = {f"gw.name.{key[-32:]}": name[: terms.MAX_TAG] for key, name in notes.names.items()}
    if notes.infinite:
        counts = {notes.name_of(key): count for key, count in notes.infinite.items()}
        tags["gw.nonfinite"] = terms.dump(counts)[: terms.MAX_TAG]
    if notes.left_out:
        tags["gw.values_left_out"] = str(notes.left_out)
    return tags


def _parts(items: Sequence[T], count: int, max_bytes: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the items in lists of at most `count`, and of at most `max_bytes` but for an item that is larger alone."""
    part: list[T] = []
    total = 0
    for item in items:
        here = size(item)
        if part and (len(part) >= count or total + here > max_bytes):
            yield part
            part, total = [], 0
        part.append(item)
        total += here
    if part:
        yield part
