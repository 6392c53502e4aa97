"""What the door does not serve itself: refused, or answered by MLflow's own server behind it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import psutil
import pytest
from mlflow.tracking import MlflowClient

from gateway.local.command import Command
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import mlflow_server
from gateway.local.supervision.process import end, spawn, wait_until
from tests.support.dialect_stack import DialectStack
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.mlflow_service import MlflowServer
from tests.support.server_process import request

TOKEN = "hunter2"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def shown(stack: DialectStack) -> Iterator[MlflowDoor]:
    """A door with a token, and with MLflow's server behind it once a request needs it."""
    with mlflow_door(stack, mlflow_ui="auto", token=TOKEN) as made:
        yield made


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object of an answer."""
    status, _, text = request(port, method, path, None if body is None else json.dumps(body).encode(), headers)
    return status, json.loads(text)


def test_a_door_without_pages_refuses_what_it_does_not_serve(door: MlflowDoor) -> None:
    for method, path, expected in (
        ("POST", "/api/2.0/mlflow/nope", (404, "ENDPOINT_NOT_FOUND")),
        ("GET", "/ajax-api/9.0/nope", (404, "ENDPOINT_NOT_FOUND")),
        ("POST", "/store/api/3.0/mlflow/traces", (501, "NOT_IMPLEMENTED")),
        ("DELETE", "/api/3.0/mlflow/server-info", (405, "BAD_REQUEST")),
        ("DELETE", "/store/api/3.0/mlflow/server-info", (405, "BAD_REQUEST")),
        ("GET", "/", (501, "NOT_IMPLEMENTED")),
        ("POST", "/graphql", (501, "NOT_IMPLEMENTED")),
    ):
        status, answer = ask(door.port, method, path, {} if method == "POST" else None)
        assert ((status, answer["error_code"]), bool(answer["message"])) == (expected, True), (method, path)


def test_it_says_what_it_can_and_has_nothing_of_the_rest_as_a_stock_server(
    door: MlflowDoor, stock: MlflowServer
) -> None:
    _, ours = ask(door.port, "GET", "/api/3.0/mlflow/server-info")
    port = int(stock.url.rpartition(":")[2])
    _, theirs = ask(port, "GET", "/api/3.0/mlflow/server-info")
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {
        "presigned_upload_run_id_supported", "presigned_upload_model_id_supported", "features_enabled",
    }  # fmt: skip

    here = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]}
    for method, path, body in (
        ("POST", "/ajax-api/3.0/mlflow/traces/search", here),
        ("POST", "/ajax-api/3.0/mlflow/traces/search", {}),
        ("POST", "/ajax-api/3.0/mlflow/traces/batchGetInfos", {}),
        ("GET", "/ajax-api/3.0/mlflow/scorers/list?experiment_id=0", None),
        ("POST", "/ajax-api/3.0/mlflow/datasets/search", {"experiment_ids": ["0"]}),
        ("POST", "/ajax-api/3.0/mlflow/issues/search", {"experiment_id": "0"}),
        ("GET", "/ajax-api/3.0/mlflow/review-queues/list?experiment_id=0", None),
        ("GET", "/ajax-api/3.0/mlflow/gateway/endpoints/list", None),
        ("POST", "/ajax-api/3.0/jobs/search", {}),
        ("GET", "/ajax-api/3.0/mlflow/ui-telemetry", None),
    ):
        (status, answer), (expected, stock_answer) = ask(door.port, method, path, body), ask(port, method, path, body)
        assert (status, answer.get("error_code")) == (expected, stock_answer.get("error_code")), path
        assert status != 200 or answer == stock_answer, path


def test_pages_and_the_rest_of_the_api_come_from_the_server_behind_the_door(shown: MlflowDoor) -> None:
    status, headers, page = request(shown.port, "GET", "/", headers=BEARER)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8"), page
    script = page.decode().partition('src="static-files/')[2].partition('"')[0]
    status, headers, text = request(shown.port, "GET", f"/static-files/{script}", headers=BEARER)
    assert (status, int(headers["content-length"])) == (200, len(text))
    assert request(shown.port, "GET", "/api/2.0/mlflow/nope", headers=BEARER)[0] == 404

    status, answer = ask(shown.port, "POST", "/ajax-api/3.0/mlflow/assistant/sessions", {}, **BEARER)
    assert (status, answer["error_code"]) == (404, "ENDPOINT_NOT_FOUND"), "it would run programs on the machine"

    # It asks this door, which refuses what it does not serve instead of asking back.
    trace = {"trace": {"trace_info": {"trace_id": "tr-1", "trace_location": {"type": "MLFLOW_EXPERIMENT"}}}}
    status, answer = ask(shown.port, "POST", "/api/3.0/mlflow/traces", trace, **BEARER)
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_a_request_without_the_token_reaches_nothing_but_health_and_version(shown: MlflowDoor) -> None:
    for path in ("/health", "/version"):
        assert [request(shown.port, method, path)[0] for method in ("GET", "HEAD", "POST")] == [200, 200, 401]
    for path in ("/", "/api/3.0/mlflow/server-info", "/store/api/3.0/mlflow/server-info", "/static-files/x"):
        status, headers, body = request(shown.port, "GET", path)
        assert (status, json.loads(body)["error_code"]) == (401, "UNAUTHENTICATED"), path
        assert headers["www-authenticate"].startswith("Basic "), "a browser asks for it"


def test_a_page_of_another_site_reaches_nothing_on_a_door_without_a_token(door: MlflowDoor) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = ask(door.port, "GET", "/api/3.0/mlflow/server-info", **headers)
        assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED"), headers


@pytest.mark.slow
def test_a_server_behind_the_door_that_dies_is_started_again_and_ends_with_the_door(stack: DialectStack) -> None:
    with mlflow_door(stack, mlflow_ui="auto") as made:
        assert made.process is not None
        door_process = psutil.Process(made.process.pid)
        assert request(made.port, "GET", "/")[0] == 200
        (first,) = door_process.children()
        first.kill()
        psutil.wait_procs([first], timeout=60)

        assert request(made.port, "GET", "/")[0] == 200
        (second,) = door_process.children()
        assert second != first
        made.end(signal.SIGKILL)
        _, alive = psutil.wait_procs([second], timeout=60)
        assert alive == []


@pytest.mark.slow
def test_a_stock_server_over_a_door_by_its_command_line_and_a_client_over_it(door: MlflowDoor, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    over = door.url.replace("http", "gateway")
    options = ["--backend-store-uri", over, "--host", HOST, "--port", str(port), "--workers", "2"]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    argv = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", *options]
    child = spawn(Command(argv, {}), DEVNULL, environment=environment, folder=tmp_path)
    try:
        assert wait_until(lambda: mlflow_server.serves(HOST, port), child, 150)
        clients = [MlflowClient(uri, uri) for uri in (f"http://{HOST}:{port}", over, door.url)]
        assert [one.get_experiment_by_name("Default").experiment_id for one in clients] == ["0"] * 3
        run_id = clients[0].create_run("0").info.run_id
        for number, one in enumerate(clients):
            one.log_metric(run_id, "loss", 0.5, step=number)
            one.log_text(run_id, f"by {number}", f"model/{number}.txt")
        for one in clients:
            assert [point.step for point in one.get_metric_history(run_id, "loss")] == [0, 1, 2]
            assert [file.path for file in one.list_artifacts(run_id, "model")] == [f"model/{n}.txt" for n in range(3)]
            found = one.download_artifacts(run_id, "model", str(tmp_path))
            assert [(Path(found) / f"{n}.txt").read_text() for n in range(3)] == ["by 0", "by 1", "by 2"]
        assert not (tmp_path / "mlartifacts").exists()
    finally:
        end(child, timeout_s=10)


def test_a_server_behind_the_door_that_is_away_is_refused_without_a_reason_to_try_again(stack: DialectStack) -> None:
    with mlflow_door(stack, mlflow_ui="http://127.0.0.1:9") as made:
        status, answer = ask(made.port, "GET", "/ajax-api/2.0/mlflow/nope")
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert "does not answer" in answer["message"]
