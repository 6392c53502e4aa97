"""
An MLflow server, reached by its REST API.

The only module that speaks HTTP to MLflow. It sends with MLflow's own `http_request` (its headers, certificates, tokens
and authentication plug-ins) but reads the responses itself: `MlflowClient` drops `Retry-After`, and converts every
metric to a protobuf and that to a dictionary before it becomes JSON. It never repeats a call: the delivery loop does,
and other runs continue in the meantime.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import orjson
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from consumers.trackers.mlflow.backend import Experiment, NewRun, RemoteRun
from consumers.trackers.mlflow.metrics import Metric, MetricColumns
from consumers.trackers.mlflow.requests import Call, body, split_calls
from consumers.trackers.mlflow.responses import EXISTS, MISSING, MlflowRefused, NothingDone, TooLarge, parse
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.runtime.proxies import bypass_proxies_on_loopback

CONNECT_S = 10
PAGE_POINTS = 25_000  # of a metric's history: mlflow.store.tracking.GET_METRIC_HISTORY_MAX_RESULTS
PAGE_EXPERIMENTS = 1_000
ARTIFACT_TRIES = 3  # if the server fails to store an artifact; then the run continues without it
PROXIED_SCHEMES = ("mlflow-artifacts",)  # artifact stores that are written through the server
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_NEVER_SENT = ("NewConnectionError", "ConnectTimeout", "NameResolutionError")  # errors of urllib3 and requests


class RestBackend:
    """One MLflow server. `url` may contain user and password; no message does."""

    call_bytes = 256 * 1024  # 6,000 points or more: 8 s if 8 runs share a server of 6,000 points/s

    def __init__(self, url: str, *, timeout_s: float) -> None:
        bypass_proxies_on_loopback()
        parts = urlsplit(url)
        self.address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        creds = get_default_host_creds(self.address)
        if parts.username is not None:
            creds.username = unquote(parts.username)
            creds.password = unquote(parts.password) if parts.password is not None else creds.password
        self._creds = creds
        self._timeout = (CONNECT_S, timeout_s)
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout is for results

    def ensure_experiment(self, name: str) -> str:
        """Return the id of an experiment; create it if it does not exist."""
        if (found := self.find_experiment(name)) is not None:
            return _active(found)
        try:
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        except MlflowRefused as error:
            if error.code not in EXISTS:
                raise
            found = self.find_experiment(name)  # another process was faster, or an answer was lost
            if found is None:
                raise
            return _active(found)

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the experiment with this name, also a deleted one; None if there is none."""
        try:
            return _experiment(self._get("experiments/get-by-name", {"experiment_name": name})["experiment"])
        except MlflowRefused as error:
            if error.code != MISSING:
                raise
            return None

    def get_experiment(self, experiment: str) -> Experiment:
        """Return the experiment with this id."""
        return _experiment(self._get("experiments/get", {"experiment_id": experiment})["experiment"])

    def find_runs(self, tag: str, value: str) -> list[RemoteRun]:
        """Return the runs that have this tag, ordered by id: the active ones, and those that the log put away."""
        experiments = self._all_experiments()
        query = {"experiment_ids": experiments, "filter": f"tags.`{tag}` = '{value}'", "max_results": 100}
        found = self._post("runs/search", query | {"run_view_type": "ALL"}).get("runs", []) if experiments else []
        runs = [run for run in map(_remote_run, found) if run.is_active or run.is_put_away]
        return sorted(runs, key=lambda run: run.id)

    def create_run(self, new: NewRun) -> RemoteRun:
        """Create a run. Raises NothingDone if it was certainly not created."""
        tags = [{"key": key, "value": text} for key, text in new.tags.items()]
        fields = {
            "experiment_id": new.experiment_id,
            "start_time": new.started_ms,
            "run_name": new.name,
            "tags": tags,
        }
        return _remote_run(self._post("runs/create", fields)["run"])

    def get_run(self, run: str) -> RemoteRun:
        """Return what MLflow holds of a run."""
        return _remote_run(self._get("runs/get", {"run_id": run})["run"])

    def split(self, metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
        """Yield calls within MLflow's limits."""
        return split_calls(metrics, params, tags)

    def log_batch(self, run: str, call: Call) -> None:
        """Log metrics, params and tags; in smaller calls if the server or a proxy does not accept large ones."""
        try:
            self._send("POST", "/api/2.0/mlflow/runs/log-batch", data=body(run, call))
        except TooLarge:
            halves = call.halves()
            if halves is None:
                raise
            for half in halves:
                self.log_batch(run, half)

    def metric_columns(self, run: RemoteRun) -> Iterator[MetricColumns]:
        """
        Yield every point of a run, metric by metric and page by page.

        The server needs 48 µs of CPU for a point here. `get-history-bulk`, for many runs at once, needs 30 µs, but it
        has no second page and would omit the points after the first 25,000.
        """
        for key in sorted(run.metric_keys):
            query: dict[str, Any] = {"run_id": run.id, "metric_key": key, "max_results": PAGE_POINTS}
            while True:
                page = self._get("metrics/get-history", query)
                if rows := page.get("metrics"):
                    yield _columns(key, rows)
                if not page.get("next_page_token"):
                    break
                query["page_token"] = page["next_page_token"]

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set the status of a run and its end."""
        fields = {"run_id": run, "status": status} | ({"end_time": ended_ms} if ended_ms is not None else {})
        self._post("runs/update", fields)

    def delete_run(self, run: str) -> None:
        """Move a run to the trash."""
        self._post("runs/delete", {"run_id": run})

    def restore_run(self, run: str) -> None:
        """Take a run out of the trash; does nothing if it is not there."""
        self._post("runs/restore", {"run_id": run})

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; does nothing if the run does not have it."""
        try:
            self._post("runs/delete-tag", {"run_id": run, "key": key})
        except MlflowRefused as error:
            if error.code != MISSING:
                raise

    def store_artifact(self, artifact_uri: str, path: str, content: bytes) -> str:
        """Write an artifact through the server; return "" if it is stored, otherwise the reason."""
        uri = urlsplit(artifact_uri)
        if uri.scheme not in PROXIED_SCHEMES:
            return f"artifacts of this server are at {uri.scheme or 'a folder'}, which only the server can reach"
        endpoint = f"{_ARTIFACTS}/" + quote(f"{uri.path.strip('/')}/{path}")
        for _ in range(ARTIFACT_TRIES):
            response = self._request("PUT", endpoint, data=content)
            if response.status_code in (200, 201, 204):
                return ""
            if response.status_code in (401, 429) or "Retry-After" in response.headers:
                self._read(response)
            if response.status_code < 500:
                break
        return f"HTTP {response.status_code}: {' '.join(str(response.text)[:200].split())}"

    def load_artifacts(self, artifact_uri: str, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of every artifact in a folder and below; nothing if there is no such folder."""
        uri = urlsplit(artifact_uri)
        if uri.scheme not in PROXIED_SCHEMES:
            return
        root = uri.path.strip("/")
        waiting = [f"{root}/{folder}"]
        while waiting:
            path = waiting.pop()
            listed = self._request("GET", _ARTIFACTS, params={"path": path})
            if listed.status_code == 404:
                continue
            for item in self._read(listed).get("files", []):
                found = f"{path}/{item['path'].rpartition('/')[2]}"
                if item.get("is_dir"):
                    waiting.append(found)
                    continue
                response = self._request("GET", f"{_ARTIFACTS}/{quote(found)}")
                if response.status_code != 200:
                    self._read(response)
                yield found.removeprefix(f"{root}/"), response.content

    def close(self) -> None:
        """Do nothing: connections belong to MLflow's client and end with the process."""

    def _all_experiments(self) -> list[str]:
        query: dict[str, Any] = {"max_results": PAGE_EXPERIMENTS}
        found: list[str] = []
        while True:
            page = self._post("experiments/search", query)
            found += [str(one["experiment_id"]) for one in page.get("experiments", [])]
            if not page.get("next_page_token"):
                return found
            query["page_token"] = page["next_page_token"]

    def _post(self, endpoint: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", f"/api/2.0/mlflow/{endpoint}", data=orjson.dumps(fields))

    def _get(self, endpoint: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("GET", f"/api/2.0/mlflow/{endpoint}", params=query)

    def _send(self, method: str, endpoint: str, **more: Any) -> dict[str, Any]:
        return self._read(self._request(method, endpoint, **more))

    def _request(self, method: str, endpoint: str, **more: Any) -> Any:
        headers = {"Content-Type": "application/json"} if "data" in more else {}
        try:
            return http_request(
                self._creds, endpoint, method, max_retries=0, extra_headers=headers, timeout=self._timeout,
                raise_on_status=False, **more,
            )  # fmt: skip
        except MlflowException as error:
            raise self._unreachable(error) from error

    def _read(self, response: Any) -> dict[str, Any]:
        wait = response.headers.get("Retry-After", "")
        return parse(self.address, response.status_code, response.content, wait, datetime.now(UTC))

    def _unreachable(self, error: MlflowException) -> TrackerUnavailable:
        cause: BaseException | None = error.__cause__ or error.__context__
        text = " ".join(str(cause or error).split())[:300]
        kind = NothingDone if any(name in repr(cause) for name in _NEVER_SENT) else TrackerUnavailable
        return kind(f"MLflow at {self.address} does not take events now ({type(cause or error).__name__}: {text})")


def _experiment(found: Mapping[str, Any]) -> Experiment:
    is_active = found.get("lifecycle_stage", "active") == "active"
    return Experiment(str(found["experiment_id"]), found.get("name", ""), is_active)


def _active(found: Experiment) -> str:
    if not found.is_active:
        raise TrackerRefused(f"MLflow's experiment {found.name!r:.200} is deleted: restore it, or delete it for good")
    return found.id


def _columns(key: str, rows: Sequence[Mapping[str, Any]]) -> MetricColumns:
    return MetricColumns(
        key,
        [float(row["value"]) for row in rows],
        [int(row["timestamp"]) for row in rows],
        [int(row.get("step", 0)) for row in rows],
    )


def _remote_run(run: Mapping[str, Any]) -> RemoteRun:
    info, data = run["info"], run.get("data", {})
    ended = info.get("end_time")
    return RemoteRun(
        id=info["run_id"],
        artifact_uri=info.get("artifact_uri", ""),
        status=info.get("status", ""),
        started_ms=int(info.get("start_time", 0)),
        ended_ms=None if ended is None else int(ended),
        is_active=info.get("lifecycle_stage", "active") == "active",
        metric_keys=[row["key"] for row in data.get("metrics", [])],
        params={row["key"]: row.get("value", "") for row in data.get("params", [])},
        tags={row["key"]: row.get("value", "") for row in data.get("tags", [])},
        experiment_id=str(info.get("experiment_id", "")),
    )
