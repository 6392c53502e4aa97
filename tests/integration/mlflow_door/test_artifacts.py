"""Artifacts through MLflow's proxy: the answers of a stock server, bytes of any length, nothing of half an upload."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.dialect_stack import DialectStack
from tests.support.mlflow_calls import create_run, post
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.mlflow_service import MlflowServer
from tests.support.process_tree import until

PROXY, LIST = "/api/2.0/mlflow-artifacts/artifacts", "/api/2.0/mlflow/artifacts/list"
POSTED = "/ajax-api/2.0/mlflow/upload-artifact"
PARTS, SIGNED = "/api/2.0/mlflow-artifacts/mpu", "/api/2.0/mlflow/artifacts/presigned"
HTML = b"<script>alert(document.cookie)</script>"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str) -> Answer:
    """Send a request with the path as it is: nothing makes it harmless."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    if isinstance(body, dict):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def uri(url: str, run_id: str) -> str:
    """Return the proxy's path of a run's artifacts."""
    found = json.loads(ask(url, "GET", f"{LIST}?run_id={run_id}").body)["root_uri"]
    return f"{PROXY}/{str(found).removeprefix('mlflow-artifacts:/')}"


def listed(url: str, run_id: str, path: str = "") -> list[Any]:
    return list(json.loads(ask(url, "GET", f"{LIST}?run_id={run_id}&path={path}").body).get("files", []))


class _Case(NamedTuple):
    """A request; RUN and ROOT stand for a run's id and for the path of its artifacts below the proxy."""

    method: str
    path: str
    body: bytes | dict[str, Any] | None = None
    range: str = ""


