"""MLflow behind a proxy that loses, spoils and delays answers: nothing is missing, nothing is there twice."""

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
from tests.support.edge_case_runs import edge_case_envelopes, facts_of, points_of
from tests.support.http_fault_proxy import EFFECTIVE, KINDS, HttpFaults, faulty_proxy
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer

MOST_CALLS = 200  # of `deliver` until a run is through


@pytest.fixture
def faults(mlflow_server: MlflowServer) -> Iterator[HttpFaults]:
    with faulty_proxy(urlsplit(mlflow_server.url).port or 0, seed=11) as proxy:
        yield proxy


@pytest.fixture
def tracker(faults: HttpFaults) -> MlflowTracker:
    made = MlflowTracker(url=faults.url, timeout_s=1)
    made.open(Settings())
    return made


@pytest.fixture
def run_id() -> str:
    return f"faults-{uuid.uuid4().hex}"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_tracker, "SETTLE_S", 1.0)


def brought(tracker: MlflowTracker, run_id: str, envelopes: Sequence[Envelope], size: int) -> State:
    """Deliver as the loop does: a call that failed is made again, with its envelopes in doubt."""
    state: State = {}
    calls = doubted = first = 0
    while first < len(envelopes):
        calls += 1
        assert calls < MOST_CALLS
        part = envelopes[first : first + size]
        try:
            state = tracker.deliver(run_id, part, state, in_doubt=min(doubted, len(part)))
        except TrackerUnavailable:
            doubted = len(part)
            continue
        first, doubted = first + size, 0
    return state


def runs_of(url: str, run_id: str) -> list[Any]:
    client = MlflowClient(url)
    everywhere = [item.experiment_id for item in client.search_experiments()]
    key = run_key(run_id)
    found: list[Any] = list(client.search_runs(everywhere, f"tags.`gw.run_key` = '{key}'"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_third_of_the_calls_spoiled_in_one_way_changes_nothing(
    faults: HttpFaults, tracker: MlflowTracker, mlflow_server: MlflowServer, run_id: str, kind: str, soon: None
) -> None:
    envelopes = edge_case_envelopes(run_id)
    faults.late_s, faults.kinds, faults.probability = 1.5, (kind,), 0.3

    state = brought(tracker, run_id, envelopes, 9)

    faults.probability = 0.0
    held = tracker.read_back(run_id, state)
    assert faults.injected[kind] > 0
    assert facts_of(run_id, held.points, len(held.params)) == facts_of(run_id, points_of(envelopes), 3)
    assert (held.status, held.tags) == ("failed", {"team": "vision", "a//b": "x" * 8_000})
    assert len(runs_of(mlflow_server.url, run_id)) == 1


def test_every_kind_by_chance(
    faults: HttpFaults, tracker: MlflowTracker, mlflow_server: MlflowServer, run_id: str, soon: None
) -> None:
    faults.late_s, faults.probability = 1.5, 0.3
    runs = {f"{run_id}-{number}": edge_case_envelopes(f"{run_id}-{number}") for number in range(3)}

    states = {one: brought(tracker, one, envelopes, 5) for one, envelopes in runs.items()}

    faults.probability = 0.0
    for one, envelopes in runs.items():
        held = tracker.read_back(one, states[one])
        assert facts_of(one, held.points, len(held.params)) == facts_of(one, points_of(envelopes), 3)
        assert len(runs_of(mlflow_server.url, one)) == 1
    assert len(faults.injected) > 5


@pytest.mark.parametrize(("kind", "least", "most"), [("429", 1, 1), ("503", 1, 1), ("429 date", 0, 2)])
def test_how_long_it_wants_to_be_left_alone_is_passed_on(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str, kind: str, least: float, most: float
) -> None:
    faults.next(kind)

    with pytest.raises(TrackerUnavailable) as told:
        tracker.deliver(run_id, [Author(run_id).start()], {})

    assert told.value.retry_after_s is not None
    assert least <= told.value.retry_after_s <= most


@pytest.mark.parametrize("kind", EFFECTIVE)
@pytest.mark.parametrize("hidden", [0, 3])
def test_a_run_whose_making_was_not_answered_is_found_again_also_when_the_search_is_late(
    faults: HttpFaults, tracker: MlflowTracker, mlflow_server: MlflowServer, run_id: str, kind: str, hidden: int
) -> None:
    faults.late_s = 1.5
    faults.only = lambda method, path: path.endswith("/runs/create")
    faults.next(kind)
    left = [1 + hidden]  # searches that show nothing, the first of which is before the run is made

    def hide(method: str, path: str, answer: bytes) -> bytes | None:
        left[0] -= path.endswith("/runs/search")
        return b"{}" if path.endswith("/runs/search") and left[0] >= 0 else None

    faults.hide = hide
    envelopes = edge_case_envelopes(run_id)

    brought(tracker, run_id, envelopes, 7)

    assert faults.injected == {kind: 1}
    assert len(runs_of(mlflow_server.url, run_id)) == 1


def test_a_run_that_the_search_shows_much_too_late_leaves_no_twin(
    faults: HttpFaults, tracker: MlflowTracker, mlflow_server: MlflowServer, run_id: str, soon: None
) -> None:
    faults.only = lambda method, path: path.endswith("/runs/create")
    faults.next("lost answer")
    made: list[int] = []

    def hide(method: str, path: str, answer: bytes) -> bytes | None:
        if path.endswith("/runs/create"):
            made.append(1)
        return b"{}" if path.endswith("/runs/search") and len(made) < 2 else None

    faults.hide = hide
    envelopes = edge_case_envelopes(run_id)

    state = brought(tracker, run_id, envelopes, 7)

    assert len(made) == 2
    assert [run.info.run_id for run in runs_of(mlflow_server.url, run_id)] == [state["run"]]


def test_a_proxy_that_takes_no_large_calls_gets_smaller_ones(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str
) -> None:
    faults.max_body = 20_000
    author = Author(run_id)
    words = {f"t{number}": "x" * 1_000 for number in range(40)}
    envelopes = [
        author.start(),
        author.envelope(ev.Tags(time=author.now(), tags=words)),
        author.metrics("loss", [float(number) for number in range(900)]),
    ]

    state = brought(tracker, run_id, envelopes, 3)

    held = tracker.read_back(run_id, state)
    assert facts_of(run_id, held.points, 0) == facts_of(run_id, points_of(envelopes), 0)
    assert held.tags == words


def test_a_page_instead_of_an_answer_says_that_the_address_may_be_wrong(
    faults: HttpFaults, tracker: MlflowTracker, run_id: str
) -> None:
    faults.next("200 page")

    with pytest.raises(TrackerUnavailable, match="is this its address"):
        tracker.deliver(run_id, [Author(run_id).start()], {})
