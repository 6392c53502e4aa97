"""Histograms, tables and long texts in MLflow: artifacts if the server accepts them, otherwise params."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow import params as mlflow_params
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.protocol import State
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import HistogramValue, JsonValue, StringValue, Typed
from schemas.wire import Envelope
from tests.support.http_fault_proxy import HttpFaults, faulty_proxy
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer

LONG = "é" * 7_000
TABLE = {"columns": ["a", "b"], "data": [[number, "x" * 60] for number in range(200)]}


@pytest.fixture
def faults(mlflow_server: MlflowServer) -> Iterator[HttpFaults]:
    with faulty_proxy(urlsplit(mlflow_server.url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def tracker(faults: HttpFaults) -> MlflowTracker:
    tracker = MlflowTracker(url=faults.url)
    tracker.open(Settings())
    return tracker


@pytest.fixture
def client(mlflow_server: MlflowServer) -> Any:
    return MlflowClient(mlflow_server.url)


@pytest.fixture
def run_id() -> str:
    return f"artifacts-{uuid.uuid4().hex}"


def values(author: Author, **values: Typed) -> Envelope:
    seen = [ev.Observation(name=name, step=3, time=author.now(), value=value) for name, value in values.items()]
    return author.envelope(ev.Values(time=author.time, values=seen))


def histogram(*counts: float) -> HistogramValue:
    edges = list(range(len(counts) + 1))
    return HistogramValue.model_validate({"value": {"counts": counts, "edges": edges}})


def sample_run(run_id: str) -> list[Envelope]:
    author = Author(run_id)
    return [
        author.start(),
        values(author, spread=histogram(1, 2), short=StringValue(value="hey")),
        values(author, spread=histogram(3, 4), text=StringValue(value=LONG)),
        values(author, table=JsonValue(value=TABLE)),
        author.finish(),
    ]


def deliver_all(tracker: MlflowTracker, run_id: str, envelopes: Sequence[Envelope], size: int) -> State:
    state: State = {}
    for first in range(0, len(envelopes), size):
        state = tracker.deliver(run_id, envelopes[first : first + size], state)
    return state


def artifacts(client: Any, run: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of every artifact by its path."""
    client.download_artifacts(run, "", str(folder))
    return {
        path.relative_to(folder).as_posix(): [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(folder.rglob("*.jsonl"))
    }


def test_histograms_tables_and_long_texts_are_complete_artifacts(
    tracker: MlflowTracker, client: Any, run_id: str, tmp_path: Path
) -> None:
    state = deliver_all(tracker, run_id, sample_run(run_id), 10)

    found = artifacts(client, state["run"], tmp_path)
    lines = [line for part in found.values() for line in part]
    assert sorted({path.split("/")[1] for path in found}) == ["spread", "table", "text"]
    assert [line["value"]["counts"] for line in lines if line["name"] == "spread"] == [[1, 2], [3, 4]]
    assert [line["value"] for line in lines if line["name"] == "text"] == [LONG]
    assert [line["value"] for line in lines if line["name"] == "table"] == [TABLE]
    assert client.get_run(state["run"]).data.params == {"short_3": "hey"}


def test_a_repeated_call_cut_differently_writes_the_same_artifacts(
    tracker: MlflowTracker, client: Any, run_id: str, tmp_path: Path
) -> None:
    envelopes = sample_run(run_id)
    once = artifacts(client, deliver_all(tracker, run_id, envelopes, 10)["run"], tmp_path / "once")

    repeated = artifacts(client, deliver_all(tracker, run_id, envelopes, 2)["run"], tmp_path / "again")

    assert repeated == once


def test_observations_after_a_thousand_small_ones_are_artifacts(
    tracker: MlflowTracker, client: Any, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_params, "MAX_VALUES", 2)
    author = Author(run_id)
    words = {f"w{number}": StringValue(value=str(number)) for number in range(4)}

    state = deliver_all(tracker, run_id, [author.start(), values(author, **words)], 1)

    assert set(client.get_run(state["run"]).data.params) == {"w0_3", "w1_3"}
    assert [part[0]["value"] for part in artifacts(client, state["run"], tmp_path).values()] == ["2", "3"]


@pytest.mark.parametrize(("kind", "times"), [("403", 1), ("500", 3)])
def test_a_server_that_accepts_no_artifacts_gets_params_and_a_tag_with_the_reason(
    faults: HttpFaults, tracker: MlflowTracker, client: Any, run_id: str, tmp_path: Path, kind: str, times: int
) -> None:
    faults.only = lambda method, path: method == "PUT"
    faults.next(kind, times)

    state = deliver_all(tracker, run_id, sample_run(run_id), 10)

    data = client.get_run(state["run"]).data
    assert set(data.params) == {"short_3", "spread_3", "text_3", "table_3"}
    assert data.params["text_3"] == LONG[:6_000]
    assert data.tags["gw.artifacts_refused"].startswith(f"HTTP {kind}")
    assert tracker.read_back(run_id, state).params == {}
    assert artifacts(client, state["run"], tmp_path) == {}


def test_an_artifact_store_that_fails_once_is_tried_again(
    faults: HttpFaults, tracker: MlflowTracker, client: Any, run_id: str, tmp_path: Path
) -> None:
    faults.only = lambda method, path: method == "PUT"
    faults.next("502 page")

    state = deliver_all(tracker, run_id, sample_run(run_id), 10)

    assert len(artifacts(client, state["run"], tmp_path)) == 4
    assert "gw.artifacts_refused" not in client.get_run(state["run"]).data.tags
