"""MLflow behind a proxy that loses, spoils and delays responses: nothing is missing, nothing is there twice."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow import tracker as mlflow_tracker
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.mlflow.translate import run_key
from consumers.trackers.protocol import State
from schemas import events as ev
from schemas.errors import TrackerUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.edge_case_runs import edge_case_envelopes, facts_of, mlflow_points_of
from tests.support.http_fault_proxy import EFFECTIVE, KINDS, HttpFaults, faulty_proxy
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer

MAX_CALLS = 200  # of `deliver`, until a run is complete


@pytest.fixture
def faults(mlflow_server: MlflowServer) -> Iterator[HttpFaults]:
    with faulty_proxy(urlsplit(mlflow_server.url).port or 0, seed=11) as proxy:
        yield proxy


@pytest.fixture
def tracker(faults: HttpFaults) -> MlflowTracker:
    tracker = MlflowTracker(url=faults.url)
    tracker.open(Settings())
    return tracker


@pytest.fixture
def hasty(faults: HttpFaults) -> MlflowTracker:
    """A tracker that does not wait for late answers; on a busy machine, a call without a fault may fail as well."""
    tracker = MlflowTracker(url=faults.url, timeout_s=1)
    tracker.open(Settings())
    return tracker


@pytest.fixture
def run_id() -> str:
    return f"faults-{uuid.uuid4().hex}"


@pytest.fixture
def short_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_tracker, "SETTLE_S", 1.0)


def deliver_all(tracker: MlflowTracker, run_id: str, envelopes: Sequence[Envelope], size: int) -> State:
    """Deliver as the loop does: repeat a failed call, with its events in doubt."""
    state: State = {}
    calls = in_doubt = first = 0
    while first < len(envelopes):
        calls += 1
        assert calls < MAX_CALLS
        part = envelopes[first : first + size]
        try:
            state = tracker.deliver(run_id, part, state, in_doubt=min(in_doubt, len(part)))
        except TrackerUnavailable:
            in_doubt = len(part)
            continue
        first, in_doubt = first + size, 0
    return state


def runs_of(url: str, run_id: str) -> list[Any]:
    client = MlflowClient(url)
    everywhere = [item.experiment_id for item in client.search_experiments()]
    key = run_key(run_id)
    found: list[Any] = list(client.search_runs(everywhere, f"tags.`gw.run_key` = '{key}'"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_spoiling_a_third_of_the_calls_in_one_way_changes_nothing(
    faults: HttpFaults, hasty: MlflowTracker, tracker: MlflowTracker, mlflow_server: MlflowServer,
    run_id: str, kind: str, short_settle: None,
) -> None:  # fmt: skip
    envelopes = edge_case_envelopes(run_id)
    faults.late_s, faults.kinds, faults.probability = 1.5, (kind,), 0.3

    state = deliver_all(hasty, run_id, envelopes, 9)

    faults.probability = 0.0
    run = tracker.read_back(run_id, state)
    assert faults.injected[kind] > 0
    assert facts_of(run_id, run.points, len(run.params)) == facts_of(run_id, mlflow_points_of(envelopes), 3)
    assert (run.status, run.tags) == ("failed", {"team": "vision", "a//b": "x" * 8_000})
    assert len(runs_of(mlflow_server.url, run_id)) == 1


def test_every_kind_of_fault_at_random(
    faults: HttpFaults, hasty: MlflowTracker, tracker: MlflowTracker, mlflow_server: MlflowServer,
    run_id: str, short_settle: None,
) -> None:  # fmt: skip
    faults.late_s, faults.probability = 1.5, 0.3
    runs = {f"{run_id}-{number}": edge_case_envelopes(f"{run_id}-{number}") for number in range(3)}

    states = {one: deliver_all(hasty, one, envelopes, 5) for one, envelopes in runs.items()}

    faults.probability = 0.0
    for one, envelopes in runs.items():
        run = tracker.read_back(one, states[one])
        assert facts_of(one, run.points, len(run.params)) == facts_of(one, mlflow_points_of(envelopes), 3)
        assert len(runs_of(mlflow_server.url, one)) == 1
    assert len(faults.injected) > 5


@pytest.mark.parametrize(("kind", "least", "most"), [("429", 1, 1), ("503", 1, 1), ("429 date", 0, 2)])
def test_retry_after_is_passed_on(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str, kind: str, least: float, most: float
) -> None:
    faults.next(kind)

    with pytest.raises(TrackerUnavailable) as raised:
        tracker.deliver(run_id, [Author(run_id).start()], {})

    assert raised.value.retry_after_s is not None
    assert least <= raised.value.retry_after_s <= most


@pytest.mark.parametrize("kind", EFFECTIVE)
@pytest.mark.parametrize("hidden", [0, 3])
def test_a_run_whose_creation_got_no_answer_is_found_even_if_the_search_is_late(
    faults: HttpFaults, hasty: MlflowTracker, mlflow_server: MlflowServer, run_id: str, kind: str, hidden: int
) -> None:
    faults.late_s = 1.5
    faults.only = lambda method, path: path.endswith("/runs/create")
    faults.next(kind)
    left = [1 + hidden]  # searches that show nothing; the first one precedes the creation of the run

    def hide(method: str, path: str, answer: bytes) -> bytes | None:
        left[0] -= path.endswith("/runs/search")
        return b"{}" if path.endswith("/runs/search") and left[0] >= 0 else None

    faults.hide = hide
    envelopes = edge_case_envelopes(run_id)

    deliver_all(hasty, run_id, envelopes, 7)

    assert faults.injected == {kind: 1}
    assert len(runs_of(mlflow_server.url, run_id)) == 1


def test_a_run_that_the_search_shows_much_too_late_leaves_no_duplicate(
    faults: HttpFaults, tracker: MlflowTracker, mlflow_server: MlflowServer, run_id: str, short_settle: None
) -> None:
    faults.only = lambda method, path: path.endswith("/runs/create")
    faults.next("lost answer")
    created: list[int] = []

    def hide(method: str, path: str, answer: bytes) -> bytes | None:
        if path.endswith("/runs/create"):
            created.append(1)
        return b"{}" if path.endswith("/runs/search") and len(created) < 2 else None

    faults.hide = hide
    envelopes = edge_case_envelopes(run_id)

    state = deliver_all(tracker, run_id, envelopes, 7)

    assert len(created) == 2
    assert [run.info.run_id for run in runs_of(mlflow_server.url, run_id)] == [state["run"]]


def test_a_proxy_that_accepts_no_large_calls_gets_smaller_ones(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str
) -> None:
    faults.max_body = 20_000
    author = Author(run_id)
    tags = {f"t{number}": "x" * 1_000 for number in range(40)}
    envelopes = [
        author.start(),
        author.envelope(ev.Tags(time=author.now(), tags=tags)),
        author.metrics("loss", [float(number) for number in range(900)]),
    ]

    state = deliver_all(tracker, run_id, envelopes, 3)

    run = tracker.read_back(run_id, state)
    assert facts_of(run_id, run.points, 0) == facts_of(run_id, mlflow_points_of(envelopes), 0)
    assert run.tags == tags


def test_a_page_instead_of_a_response_hints_at_a_wrong_address(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str
) -> None:
    faults.next("200 page")

    with pytest.raises(TrackerUnavailable, match="is this its address"):
        tracker.deliver(run_id, [Author(run_id).start()], {})
