"""Calls of MLflow's REST API, at a door or at a stock server."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit


class Answer(NamedTuple):
    """What a server answers."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The error code; "" for an answer that is no error."""
        return str(self.body.get("error_code", ""))


def call(url: str, method: str, path: str, /, body: Any = None, **parameters: Any) -> Answer:
    """Make one call below /api/2.0/mlflow; a body that is bytes is sent as it is, any other as JSON."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    query = f"?{urlencode(parameters, doseq=True)}" if parameters else ""
    try:
        headers = {} if data is None else {"Content-Type": "application/json"}
        connection.request(method, f"/api/2.0/mlflow{path}{query}", data, headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read() or b"{}"))
    finally:
        connection.close()


def post(url: str, path: str, /, **fields: Any) -> Any:
    """Make a call that must succeed, and return its answer."""
    answer = call(url, "POST", path, fields)
    assert answer.status == 200, answer
    return answer.body


def create_run(url: str, **fields: Any) -> str:
    """Create a run and return its id."""
    created = post(url, "/runs/create", **({"experiment_id": "0", "start_time": 1_700_000_000_000} | fields))
    return str(created["run"]["info"]["run_id"])


def get_run(url: str, run_id: str) -> dict[str, Any]:
    """Return a run."""
    answer = call(url, "GET", "/runs/get", run_id=run_id)
    assert answer.status == 200, answer
    return dict(answer.body["run"])