HOSTILE = [
    "../x", "..%2fx", "%2e%2e/x", "%252e%252e/x", "a/../../x", "a%23b", "a%00b", "a%5C..%5Cb", "a/", "a//b", "C:%5Cx",
    "%C3%BC%20%E2%82%AC",
]  # fmt: skip
SAME = [
    _Case("PUT", f"{PROXY}/ROOT/a.txt", b"hello"),
    _Case("PUT", f"{PROXY}/ROOT/a.txt", b"hello"),
    _Case("PUT", f"{PROXY}/ROOT/d/b.html", HTML),
    _Case("PUT", f"{PROXY}/ROOT/d/e/c.bin", bytes(range(256))),
    _Case("PUT", f"{PROXY}/ROOT/empty", b""),
    _Case("POST", f"{POSTED}?run_uuid=RUN&path=up/x.txt", b"posted"),
    *(_Case("GET", f"{LIST}?run_id=RUN{rest}") for rest in (
        "", "&path=", "&path=d", "&path=d/", "&path=d/e", "&path=a.txt", "&path=nothing", "&path=../x", "&path=/etc",
        "&path=%252e%252e", "&path=d%00", "&path=a%23")),
    _Case("GET", f"{LIST}?run_uuid=RUN"),
    _Case("GET", LIST),
    _Case("GET", f"{LIST}?run_id=unknown"),
    *(_Case("GET", f"{PROXY}?path={path}") for path in (
        "ROOT", "ROOT/d", "ROOT/a.txt", "0/unknown/artifacts", "../..", "/etc")),
    *(_Case(method, f"{PROXY}/ROOT/{path}") for method in ("GET", "HEAD") for path in (
        "a.txt", "d/b.html", "d/e/c.bin", "empty", "up/x.txt", "d", "no", "a.txt/x", "")),
    *(_Case("GET", f"{PROXY}/ROOT/a.txt", range=part) for part in ("bytes=1-2", "bytes=-2", "bytes=1-", "bytes=9-")),
    _Case("GET", f"{PROXY}/0/unknown/artifacts/a.txt"),
    *(_Case("GET", f"/get-artifact?{rest}") for rest in (
        "run_id=RUN&path=a.txt", "run_uuid=RUN&path=d/b.html", "run_id=RUN&path=d", "run_id=RUN&path=no",
        "run_id=unknown&path=a.txt", "run_id=RUN", "run_id=RUN&path=../../../etc/passwd")),
    *(_Case("POST", POSTED + rest, body) for rest, body in (
        ("?path=x", b"x"), ("?run_uuid=RUN", b"x"), ("?run_uuid=RUN&path=x", b""), ("?run_uuid=RUN&path=../x", b"x"),
        ("?run_uuid=unknown&path=x", b"x"), ("?run_uuid=RUN&path=x", bytes(10 * 1024 * 1024 + 1)))),
    _Case("POST", f"{PARTS}/create/ROOT", {"path": "a", "num_parts": 2}),
    _Case("POST", f"{PARTS}/create/ROOT", {}),
    _Case("POST", f"{PARTS}/create/../x", {"path": "a"}),
    _Case("POST", f"{PARTS}/complete/ROOT", {"path": "a", "upload_id": "1", "parts": [{"part_number": 1}]}),
    _Case("POST", f"{PARTS}/complete/ROOT", {"path": "a"}),
    _Case("POST", f"{PARTS}/abort/ROOT", {"path": "a", "upload_id": "1"}),
    _Case("GET", "/api/2.0/mlflow-artifacts/presigned/ROOT/a.txt"),
    _Case("GET", "/api/2.0/mlflow-artifacts/presigned/../x"),
    *(_Case("POST", f"{SIGNED}-upload-url", body) for body in (
        {"run_id": "RUN", "path": "x"}, {"path": "x"}, {"run_id": "RUN"}, {"run_id": "unknown", "path": "x"},
        {"model_id": "m-unknown", "path": "x"})),
    *(_Case("POST", f"{SIGNED}-download-url", body) for body in (
        {"run_id": "RUN", "path": "x"}, {"run_id": "RUN", "path": "x", "expiration": 0}, {"path": "x"},
        {"run_id": "RUN", "path": "../x"})),
    *(_Case("GET", f"/ajax-api/2.0/mlflow/logged-models/m-unknown/artifacts/files{rest}") for rest in (
        "", "?artifact_file_path=x")),
    _Case("GET", "/model-versions/get-artifact?name=unknown&version=1&path=x"),
    _Case("GET", "/model-versions/get-artifact?name=unknown&version=1&path=../x"),
    _Case("DELETE", f"{PROXY}/ROOT/a.txt"),
    _Case("GET", f"{PROXY}/ROOT/a.txt"),
    _Case("DELETE", f"{PROXY}/ROOT/d"),
    _Case("DELETE", f"{PROXY}/ROOT/no"),
    _Case("GET", f"{LIST}?run_id=RUN"),
    _Case("DELETE", f"{PROXY}/ROOT"),
    _Case("GET", f"{LIST}?run_id=RUN"),
    *(_Case(method, f"{PROXY}/ROOT/{path}", body) for path in HOSTILE for method, body in (
        ("PUT", b"h"), ("GET", None), ("DELETE", None))),
    *(_Case("PUT", f"{PROXY}/{path}", b"x") for path in ("../x", "%2e%2e/x")),
]  # fmt: skip


def _answers(url: str) -> Iterator[tuple[_Case, Any]]:
    run_id = create_run(url)
    root = uri(url, run_id).removeprefix(f"{PROXY}/")
    for case in SAME:
        body: Any = case.body
        if isinstance(body, dict):
            body = {name: run_id if value == "RUN" else value for name, value in body.items()}
        path = case.path.replace("ROOT", root).replace("RUN", run_id)
        answer = ask(url, case.method, path, body, **({"Range": case.range} if case.range else {}))
        yield case, _comparable(answer, {root: "ROOT", run_id: "RUN"})


def _comparable(answer: Answer, names: Mapping[str, str]) -> Any:
    """Return status and bytes, or status and MLflow's error; some answers of MLflow are a page or another form."""
    text = answer.body.decode(errors="replace")
    for value, name in names.items():
        text = text.replace(value, name)
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = text
    if answer.status >= 400:
        is_named = isinstance(found, dict) and "error_code" in found
        return answer.status, (found["error_code"], found["message"][:60]) if is_named else None
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return answer.status, found, answer.headers.get("content-range"), kind


