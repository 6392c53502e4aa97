"""The live W&B tracker, its SDK and wandb-core against a server on loopback that fails in many ways."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb

from consumers.trackers.protocol import State
from consumers.trackers.testing.runs import RunAuthor, edge_case_run, points_of
from consumers.trackers.wandb.live import sdk as wandb_sdk
from consumers.trackers.wandb.live import tracker as wandb_live
from consumers.trackers.wandb.live.tracker import WandbLiveTracker
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.translate import STEP_KEY, RunHeader
from schemas import events as ev
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.edge_case_runs import facts_of
from tests.support.process_tree import until
from tests.support.wandb_points import points_at
from tests.support.wandb_server import WandbServer, wandb_server

KEY = "0" * 40


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as one:
        yield one


@pytest.fixture
def tracker(server: WandbServer) -> Iterator[WandbLiveTracker]:
    tracker = opened(server.url)
    yield tracker
    tracker.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_sdk, "RETRIES", 1)
    monkeypatch.setattr(wandb_sdk, "RETRY_WAIT_S", (0.05, 0.1))
    monkeypatch.setattr(wandb_sdk, "INIT_TIMEOUT_S", 3)
    monkeypatch.setattr(wandb_sdk, "FINISH_TIMEOUT_S", 3)
    monkeypatch.setattr(wandb_live, "CONFIRM_S", 0.2)


def opened(url: str) -> WandbLiveTracker:
    tracker = WandbLiveTracker(url=url, api_key=KEY)
    tracker.open(Settings())
    return tracker


def deliver_until_accepted(
    tracker: WandbLiveTracker, envelopes: list[Envelope], state: State
) -> tuple[State, list[str]]:
    """Deliver events as the loop does, until they are accepted; return the state and the errors."""
    errors: list[str] = []
    while True:
        try:
            return tracker.deliver("r", envelopes, state), errors
        except TrackerUnavailable as error:
            errors.append(str(error))
            assert len(errors) < 50


def assert_once(server: WandbServer, envelopes: list[Envelope], name: str = "r") -> None:
    """Assert that every point is in one line, and that no line was ever written differently."""
    run = server.stored[name]
    assert (run.changed_lines, run.gaps) == (0, 0)
    assert [row["_step"] for row in run.rows()] == list(range(len(run.lines)))
    assert facts_of("r", points_at(server, name), 0) == facts_of("r", points_of(envelopes), 0)


def training(author: RunAuthor, points: int = 40) -> list[Envelope]:
    return [
        author.start(name="näme", tag="p", group="sweep"),
        author.params(lr=0.1),
        author.metrics("loss", [0.5] * points),
    ]


def test_a_run_as_the_server_shows_it(tracker: WandbLiveTracker, server: WandbServer) -> None:
    author = RunAuthor("r")
    tags, note = ev.Tags(time=author.now(), tags={"team": "vision"}), ev.Note(time=author.now(), text="looks odd")
    start, *rest = training(author)
    defined = ev.MetricDefined(time=author.now(), name="loss", goal="min", x="epoch", hidden=True)
    envelopes = [start, author.envelope(defined), *rest, author.envelope(tags), author.envelope(note)]
    late = author.metrics("loss", [0.75])
    failed = author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd"))

    state = tracker.deliver("r", envelopes, {})
    between = server.stored["r"].state
    tracker.deliver("r", [late, failed], state)

    run = server.stored["r"]
    config = {key: part["value"] for key, part in run.config.items()}
    assert (between, run.state, run.exit_code) == ("running", "failed", 1)
    assert run.facts == {"displayName": "näme", "group": "sweep", "notes": "looks odd", "tags": ["team:vision"]}
    assert (run.project, config["lr"], config["gw.tag.team"], config["gw.run_id"]) == ("p", 0.1, "vision", "r")
    assert (run.summary["loss"], run.summary["gw/status"], run.summary["gw/message"]) == (
        0.75,
        "failed",
        "ValueError: odd",
    )
    assert run.summary["loss.min"] == 0.5  # of both sessions
    metrics = {metric.get("1") or metric.get("2"): metric for metric in config["_wandb"]["m"]}
    assert metrics.keys() >= {STEP_KEY, "*", "loss"}
    axis = config["_wandb"]["m"][metrics["loss"]["5"] - 1]  # counted from 1
    assert (axis["1"], 2 in metrics["loss"]["6"]) == ("epoch", True)  # 2: hidden
    assert_once(server, [*envelopes, late])


def test_a_proxy_in_the_environment_is_not_asked_for_a_server_of_this_machine(
    server: WandbServer, proxied: None
) -> None:
    tracker, envelopes = opened(server.url), training(RunAuthor("r"))
    try:
        deliver_until_accepted(tracker, envelopes, {})
    finally:
        tracker.close()

    assert_once(server, envelopes)


def test_wandbs_own_api_scans_the_same_history(tracker: WandbLiveTracker, server: WandbServer) -> None:
    envelopes = edge_case_run("r")
    tracker.deliver("r", envelopes, {})

    run = wandb.Api(overrides={"base_url": server.url}, api_key=KEY).run("us/contract/r")
    rows = list(run.scan_history())

    assert [row["_step"] for row in rows] == list(range(len(server.stored["r"].lines)))
    assert [row["falling"] for row in rows if "falling" in row] == [3.0, 2.0, 1.0, 9.0, 8.0]
    assert sum(math.isnan(row["loss"]) for row in rows if "loss" in row) == 1
    assert (run.state, run.config["lr"]) == ("finished", 0.2)


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("file_stream", {"cut": "after"}),
        ("file_stream", {"cut": "before"}),
        ("file_stream", {"status": 500}),
        ("file_stream", {"status": 429, "headers": {"Retry-After": "1", "RateLimit-Remaining": "0"}}),
        ("UpsertBucket", {"cut": "after"}),
        ("UpsertBucket", {"status": 503}),
        ("RunResumeStatus", {"status": 500}),
        ("GatewayRun", {"cut": "after"}),
        ("GatewayRun", {"status": 502}),
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, 5])
def test_faults_cost_retries_and_nothing_else(
    tracker: WandbLiveTracker,
    server: WandbServer,
    impatient: None,
    operation: str,
    fault: dict[str, Any],
    times: int,
) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [1.5] * 30), author.finish()]
    state = tracker.deliver("r", first, {})
    server.fail(operation, times, **fault)

    deliver_until_accepted(tracker, more, state)

    assert_once(server, [*first, *more])
    assert server.stored["r"].state == "finished"


def test_an_unreachable_server_is_reported_at_once_and_catches_up(
    tracker: WandbLiveTracker, server: WandbServer, impatient: None
) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [1.5] * 30), author.finish()]
    state = tracker.deliver("r", first, {})
    server.stop()
    for _ in range(3):
        with pytest.raises(TrackerUnavailable, match="cannot be reached"):
            tracker.deliver("r", more, state)
    server.start()

    tracker.deliver("r", more, state)

    assert_once(server, [*first, *more])


def test_retry_after_is_passed_on(tracker: WandbLiveTracker, server: WandbServer) -> None:
    server.fail("graphql", status=429, headers={"Retry-After": "7"})

    with pytest.raises(TrackerUnavailable) as raised:
        tracker.deliver("r", training(RunAuthor("r")), {})

    assert raised.value.retry_after_s == 7.0
    assert KEY not in str(raised.value)


def test_late_rows_take_their_own_lines(tracker: WandbLiveTracker, server: WandbServer, impatient: None) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [float(i) for i in range(30)])]
    state = tracker.deliver("r", first, {})
    server.fail("file_stream", delay_s=6.0)  # longer than `finish` waits: it gives up the session, but not the request

    with pytest.raises(TrackerUnavailable):
        tracker.deliver("r", more, state)
    tracker.deliver("r", more, state)

    until(lambda: server.done == 1, "the late request took effect")
    assert_once(server, [*first, *more])


def test_a_killed_wandb_core_is_started_again(tracker: WandbLiveTracker, server: WandbServer) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [1.5] * 30)]
    state = tracker.deliver("r", first, {})
    for child in psutil.Process(os.getpid()).children():
        if child.name() == "wandb-core":
            child.kill()

    _, errors = deliver_until_accepted(tracker, more, state)

    assert len(errors) <= 1
    assert_once(server, [*first, *more])


def test_an_id_of_a_deleted_run_parks_it_with_the_reason(
    tracker: WandbLiveTracker, server: WandbServer, impatient: None
) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    deletion = [author.envelope(ev.Deleted(time=author.now(), what="run"))]

    assert tracker.deliver("r", deletion, state) == {"deleted": True}
    assert server.stored == {}
    with pytest.raises(TrackerRefused, match="was deleted there"):
        tracker.deliver("r", training(RunAuthor("r")), {})


def test_a_run_that_a_person_deleted_is_parked(tracker: WandbLiveTracker, server: WandbServer, impatient: None) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    server.stored.clear()

    with pytest.raises(TrackerRefused, match="which had confirmed 40"):
        tracker.deliver("r", [author.metrics("loss", [1.0])], state)


def test_values_that_the_sdk_refuses_park_the_run(
    tracker: WandbLiveTracker, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunHeader, "shown_tags", lambda header: ["x" * 65])

    with pytest.raises(TrackerRefused, match="64 characters"):
        tracker.deliver("r", training(RunAuthor("r")), {})


def test_a_wandb_core_is_replaced_after_many_sessions(
    tracker: WandbLiveTracker, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_sdk, "MAX_SESSIONS", 3)
    envelopes = [RunAuthor("r").start(), *(RunAuthor("r").metrics("loss", [float(i)]) for i in range(8))]
    state: State = {}
    cores: set[int] = set()
    for envelope in envelopes:
        state = tracker.deliver("r", [envelope], state)
        children = psutil.Process(os.getpid()).children()
        cores |= {child.pid for child in children if child.name() == "wandb-core"}

    assert len(cores) >= 3
    assert [row["loss"] for row in server.history("r")] == [float(i) for i in range(8)]


def test_a_heartbeat_is_not_an_upload(tracker: WandbLiveTracker, server: WandbServer) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    before = len(server.operations)

    assert tracker.deliver("r", [author.envelope(ev.Heartbeat(time=author.now()))], state) == state
    assert len(server.operations) == before


def test_nothing_is_left_open_between_deliveries(tracker: WandbLiveTracker, server: WandbServer) -> None:
    for number in range(20):
        name = f"run-{number}"
        tracker.deliver(name, [RunAuthor(name).start(), RunAuthor(name).metrics("loss", [1.0])], {})

    assert wandb.setup()._active_runs == []
    assert {run.state for run in server.stored.values()} == {"running"}
    assert list(Path(tracker._sdk._folder, "wandb").iterdir()) == []


def test_offline_is_the_file_writer() -> None:
    tracker = wandb_live.wandb_live(mode="offline", folder="/data")

    assert isinstance(tracker, WandbTracker)
    assert tracker.name == "wandb-live"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mode": "shared"}, "choose one of online, offline"),
        ({"url": "http://user:secret@host", "api_key": KEY}, "set GATEWAY_WANDB_URL"),
        ({"url": "host:80", "api_key": KEY}, "set GATEWAY_WANDB_URL"),
        ({}, "set GATEWAY_WANDB_API_KEY"),
    ],
)
def test_wrong_settings_name_the_next_step(config: dict[str, str], message: str) -> None:
    with pytest.raises(BadSettings, match=message) as raised:
        wandb_live.wandb_live(**config).open(Settings())

    assert "secret" not in str(raised.value)
