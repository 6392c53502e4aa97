"""`gateway replay`: killed at any time, started again, during a live delivery, and handed over to one."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.protocol import Tracker
from schemas import events as ev
from schemas.facts import Facts
from schemas.runtime.settings import Settings
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.support.delivery_process import Place, Watch, delivery, held, progress, until_caught_up
from tests.support.edge_case_runs import points_of
from tests.support.gateway_command import COMMAND, environment, gateway_with
from tests.support.lines_tracker import Lines, wanted
from tests.support.log_author import START, Author, write
from tests.support.materialiser_process import Materialiser
from tests.support.python_process import PythonProcess

DEADLINE_S = 150.0
CALLS = {"GATEWAY_TRACKER_CALL_S": "12"}  # a run in which a process was killed three times waits 2 s instead of 20
DAY = 86_400 * 10**6  # µs


@pytest.fixture
def materialiser(place: Place) -> Iterator[Materialiser]:
    """Fold the log, so that runs can be found."""
    one = Materialiser(place.folder, place.variables()).until_ready()
    yield one
    one.kill()


class Replay:
    """A `gateway replay` under way."""

    def __init__(self, place: Place, lines: Lines, *arguments: str, to: str = "lines") -> None:
        self.out, self.err = place.folder / "replay.out", place.folder / "replay.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = PythonProcess(
                [*COMMAND, "replay", "--to", to, *arguments, "--json"],
                env=environment(**(place.variables() | lines.variables() | CALLS)), stdout=out, stderr=err,
            )  # fmt: skip

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(150)

    async def until(self, condition: Any, what: str) -> None:
        """Return once the condition holds or the process has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition() and self.process.poll() is None:
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}: {self.err.read_text()}"
            await asyncio.sleep(0.005)


