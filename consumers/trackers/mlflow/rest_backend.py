"""
An MLflow server, by its REST API.

The only file that speaks HTTP to MLflow. It sends with MLflow's own `http_request` (its headers, certificates, tokens
and plug-ins for authentication), but reads the answers itself: `MlflowClient` drops `Retry-After`, and turns every
metric into a protobuf and that into a dictionary before it is JSON. The delivery loop retries, so no call is retried
here: other runs go on meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import orjson
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from consumers.trackers.mlflow.backend import Held, New
from consumers.trackers.mlflow.metrics import Metric
from consumers.trackers.mlflow.requests import Call, body
from consumers.trackers.mlflow.responses import EXISTS, MISSING, MlflowRefused, NothingDone, TooLarge, parse
from schemas.errors import TrackerRefused, TrackerUnavailable

CONNECT_S = 10
PAGE_POINTS = 25_000  # of a metric's history: mlflow.store.tracking.GET_METRIC_HISTORY_MAX_RESULTS
PAGE_EXPERIMENTS = 1_000
KEEP_TRIES = 3  # of an artifact that a server fails to store; then the run goes on without it
SHARED = ("mlflow-artifacts",)  # artifacts that the server itself takes
_NEVER_SENT = ("NewConnectionError", "ConnectTimeout", "NameResolutionError")  # of urllib3 and requests


class RestPlace:
    """One MLflow server. `url` may hold user and password; no message does."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        self.where = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        creds = get_default_host_creds(self.where)
        if parts.username is not None:
            creds.username = unquote(parts.username)
            creds.password = unquote(parts.password) if parts.password is not None else creds.password
        self._creds = creds
        self._timeout = (CONNECT_S, timeout_s)
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout is for facts

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made when it is not there."""
        with suppress(MlflowRefused):
            return self._known(name)
        try:
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        except MlflowRefused as error:
            if error.code not in EXISTS:
                raise
            return self._known(name)  # another process was faster, or an answer was lost

    def find(self, tag: str, value: str) -> list[Held]:
        """Return the active runs that have this tag, in the order of their ids."""
        experiments = self._all_experiments()
        asked = {"experiment_ids": experiments, "filter": f"tags.`{tag}` = '{value}'", "max_results": 100}
        found = self._post("runs/search", asked).get("runs", []) if experiments else []
        return sorted((_held(run) for run in found), key=lambda held: held.run)

    def create(self, new: New) -> Held:
        """Make a run. Raises NothingDone when it was certainly not made."""
        tags = [{"key": key, "value": text} for key, text in new.tags.items()]
        asked = {"experiment_id": new.experiment, "start_time": new.started_ms, "run_name": new.name, "tags": tags}
        return _held(self._post("runs/create", asked)["run"])

    def held(self, run: str) -> Held:
        """Return what is known of a run."""
        return _held(self._get("runs/get", {"run_id": run})["run"])

    def log(self, run: str, call: Call) -> None:
        """Log metrics, params and tags; in smaller calls where something on the way takes no large ones."""
        try:
            self._send("POST", "/api/2.0/mlflow/runs/log-batch", data=body(run, call))
        except TooLarge:
            halves = call.halves()
            if halves is None:
                raise
            for half in halves:
                self.log(run, half)

    def history(self, run: str, key: str) -> Iterator[Metric]:
        """
        Yield every point of one metric, page by page.

        The server takes 48 µs of CPU for a point here, and 30 µs in `get-history-bulk` for many runs at once, which
        has no second page: what is beyond 25,000 points it would leave out.
        """
        asked: dict[str, Any] = {"run_id": run, "metric_key": key, "max_results": PAGE_POINTS}
        while True:
            page = self._get("metrics/get-history", asked)
            for row in page.get("metrics", []):
                yield Metric(key, float(row["value"]), int(row["timestamp"]), int(row.get("step", 0)))
            if not page.get("next_page_token"):
                return
            asked["page_token"] = page["next_page_token"]

    def set_status(self, run: str, status: str, ended_ms: int | None) -> None:
        """Set a run's status, and its end."""
        asked = {"run_id": run, "status": status} | ({"end_time": ended_ms} if ended_ms is not None else {})
        self._post("runs/update", asked)

    def delete(self, run: str) -> None:
        """Move a run to the trash."""
        self._post("runs/delete", {"run_id": run})

    def delete_tag(self, run: str, key: str) -> None:
        """Delete a tag; one that is not there is no error."""
        try:
            self._post("runs/delete-tag", {"run_id": run, "key": key})
        except MlflowRefused as error:
            if error.code != MISSING:
                raise

    def keep(self, artifacts: str, path: str, content: bytes) -> str:
        """Write an artifact through the server, or where its artifacts are; return why not, or nothing."""
        place = urlsplit(artifacts)
        if place.scheme not in SHARED:
            return f"artifacts of this server are at {place.scheme or 'a folder'}, which only it reaches"
        endpoint = "/api/2.0/mlflow-artifacts/artifacts/" + quote(f"{place.path.strip('/')}/{path}")
        for _ in range(KEEP_TRIES):
            answer = self._request("PUT", endpoint, data=content)
            if answer.status_code in (200, 201, 204):
                return ""
            if answer.status_code in (401, 429) or "Retry-After" in answer.headers:
                self._read(answer)
            if answer.status_code < 500:
                break
        return f"HTTP {answer.status_code}: {' '.join(str(answer.text)[:200].split())}"

    def close(self) -> None:
        """Connections belong to MLflow's client and end with the process."""

    def _known(self, name: str) -> str:
        found = self._get("experiments/get-by-name", {"experiment_name": name})["experiment"]
        if found.get("lifecycle_stage", "active") != "active":
            raise TrackerRefused(f"MLflow's experiment {name!r:.200} is deleted: restore it, or delete it for good")
        return str(found["experiment_id"])

    def _all_experiments(self) -> list[str]:
        asked: dict[str, Any] = {"max_results": PAGE_EXPERIMENTS}
        found: list[str] = []
        while True:
            page = self._post("experiments/search", asked)
            found += [str(one["experiment_id"]) for one in page.get("experiments", [])]
            if not page.get("next_page_token"):
                return found
            asked["page_token"] = page["next_page_token"]

    def _post(self, endpoint: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", f"/api/2.0/mlflow/{endpoint}", data=orjson.dumps(asked))

    def _get(self, endpoint: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("GET", f"/api/2.0/mlflow/{endpoint}", params=asked)

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
            raise self._unreached(error) from error

    def _read(self, answer: Any) -> dict[str, Any]:
        wait = answer.headers.get("Retry-After", "")
        return parse(self.where, answer.status_code, answer.content, wait, datetime.now(UTC))

    def _unreached(self, error: MlflowException) -> TrackerUnavailable:
        cause: BaseException | None = error.__cause__ or error.__context__
        text = " ".join(str(cause or error).split())[:300]
        kind = NothingDone if any(name in repr(cause) for name in _NEVER_SENT) else TrackerUnavailable
        return kind(f"MLflow at {self.where} does not take events now ({type(cause or error).__name__}: {text})")


def _held(run: Mapping[str, Any]) -> Held:
    info, data = run["info"], run.get("data", {})
    ended = info.get("end_time")
    return Held(
        run=info["run_id"],
        artifacts=info.get("artifact_uri", ""),
        status=info.get("status", ""),
        started_ms=int(info.get("start_time", 0)),
        ended_ms=None if ended is None else int(ended),
        is_active=info.get("lifecycle_stage", "active") == "active",
        keys=[row["key"] for row in data.get("metrics", [])],
        params={row["key"]: row.get("value", "") for row in data.get("params", [])},
        tags={row["key"]: row.get("value", "") for row in data.get("tags", [])},
    )