def test_every_answer_is_that_of_a_stock_server(door: MlflowDoor, stock: MlflowServer) -> None:
    here, there = list(_answers(door.url)), list(_answers(stock.url))
    for (case, mine), (_, theirs) in zip(here, there, strict=True):
        assert mine[:1] == theirs[:1], (case, mine, theirs)
        assert theirs[1] is None or mine == theirs, (case, mine, theirs)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "ROOT//etc/x", 400, "INVALID_PARAMETER_VALUE"),  # MLflow answers 500, which its clients repeat
        ("PUT", "ROOT/./x", 400, "INVALID_PARAMETER_VALUE"),
        ("PUT", "ROOT/" + "x" * 1_025, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "ROOT/" + "x" * 1_025, 400, "INVALID_PARAMETER_VALUE"),
        ("PUT", "ROOT", 400, "INVALID_PARAMETER_VALUE"),
        ("PUT", "other/x", 400, "INVALID_PARAMETER_VALUE"),  # MLflow takes files that belong to no run
        ("GET", "other/x", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", "0/unknown/artifacts/x", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", "0/models/m-unknown/artifacts/x", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", "0/unknown/artifacts/x", 200, ""),
        ("GET", "", 404, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_what_differs_from_a_stock_server_is_refused_for_good(
    door: MlflowDoor, method: str, path: str, status: int, code: str
) -> None:
    run_id = create_run(door.url)
    root = uri(door.url, run_id).removeprefix(f"{PROXY}/")
    answer = ask(door.url, method, f"{PROXY}/{path.replace('ROOT', root)}", b"x" if method == "PUT" else None)
    assert (answer.status, json.loads(answer.body).get("error_code", "")) == (status, code)
    assert listed(door.url, run_id) == []


def test_a_page_that_was_stored_never_runs_in_the_origin_of_the_door(door: MlflowDoor) -> None:
    run_id = create_run(door.url)
    ask(door.url, "PUT", f"{uri(door.url, run_id)}/%C3%BC%20%22%25.html", HTML)
    for path in (
        f"{uri(door.url, run_id)}/%C3%BC%20%22%25.html",
        f"/get-artifact?run_id={run_id}&path=%C3%BC%20%22%25.html",
    ):
        answer = ask(door.url, "GET", path)
        assert (answer.status, answer.body) == (200, HTML)
        assert answer.headers["content-disposition"] == (
            "attachment; filename=\"_ __.html\"; filename*=UTF-8''%C3%BC%20%22%25.html"
        )
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_upload_of_any_length_takes_little_memory_and_comes_back_the_same(door: MlflowDoor) -> None:
    run_id, piece, count = create_run(door.url), bytes(range(256)) * 4_096, 96  # 1 MiB each
    assert door.process is not None
    process = psutil.Process(door.process.pid)
    before = process.memory_info().rss

    def pieces() -> Iterator[bytes]:
        for _ in range(count):
            yield piece
            grown.append(process.memory_info().rss - before)

    grown: list[int] = []
    place = f"{uri(door.url, run_id)}/big.bin"
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
    connection.request("PUT", place, pieces())  # in chunks: no length is announced
    stored = connection.getresponse()
    assert (stored.status, stored.read()) == (200, b"")
    digest, read = hashlib.sha256(), 0
    connection.request("GET", place)
    answer = connection.getresponse()
    while data := answer.read(1_048_576):
        digest.update(data)
        read += len(data)
        grown.append(process.memory_info().rss - before)
    connection.close()

    assert (read, digest.hexdigest()) == (count * len(piece), hashlib.sha256(piece * count).hexdigest())
    assert max(grown) < 48 * 1_048_576, f"{max(grown):,} bytes"
    assert listed(door.url, run_id) == [{"path": "big.bin", "is_dir": False, "file_size": count * len(piece)}]


def test_half_an_upload_leaves_nothing(door: MlflowDoor, stack: DialectStack) -> None:
    run_id, store = create_run(door.url), stack.place.folder / "artifacts"
    head = f"PUT {uri(door.url, run_id)}/half.bin HTTP/1.1\r\nHost: {door.url[7:]}\r\nContent-Length: 4000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), 30) as connection:
        connection.sendall(head.encode() + bytes(2_000_000))
        until(lambda: _partial(store), "a piece is written")
    until(lambda: not _partial(store), "what was written is deleted")
    assert listed(door.url, run_id) == []
    assert ask(door.url, "PUT", f"{uri(door.url, run_id)}/half.bin", b"whole").status == 200
    assert [one["path"] for one in listed(door.url, run_id)] == ["half.bin"]


def _partial(store: Path) -> list[Path]:
    return [path for path in (store / "partial").glob("*") if path.stat().st_size]


def test_artifacts_of_a_run_of_the_native_client_are_listed_and_read(
    door: MlflowDoor, stack: DialectStack, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    (tmp_path / "plot.html").write_bytes(HTML)
    store = {"GATEWAY_ARTIFACTS": (stack.place.folder / "artifacts").as_uri()}
    script = """
import sys, gateway
with gateway.start_run("mlflow-door-native") as run:
    run.log_artifact(sys.argv[1], artifact_path="model")
    run.artifact("elsewhere", "s3://bucket/key")
assert run.finish()
print(run.id)
"""
    run_id = stack.python("-c", script, str(tmp_path / "weights.pt"), env=store).stdout.split()[-1]
    until(lambda: ask(door.url, "GET", f"/get-artifact?run_id={run_id}&path=model/weights.pt").status == 200, "stored")
    until(lambda: len(listed(door.url, run_id)) == 2, "both artifacts are folded")

    assert listed(door.url, run_id) == [{"path": "elsewhere", "is_dir": False}, {"path": "model", "is_dir": True}]
    assert ask(door.url, "GET", f"{uri(door.url, run_id)}/model/weights.pt").body == b"weights"
    refused = ask(door.url, "GET", f"{uri(door.url, run_id)}/elsewhere")
    assert refused.status == 404
    assert "it is a reference to 's3://bucket/key'" in json.loads(refused.body)["message"]


def test_a_door_without_a_store_says_what_to_set_and_lists_what_there_is(door: MlflowDoor, stack: DialectStack) -> None:
    run_id = create_run(door.url)
    place = f"{uri(door.url, run_id)}/a.txt"
    ask(door.url, "PUT", place, b"hello")
    with mlflow_door(stack, artifacts="") as other:
        for answer in (ask(other.url, "PUT", place, b"x" * 3_000_000), ask(other.url, "GET", place)):
            found = json.loads(answer.body)
            assert (answer.status, found["error_code"]) == (501, "NOT_IMPLEMENTED")
            assert "set GATEWAY_ARTIFACTS" in found["message"]
        until(lambda: listed(other.url, run_id), "it lists what the other door recorded")


def test_the_files_of_a_logged_model(door: MlflowDoor) -> None:
    made = post(door.url, "/logged-models", experiment_id="0", name="model")["model"]["info"]
    model_id, place = made["model_id"], f"{PROXY}/{str(made['artifact_uri']).removeprefix('mlflow-artifacts:/')}"
    for name, body in (("MLmodel", b"flavors: {}"), ("data/model.pkl", b"pickle"), ("data/gone", b"x")):
        assert ask(door.url, "PUT", f"{place}/{name}", body).status == 200
    assert ask(door.url, "DELETE", f"{place}/data/gone").status == 200

    pages = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts"
    found = json.loads(ask(door.url, "GET", f"{PROXY}?path={place.removeprefix(PROXY + '/')}/data").body)
    assert found == {"files": [{"path": "model.pkl", "is_dir": False, "file_size": 6}]}
    assert ask(door.url, "GET", f"{place}/MLmodel").body == b"flavors: {}"
    assert ask(door.url, "GET", f"{pages}/files?artifact_file_path=data/model.pkl").body == b"pickle"
    assert ask(door.url, "GET", f"{pages}/files?artifact_file_path=data").status == 400
    assert ask(door.url, "GET", f"{place}/data/gone").status == 404

    post(door.url, "/registered-models/create", name=model_id)
    post(door.url, "/model-versions/create", name=model_id, source=f"models:/{model_id}", model_id=model_id)
    post(door.url, "/model-versions/create", name=model_id, source="s3://bucket/model")
    for number, status in ((1, 200), (2, 404)):
        path = f"/model-versions/get-artifact?name={model_id}&version={number}&path=MLmodel"
        assert ask(door.url, "GET", path).status == status
