"""The live W&B tracker, its SDK and wandb-core against a server on loopback that fails in every way it can."""

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
    made = opened(server.url)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_sdk, "RETRIES", 1)
    monkeypatch.setattr(wandb_sdk, "RETRY_WAIT_S", (0.05, 0.1))
    monkeypatch.setattr(wandb_sdk, "INIT_TIMEOUT_S", 3)
    monkeypatch.setattr(wandb_sdk, "FINISH_TIMEOUT_S", 3)
    monkeypatch.setattr(wandb_live, "CONFIRM_S", 0.2)


def opened(url: str) -> WandbLiveTracker:
    made = WandbLiveTracker(url=url, api_key=KEY)
    made.open(Settings())
    return made


def until_taken(tracker: WandbLiveTracker, envelopes: list[Envelope], state: State) -> tuple[State, list[str]]:
    """Bring envelopes as the loop does, again and again; return what was said in between."""
    said: list[str] = []
    while True:
        try:
            return tracker.deliver("r", envelopes, state), said
        except TrackerUnavailable as error:
            said.append(str(error))
            assert len(said) < 50


def assert_once(server: WandbServer, envelopes: list[Envelope], name: str = "r") -> None:
    """Every point is in one line, no line was ever written in another way."""
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
    envelopes = [*training(author), author.envelope(tags), author.envelope(note)]
    failed = author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd"))

    state = tracker.deliver("r", envelopes, {})
    between = server.stored["r"].state
    tracker.deliver("r", [failed], state)

    run = server.stored["r"]
    config = {key: part["value"] for key, part in run.config.items()}
    assert (between, run.state, run.exit_code) == ("running", "failed", 1)
    assert run.facts == {"displayName": "näme", "group": "sweep", "notes": "looks odd", "tags": ["team:vision"]}
    assert (run.project, config["lr"], config["gw.tag.team"], config["gw.run_id"]) == ("p", 0.1, "vision", "r")
    assert (run.summary["loss"], run.summary["gw/status"], run.summary["gw/message"]) == (
        0.5,
        "failed",
        "ValueError: odd",
    )
    assert [metric.get("1") or metric.get("2") for metric in config["_wandb"]["m"]] == [STEP_KEY, "*"]
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
    ("where", "fault"),
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
    tracker: WandbLiveTracker, server: WandbServer, impatient: None, where: str, fault: dict[str, Any], times: int
) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [1.5] * 30), author.finish()]
    state = tracker.deliver("r", first, {})
    server.fail(where, times, **fault)

    until_taken(tracker, more, state)

    assert_once(server, [*first, *more])
    assert server.stored["r"].state == "finished"


def test_a_server_that_is_away_is_told_at_once_and_made_up_for(
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


def test_the_server_says_for_how_long_it_wants_to_be_left_alone(tracker: WandbLiveTracker, server: WandbServer) -> None:
    server.fail("graphql", status=429, headers={"Retry-After": "7"})

    with pytest.raises(TrackerUnavailable) as raised:
        tracker.deliver("r", training(RunAuthor("r")), {})

    assert raised.value.retry_after_s == 7.0
    assert KEY not in str(raised.value)


def test_rows_that_arrive_late_take_their_own_places(
    tracker: WandbLiveTracker, server: WandbServer, impatient: None
) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [float(i) for i in range(30)])]
    state = tracker.deliver("r", first, {})
    server.fail("file_stream", delay_s=6.0)  # longer than `finish` waits: the session is given up, its request is not

    with pytest.raises(TrackerUnavailable):
        tracker.deliver("r", more, state)
    tracker.deliver("r", more, state)

    until(lambda: server.done == 1, "the late request took effect")
    assert_once(server, [*first, *more])


def test_wandb_core_killed_in_between_is_started_again(tracker: WandbLiveTracker, server: WandbServer) -> None:
    author = RunAuthor("r")
    first, more = training(author), [author.metrics("loss", [1.5] * 30)]
    state = tracker.deliver("r", first, {})
    for child in psutil.Process(os.getpid()).children():
        if child.name() == "wandb-core":
            child.kill()

    _, said = until_taken(tracker, more, state)

    assert len(said) <= 1
    assert_once(server, [*first, *more])


def test_an_id_of_a_deleted_run_parks_it_with_the_reason(
    tracker: WandbLiveTracker, server: WandbServer, impatient: None
) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    gone = [author.envelope(ev.Deleted(time=author.now(), what="run"))]

    assert tracker.deliver("r", gone, state) == {"deleted": True}
    assert server.stored == {}
    with pytest.raises(TrackerRefused, match="was deleted there"):
        tracker.deliver("r", training(RunAuthor("r")), {})


def test_a_run_that_somebody_else_deleted_is_parked(
    tracker: WandbLiveTracker, server: WandbServer, impatient: None
) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    server.stored.clear()

    with pytest.raises(TrackerRefused, match="which had confirmed 40"):
        tracker.deliver("r", [author.metrics("loss", [1.0])], state)


def test_values_that_the_sdk_does_not_take_park_the_run(
    tracker: WandbLiveTracker, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunHeader, "shown_tags", lambda header: ["x" * 65])

    with pytest.raises(TrackerRefused, match="64 characters"):
        tracker.deliver("r", training(RunAuthor("r")), {})


def test_a_wandb_core_of_many_sessions_is_replaced(
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


def test_a_heartbeat_is_no_upload(tracker: WandbLiveTracker, server: WandbServer) -> None:
    author = RunAuthor("r")
    state = tracker.deliver("r", training(author), {})
    asked = len(server.operations)

    assert tracker.deliver("r", [author.envelope(ev.Heartbeat(time=author.now()))], state) == state
    assert len(server.operations) == asked


def test_nothing_is_left_open_between_deliveries(tracker: WandbLiveTracker, server: WandbServer) -> None:
    for number in range(20):
        name = f"run-{number}"
        tracker.deliver(name, [RunAuthor(name).start(), RunAuthor(name).metrics("loss", [1.0])], {})

    assert wandb.setup()._active_runs == []
    assert {run.state for run in server.stored.values()} == {"running"}
    assert list(Path(tracker._sdk._folder, "wandb").iterdir()) == []


def test_offline_is_the_file_writer() -> None:
    made = wandb_live.wandb_live(mode="offline", folder="/data")

    assert isinstance(made, WandbTracker)
    assert made.name == "wandb-live"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"mode": "shared"}, "choose one of online, offline"),
        ({"url": "http://user:secret@host", "api_key": KEY}, "set GATEWAY_WANDB_URL"),
        ({"url": "host:80", "api_key": KEY}, "set GATEWAY_WANDB_URL"),
        ({}, "set GATEWAY_WANDB_API_KEY"),
    ],
)
def test_settings_that_do_not_fit_say_what_to_do(config: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says) as raised:
        wandb_live.wandb_live(**config).open(Settings())

    assert "secret" not in str(raised.value)
