"""The door's routes: which forms of a request are read as MLflow's servers read them, and which are refused."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import httpx
import pytest
from fastapi import FastAPI

from gateway.server.ingest.bodies import Budget
from gateway.server.mlflow import errors, routing
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.needs import needs_of
from gateway.server.mlflow.protobuf import array, integer, required, string
from gateway.server.mlflow.routing import Call, Route
from schemas.runtime.access.guard import AccessGuard, access_of
from schemas.runtime.settings import Settings

BATCH = {"run_id": [required, string], "metrics": [array]}


class _Parts:
    budget = Budget(1 << 20)


class Answer(NamedTuple):
    """What a door of three routes answers, and what its handler got."""

    status: int
    code: str | None
    call: Call | None


def ask(method: str, path: str, body: bytes, kind: str | None = None) -> Answer:
    """Send a request to a door whose handlers answer nothing."""
    got: list[Call] = []

    async def handled(door: Door, call: Call) -> Mapping[str, Any]:
        got.append(call)
        return {}

    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            headers = {"Content-Type": kind} if kind else {}
            return await http.request(method, path, content=body, headers=headers)

    app = FastAPI()
    errors.install(app)
    history = {"run_id": [required, string], "max_results": [integer]}
    routes = [Route("POST", "/mlflow/runs/log-batch", "LogBatch", handled, BATCH),
              Route("PATCH", "/mlflow/models", "SetLoggedModelTags", handled),
              Route("GET", "/mlflow/metrics/get-history", "GetMetricHistory", handled, history)]  # fmt: skip
    app.add_middleware(AccessGuard, access=access_of(Settings(), "127.0.0.1", needs_of(routes)))
    routing.install(app, cast(Door, _Parts()), routes)
    answer = asyncio.run(sent())
    return Answer(answer.status_code, answer.json().get("error_code"), got[0] if got else None)


def post(body: bytes, kind: str = "application/json") -> Answer:
    """Send a log-batch request."""
    return ask("POST", "/api/2.0/mlflow/runs/log-batch", body, kind)


@pytest.mark.parametrize("number", ['"NaN"', "NaN", '"-Infinity"', "-Infinity", '"1e3"', "5"])
def test_a_number_may_be_written_as_each_client_writes_it(number: str) -> None:
    body = '{"run_id": "r", "metrics": [{"key": "m", "value": %s, "timestamp": "7", "step": 3}]}'
    call = post((body % number).encode()).call
    assert call is not None
    (found,) = call.message.metrics
    expected = float(number.strip('"'))
    assert found.value == expected or (math.isnan(found.value) and math.isnan(expected))
    assert (found.timestamp, found.step) == (7, 3)


def test_json_in_a_json_text_is_read() -> None:
    call = post(json.dumps('{"run_id": "r", "tags": [{"key": "k", "value": "v"}]}').encode()).call
    assert call is not None
    assert call.message.tags[0].value == "v"


def test_a_get_may_have_its_fields_in_a_body() -> None:
    path = "/api/2.0/mlflow/metrics/get-history"
    call = ask("GET", path, b'{"run_id": "r"}').call
    assert call is not None
    assert call.message.run_id == "r"
    assert ask("GET", path, b"")[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_only_post_and_put_need_a_content_type() -> None:
    call = ask("PATCH", "/api/2.0/mlflow/models", b'{"tags": [{"key": "k", "value": "v"}]}', "text/x").call
    assert call is not None
    assert call.message.tags[0].key == "k"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/json;charset=latin-1"])
def test_a_content_type_may_have_parameters(kind: str) -> None:
    assert post(b'{"run_id": "r"}', kind)[:2] == (200, None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"run_id": "r"}', "text/plain"),
        (b'{"run_id": "r", "runId": "r"}', "application/json"),  # which of the two is meant?
        (b'{"run_id": "r", "metrics": [{"key": "m", "datasetName": "", "dataset_name": ""}]}', "application/json"),
        (b'"no JSON"', "application/json"), (b"[]", "application/json"), (b"5", "application/json"),
        (b"[" * 200_000, "application/json"), (b'{"run_id": ' + b"[" * 200_000, "application/json"),
        (b'{"run_id', "application/json"),
        (b'{"metrics": [{"key": "m", "value": %s}]}' % (b"9" * 400), "application/json"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_an_invalid_parameter(body: bytes, kind: str) -> None:
    assert post(body, kind)[:2] == (400, "INVALID_PARAMETER_VALUE")
