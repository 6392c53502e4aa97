from __future__ import annotations

import json
import math
import sys
import uuid
from typing import Any

import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.protocol import State
from schemas import events as ev
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Facts
from schemas.runtime.settings import Settings
from schemas.values import StringValue
from schemas.wire import Envelope
from tests.support.edge_case_runs import HOSTILE_RUN_ID, edge_case_envelopes, facts_of, mlflow_points_of
from tests.support.log_author import Author
from tests.support.mlflow_service import MlflowServer


@pytest.fixture
def tracker(mlflow_server: MlflowServer) -> MlflowTracker:
    return opened(mlflow_server.url)


@pytest.fixture
def client(mlflow_server: MlflowServer) -> Any:
    return MlflowClient(mlflow_server.url)


@pytest.fixture
def run_id() -> str:
    return f"{HOSTILE_RUN_ID}-{uuid.uuid4().hex}"


def opened(url: str) -> MlflowTracker:
    tracker = MlflowTracker()
    tracker.open(Settings(mlflow_url=url))
    return tracker


def through_json(state: State) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(json.dumps(dict(state), allow_nan=False, sort_keys=True))
    return kept


def deliver_all(tracker: MlflowTracker, run_id: str, envelopes: list[Envelope], size: int) -> State:
    state: State = {}
    for first in range(0, len(envelopes), size):
        state = through_json(tracker.deliver(run_id, envelopes[first : first + size], state))
    return state


def facts_in_mlflow(tracker: MlflowTracker, run_id: str, state: State) -> Facts:
    run = tracker.read_back(run_id, state)
    return facts_of(run_id, run.points, len(run.params))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_edge_case_point_is_read_back(tracker: MlflowTracker, run_id: str, size: int) -> None:
    envelopes = edge_case_envelopes(run_id)

    state = deliver_all(tracker, run_id, envelopes, size)

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 3)


def test_a_proxy_in_the_environment_is_not_asked_for_a_server_of_this_machine(
    mlflow_server: MlflowServer, run_id: str, proxied: None
) -> None:
    tracker, envelopes = opened(mlflow_server.url), edge_case_envelopes(run_id)

    state = deliver_all(tracker, run_id, envelopes, 1_000)

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 3)


def test_the_run_has_its_own_times_name_experiment_and_tags(tracker: MlflowTracker, client: Any, run_id: str) -> None:
    envelopes = edge_case_envelopes(run_id)

    state = deliver_all(tracker, run_id, envelopes, 5)

    run = client.get_run(state["run"])
    assert (run.info.start_time, run.info.end_time) == (
        envelopes[0].event.time // 1000, envelopes[-1].event.time // 1000,
    )  # fmt: skip
    assert (run.info.run_name, run.info.status) == ("odd one", "FAILED")
    assert client.get_experiment(run.info.experiment_id).name == "odd tag"
    assert run.data.tags["gw.run_id"] == run_id
    assert run.data.tags["gw.message"] == "ValueError: odd"
    assert run.data.tags["mlflow.note.content"] == "looks odd"
    assert run.data.tags["team"] == "vision"
    assert json.loads(run.data.tags["gw.nonfinite"])["loss"] == 2


def test_a_changed_parameter_keeps_its_first_value_and_shows_the_new_one_as_a_tag(
    tracker: MlflowTracker, client: Any, run_id: str
) -> None:
    state = deliver_all(tracker, run_id, edge_case_envelopes(run_id), 5)

    data = client.get_run(state["run"]).data
    assert data.params["lr"] == "0.1"
    assert data.tags["gw.param.lr_x40_2"] == "0.2"
    assert tracker.read_back(run_id, state).params == {"lr": "0.2", "a[0]": "7", "gw.x": "é"}


def test_observations_are_params_by_name_and_step(tracker: MlflowTracker, client: Any, run_id: str) -> None:
    state = deliver_all(tracker, run_id, edge_case_envelopes(run_id), 5)

    params = client.get_run(state["run"]).data.params
    assert (params["spam_3"], params["big_0"]) == ("NaN", str(10**40))