async def replayed(place: Place, lines: Lines, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run a replay to its end and return its facts."""
    variables = place.variables() | lines.variables() | CALLS
    done = await asyncio.to_thread(gateway_with, variables, "replay", "--to", "lines", *arguments, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def training(run_id: str, *, envelopes: int = 20, time: int = START, tag: str = "") -> list[Envelope]:
    author = Author(run_id, time=time)
    begin = author.start(tag=tag)
    return [begin, *(author.metrics("loss", [0.5, 0.25], first_step=2 * i) for i in range(envelopes)), author.finish()]


def sweep(count: int, *, envelopes: int = 20, first: int = 0) -> list[Envelope]:
    runs = [training(f"run-{number}", envelopes=envelopes) for number in range(first, first + count)]
    return [envelope for turn in zip(*runs, strict=True) for envelope in turn]


def envelopes_of(held: Lines) -> int:
    return sum(sum(counted.values()) for counted in held.held().values())


@pytest.mark.parametrize("kills", [5, pytest.param(12, marks=pytest.mark.slow)])
async def test_killed_at_any_moment_nothing_is_missing_and_nothing_is_there_twice(
    place: Place, lines: Lines, kills: int
) -> None:
    everything = sweep(2 * kills, envelopes=60)
    await write(place.kafka, place.topic, everything)
    lines.behave(slow_s=0.004)
    dice = random.Random(11)
    for _ in range(kills):
        running = Replay(place, lines, "--all")
        goal = envelopes_of(lines) + dice.randint(1, len(everything) // (kills + 2))
        await running.until(lambda goal=goal: envelopes_of(lines) >= goal, f"{goal} envelopes")
        running.kill()
    lines.behave()
    done = await replayed(place, lines, "--all")
    calls = lines.calls()
    again = await replayed(place, lines, "--all")

    assert lines.held() == wanted(everything)
    assert lines.is_ordered()
    assert lines.redelivered() > 0
    assert (done["complete"], again["records"], lines.calls()) == (True, 0, calls)


async def test_a_live_delivery_continues_where_a_replay_ended_while_training_emits(place: Place, lines: Lines) -> None:
    history, live = sweep(6), sweep(6, first=6)
    await write(place.kafka, place.topic, history)
    running = Replay(place, lines, "--all", "--follow")
    await running.until(lambda: envelopes_of(lines) >= len(history) // 2, "half of the history")
    emitting = asyncio.create_task(write_slowly(place, live))
    await running.until(lambda: envelopes_of(lines) >= len(history) + 10, "live events")
    assert running.kill(signal.SIGINT) == 0
    with delivery(place, "lines", lines.variables()) as live_delivery:
        await emitting
        await until_caught_up(place, live_delivery, "lines")

    assert lines.held() == wanted([*history, *live])
    assert lines.is_ordered()


async def write_slowly(place: Place, envelopes: Sequence[Envelope]) -> None:
    for first in range(0, len(envelopes), 12):
        await write(place.kafka, place.topic, envelopes[first : first + 12])


async def until_folded(place: Place, envelopes: Sequence[Envelope]) -> None:
    """Return once all runs can be found in PostgreSQL."""
    deadline = time.monotonic() + DEADLINE_S
    names = {envelope.run_id for envelope in envelopes}
    while True:
        found = await asyncio.to_thread(gateway_with, place.variables(), "verify", "--to", "nothing", "--json")
        if found.stdout and json.loads(found.stdout)["places"]["postgresql"]["runs"] >= len(names):
            return
        assert time.monotonic() < deadline, found.stderr
        await asyncio.sleep(0.05)


async def test_chosen_runs_are_sent_completely_and_a_later_delivery_sends_the_others(
    place: Place, lines: Lines, materialiser: Materialiser
) -> None:
    old = training("old", tag="keep")
    young = training("young", tag="keep", time=START + DAY)
    other = training("other", time=START + DAY)
    everything = [*old, *young, *other]
    await write(place.kafka, place.topic, everything)
    await until_folded(place, everything)
    planned = await replayed(place, lines, "--where", "tag = 'keep'", "--dry-run")
    untouched = lines.held()
    first = await replayed(place, lines, "--where", "tag = 'keep'", "--since", "2023-11-15")
    after_first = lines.held()
    await replayed(place, lines, "--run", "old")
    after_second = lines.held()
    again = await replayed(place, lines, "--where", "tag = 'keep'")
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")

    assert (planned["runs"], planned["records"], planned["points"]) == (2, len(old) + len(young), 80)
    assert planned["cannot_hold"] == ["anything but the numbers of batches and their points"]
    assert untouched == {}
    assert (first["runs"], first["records"]) == (1, len(young))
    assert after_first == wanted(young)
    assert after_second == wanted([*old, *young])
    assert (again["runs"], again["records"]) == (2, 0)
    assert lines.held() == wanted(everything)


async def test_during_a_live_delivery_a_replay_orders_and_watches(
    place: Place, lines: Lines, materialiser: Materialiser
) -> None:
    envelopes = [*training("a"), *training("b")]
    with delivery(place, "lines", lines.variables()) as running:
        await write(place.kafka, place.topic, envelopes)
        await until_caught_up(place, running, "lines")
        await until_folded(place, envelopes)
        whole = await replayed(place, lines, "--all")
        chosen = await replayed(place, lines, "--run", "a")
        throttled = await asyncio.to_thread(
            gateway_with, place.variables() | lines.variables(), "replay", "--to", "lines", "--all", "--throttle", "10"
        )

    assert whole["done_by_another_process"]
    assert chosen["done_by_another_process"]
    assert (throttled.returncode, "--throttle does not limit it" in throttled.stderr) == (2, True)
    assert lines.held() == wanted(envelopes)


async def test_a_run_that_is_refused_is_parked_and_counted(place: Place, lines: Lines) -> None:
    await write(place.kafka, place.topic, [*training("bad"), *training("good")])
    lines.behave(before="refused", runs=["bad"])
    done = await replayed(place, lines, "--all", status=1)

    assert (done["complete"], done["parked"]) == (True, 1)
    assert lines.held() == wanted(training("good"))


async def test_a_throttled_replay_delivers_everything(place: Place, lines: Lines) -> None:
    envelopes = sweep(3)
    await write(place.kafka, place.topic, envelopes)
    await replayed(place, lines, "--all", "--throttle", "200")

    assert lines.held() == wanted(envelopes)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "choose runs with --run, --where, --since and --until, or everything with --all"),
        (("--all", "--run", "a"), "choose runs with --run, --where, --since and --until, or everything with --all"),
        (("--run", "a", "--since", "2026-01-01"), "leave out --where, --since and --until, or --run"),
        (("--since", "yesterday"), "--since cannot be understood"),
        (("--where", "metrics.loss <"), "--where cannot be understood"),
    ],
)
def test_a_request_that_contradicts_itself_is_one_line(arguments: tuple[str, ...], text: str, tmp_path: Path) -> None:
    done = gateway_with({"GATEWAY_HOME": str(tmp_path)}, "replay", "--to", "mlflow", *arguments)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert text in done.stderr


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
async def test_into_mlflow_with_kills(place: Place, lines: Lines, mlflow_address: str) -> None:
    place = place._replace(mlflow_url=mlflow_address)
    envelopes: list[Envelope] = []
    for number in range(4):
        author = Author(f"{place.topic}-{number}")
        envelopes += [
            author.start(),
            author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=0.1)})),
        ]
        envelopes += [author.metrics("loss", [0.5 + i, float("nan")], first_step=2 * i) for i in range(30)]
        envelopes.append(author.finish())
    await write(place.kafka, place.topic, envelopes)
    async with Watch(place, "mlflow") as watch:
        for goal in (1, 40):
            running = Replay(place, lines, "--all", to="mlflow")
            deadline = time.monotonic() + DEADLINE_S
            while await watch.records() < goal and running.process.poll() is None:
                assert time.monotonic() < deadline, running.err.read_text()
                await asyncio.sleep(0.005)
            running.kill()
    done = await asyncio.to_thread(gateway_with, place.variables(), "replay", "--to", "mlflow", "--all", "--json")
    tracker: Tracker = MlflowTracker()
    tracker.open(Settings(mlflow_url=place.mlflow_url))
    facts = Facts()
    for run_id in {envelope.run_id for envelope in envelopes}:
        facts.add_run(run_id, points_of([envelope for envelope in envelopes if envelope.run_id == run_id]), 1)

    assert json.loads(done.stdout)["complete"]
    assert await held(place, tracker) == facts
    assert {run.status for run in (await progress(place, "mlflow")).values()} == {"delivering"}


async def test_a_tracker_that_got_only_chosen_runs_is_shown_as_that_and_has_no_lag(
    place: Place, lines: Lines, materialiser: Materialiser
) -> None:
    envelopes = sweep(3, envelopes=2)
    await write(place.kafka, place.topic, envelopes)
    await until_folded(place, envelopes)
    await replayed(place, lines, "--run", "run-1")
    given = place.variables() | lines.variables() | {"GATEWAY_TRACKERS": "mlflow"}
    asked = await asyncio.to_thread(gateway_with, given, "trackers", "list", "--json")
    mine = {one["tracker"]: one for one in json.loads(asked.stdout)["trackers"]}

    facts = ("state", "follows", "runs", "lag_records")
    assert [mine["lines"][name] for name in facts] == ["one-off", False, 1, None]
    assert [mine["mlflow"][name] for name in facts] == ["stopped", True, 0, 12]