@pytest.mark.parametrize("confirmed", [0, 1, 9, 20])
def test_delivering_again_from_an_older_state_changes_nothing(
    tracker: MlflowTracker, client: Any, run_id: str, confirmed: int
) -> None:
    envelopes = edge_case_envelopes(run_id)
    before = deliver_all(tracker, run_id, envelopes[:confirmed], 3)
    tracker.deliver(run_id, envelopes[confirmed:], before)  # its state is lost: the process died before the checkpoint

    state = through_json(tracker.deliver(run_id, envelopes[confirmed:], before))

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 3)
    everywhere = [item.experiment_id for item in client.search_experiments()]
    key = client.get_run(state["run"]).data.tags["gw.run_key"]
    assert len(client.search_runs(everywhere, f"tags.`gw.run_key` = '{key}'")) == 1


def test_equal_points_are_counted_over_two_deliveries(tracker: MlflowTracker, run_id: str) -> None:
    author = Author(run_id)
    start = author.start()
    series = ev.Series(name="loss", steps=[1] * 3, times=[author.now()] * 3, values=[0.5, 0.5, math.nan])
    event = ev.Metrics(time=author.time, series=[series])
    envelopes = [start, author.envelope(event), author.envelope(event)]

    state = deliver_all(tracker, run_id, envelopes, 1)

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 0)


def test_the_largest_float_is_not_read_as_an_infinity(tracker: MlflowTracker, run_id: str) -> None:
    author = Author(run_id)
    envelopes = [author.start(), author.metrics("loss", [sys.float_info.max, math.inf, -sys.float_info.max, -math.inf])]

    state = deliver_all(tracker, run_id, envelopes, 2)

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 0)


def test_an_observation_and_a_parameter_with_one_key_are_both_kept(tracker: MlflowTracker, run_id: str) -> None:
    author = Author(run_id)
    seen = ev.Observation(name="spam", step=3, time=author.now(), value=StringValue(value="hey"))
    envelopes = [
        author.start(),
        author.envelope(ev.Values(time=author.now(), values=[seen])),
        author.envelope(ev.Params(time=author.now(), params={"spam_3": StringValue(value="mine")})),
    ]

    state = deliver_all(tracker, run_id, envelopes, 1)

    assert tracker.read_back(run_id, state).params == {"spam_3": "mine"}


def test_more_points_than_one_call_may_hold(tracker: MlflowTracker, run_id: str) -> None:
    author = Author(run_id)
    envelopes = [author.start(), *(author.metrics(f"m{i}", [float(j) for j in range(900)]) for i in range(3))]

    state = deliver_all(tracker, run_id, envelopes, 10)

    assert facts_in_mlflow(tracker, run_id, state) == facts_of(run_id, mlflow_points_of(envelopes), 0)


def test_a_child_run_points_to_its_parent(tracker: MlflowTracker, client: Any, run_id: str) -> None:
    parent = deliver_all(tracker, run_id, [Author(run_id).start()], 1)

    child = deliver_all(tracker, f"{run_id}-c", [Author(f"{run_id}-c").start(parent_run_id=run_id)], 1)

    assert client.get_run(child["run"]).data.tags["mlflow.parentRunId"] == parent["run"]


def test_a_run_deleted_in_mlflow_is_refused(tracker: MlflowTracker, client: Any, run_id: str) -> None:
    author = Author(run_id)
    state = deliver_all(tracker, run_id, [author.start()], 1)
    client.delete_run(state["run"])

    with pytest.raises(TrackerRefused, match="refuses it"):
        tracker.deliver(run_id, [author.metrics("loss", [1.0])], state)


def test_an_unreachable_server_is_an_outage_with_its_address(run_id: str) -> None:
    with pytest.raises(TrackerUnavailable, match=r"http://127\.0\.0\.1:1 does not take events now"):
        opened("http://127.0.0.1:1").deliver(run_id, [Author(run_id).start()], {})


def test_a_password_in_the_address_is_in_no_message(run_id: str) -> None:
    with pytest.raises(TrackerUnavailable) as raised:
        opened("http://gateway:s3cret@127.0.0.1:1").deliver(run_id, [Author(run_id).start()], {})

    assert "s3cret" not in str(raised.value)
    assert "MLflow at http://127.0.0.1:1 does" in str(raised.value)
