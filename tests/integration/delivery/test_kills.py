"""
The delivering process is killed repeatedly at random times: while it replays chosen runs, retries parked runs, or
re-reads runs for a replay during a live delivery. Then everything is counted: in a recording tracker, Parquet files and
SQLite.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from consumers.delivery.plugins.loader import load_tracker
from schemas.facts import Facts
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.delivery_process import Delivery, Place, delivery, held, until_caught_up
from tests.support.edge_case_runs import points_of
from tests.support.gateway_command import COMMAND, environment, gateway_with
from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser
from tests.support.process_tree import until
from tests.support.python_process import PythonProcess
from tests.support.recording_tracker import Recorded, Recorder, identities

TRACKERS = ("recorder", "files", "tables")
DEADLINE_S = 150.0
STALL_S = 3.0  # without progress, before the process is killed anyway


@pytest.fixture(params=[4, pytest.param(12, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def rounds(request: pytest.FixtureRequest) -> int:
    """Return how many times the delivering process is killed."""
    return int(request.param)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture
def given(place: Place, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the settings of every process: three trackers by name."""
    named = place.folder / "trackers.yaml"
    named.write_text(
        f"files: {{type: parquet, config: {{folder: {place.folder}/files}}}}\n"
        f"tables: {{type: sqlite, config: {{file: {place.folder}/tables.sqlite}}}}\n"
    )
    for path in recorder.variables()["PYTHONPATH"].split(":"):
        monkeypatch.syspath_prepend(path)
    # A timeout of 12 s: a run in which a process was killed three times waits 2 s instead of 20.
    found = {"GATEWAY_TRACKERS_FILE": str(named), "GATEWAY_TRACKER_CALL_S": "12"}
    return place.variables() | recorder.variables() | found


class Portions:
    """Runs that grow by a few envelopes at a time."""

    def __init__(self, *run_ids: str) -> None:
        self._authors = [Author(run_id) for run_id in run_ids]
        self._step = 0
        self.envelopes: list[Envelope] = [author.start(tag=author.run_id[:4]) for author in self._authors]
        self._written = 0

    def grow(self, turns: int = 6) -> None:
        """Add envelopes to each run, in turns."""
        for _ in range(turns):
            self.envelopes += [author.metrics("loss", [0.5, 0.25], first_step=self._step) for author in self._authors]
            self._step += 2

    async def write(self, place: Place) -> None:
        """Write the envelopes that are not in the log yet."""
        await write(place.kafka, place.topic, self.envelopes[self._written :])
        self._written = len(self.envelopes)


def emitted(envelopes: Sequence[Envelope]) -> Facts:
    facts = Facts()
    for run_id in sorted({envelope.run_id for envelope in envelopes}):
        facts.add_run(run_id, points_of([envelope for envelope in envelopes if envelope.run_id == run_id]), 0)
    return facts


async def prove(place: Place, given: dict[str, str], recorded: Recorded, envelopes: Sequence[Envelope]) -> None:
    """Nothing is missing or doubled in any tracker; what the recorder received again was declared in doubt."""
    assert set(recorded.given) == identities(envelopes)
    assert (recorded.unannounced, recorded.unordered) == ([], [])
    settings = Settings(parquet_dir=place.folder / "files", trackers_file=Path(given["GATEWAY_TRACKERS_FILE"]))
    for name in TRACKERS[1:]:
        tracker = load_tracker(name, settings)
        tracker.open(settings)
        assert await held(place, tracker) == emitted(envelopes), name


def kill(processes: Sequence[PythonProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(150)


def until_lines(
    recorder: Recorder, start: int, goal: int, processes: Sequence[PythonProcess], stall_s: float = DEADLINE_S
) -> None:
    """
    Return when the recorder has received `goal` envelopes, or receives no more, or a process has ended.

    It receives no more when `stall_s` have passed since the last one; the first one after `start`, the number before
    the processes were started, may take as long as a start takes.
    """
    seen, moved, most_s = start, time.monotonic(), DEADLINE_S
    while seen < goal and all(process.poll() is None for process in processes) and time.monotonic() - moved < most_s:
        time.sleep(0.002)
        if (lines := recorder.lines()) > seen:
            seen, moved, most_s = lines, time.monotonic(), stall_s


@pytest.fixture
def materialiser(place: Place) -> Iterator[Materialiser]:
    """Fold the log, so that runs can be found."""
    one = Materialiser(place.folder, place.variables()).until_ready()
    yield one
    one.kill()


def replay(given: dict[str, str], name: str, *arguments: str) -> list[str]:
    return [*COMMAND, "replay", "--to", name, *arguments, "--json"]


def test_killed_while_chosen_runs_are_replayed(
    place: Place, recorder: Recorder, given: dict[str, str], materialiser: Materialiser, rounds: int
) -> None:
    chosen, others = Portions(*(f"want-{number}" for number in range(6))), Portions("rest-1", "rest-2")
    dice, goal = random.Random(3), 0
    variables = environment(**given)
    for number in range(rounds):
        for one in (chosen, others):
            one.grow()
            asyncio.run(one.write(place))
        if number == 0:
            folded(place, given, 8)
        recorder.behave(slow_s=0.003, holds=number == 0)
        start = recorder.lines()
        goal = start + (dice.randint(1, 30) if number else 1)
        with (place.folder / "replays.log").open("ab") as log:
            running = [
                PythonProcess(replay(given, name, "--where", "tag = 'want'"), env=variables, stdout=log, stderr=log)
                for name in two(number)
            ]
        until_lines(recorder, start, goal, running[:1])
        kill(running)
    recorder.behave()
    for name in TRACKERS:
        done = gateway_with(given, "replay", "--to", name, "--where", "tag = 'want'", "--json")
        assert (done.returncode, json.loads(done.stdout)["complete"]) == (0, True), done.stderr

    asyncio.run(prove(place, given, recorder.recorded(), chosen.envelopes))
    assert recorder.lines() > len(chosen.envelopes)  # those of the call that was held are delivered again


def folded(place: Place, given: dict[str, str], runs: int) -> None:
    """Return once all runs can be found."""

    def are_there() -> bool:
        found = gateway_with(given, "replay", "--to", "nothing", "--where", "run_id != ''", "--dry-run", "--json")
        return found.returncode == 0 and json.loads(found.stdout)["runs"] >= runs

    until(are_there, f"{runs} runs can be found", DEADLINE_S)


def two(number: int) -> tuple[str, str]:
    """Return the trackers of one round: always the recorder, and one of the others."""
    return TRACKERS[0], TRACKERS[1 + number % 2]


def kill_rounds(
    place: Place,
    recorder: Recorder,
    given: dict[str, str],
    growing: Sequence[Portions],
    rounds: int,
    order: Callable[[int], object],
) -> None:
    """Start deliveries and kill them repeatedly at random times, while runs grow."""
    dice = random.Random(5)
    for number in range(rounds):
        for one in growing:
            one.grow()
            asyncio.run(one.write(place))
        start = recorder.lines()
        running = [Delivery(place, name, given) for name in two(number)]
        order(number)
        until_lines(recorder, start, start + dice.randint(0, 40), [one.process for one in running], STALL_S)
        assert [one.process.poll() for one in running] == [None] * len(running), running[0].text()
        kill([one.process for one in running])


async def finish(place: Place, given: dict[str, str]) -> None:
    """Deliver the rest to each tracker."""
    for name in TRACKERS:
        with delivery(place, name, given) as running:
            await until_caught_up(place, running, name)
            until(lambda name=name: rereading(given, name) == 0, f"{name} has caught up with all runs")  # type: ignore[misc]  # a default


def rereading(given: dict[str, str], name: str) -> int:
    listed = gateway_with(given, "trackers", "list", "--json")
    (found,) = [int(one["behind"]) for one in json.loads(listed.stdout)["trackers"] if one["tracker"] == name]
    return found


def test_killed_while_parked_runs_are_retried(
    place: Place, recorder: Recorder, given: dict[str, str], rounds: int
) -> None:
    names = [f"hard-{number}" for number in range(4)]
    hard, easy = Portions(*names), Portions("easy-1", "easy-2")

    def order(number: int) -> None:
        if number % 2:
            gateway_with(given, "trackers", "retry", "recorder", "--all")
        recorder.behave(slow_s=0.002, refuse=names[:2] if number % 2 == 0 else (), holds=number == 0)

    kill_rounds(place, recorder, given, (hard, easy), rounds, order)
    recorder.behave()
    gateway_with(given, "trackers", "retry", "recorder", "--all")
    asyncio.run(finish(place, given))

    asyncio.run(prove(place, given, recorder.recorded(), [*hard.envelopes, *easy.envelopes]))
    assert recorder.lines() > len(hard.envelopes) + len(easy.envelopes)


def test_killed_while_a_replay_is_ordered_during_a_live_delivery(
    place: Place, recorder: Recorder, given: dict[str, str], materialiser: Materialiser, rounds: int
) -> None:
    runs = [Portions(f"run-{number}-1", f"run-{number}-2") for number in range(rounds)]
    for one in runs:
        one.grow(10)
        asyncio.run(one.write(place))
    folded(place, given, 2 * rounds)
    recorder.behave(slow_s=0.01)  # so that the live delivery is far behind when later runs are ordered

    def order(number: int) -> None:
        ordered = f"run-{rounds - 1 - number}-1"
        for name in two(number):
            with (place.folder / "orders.log").open("ab") as log:
                ordering = PythonProcess(
                    replay(given, name, "--run", ordered), env=environment(**given), stdout=log, stderr=log
                )
            orders.append(ordering)

    orders: list[PythonProcess] = []
    try:
        kill_rounds(place, recorder, given, runs[:2], rounds, order)
    finally:
        for ordering in orders:
            ordering.send_signal(signal.SIGINT)
        kill(orders)
    recorder.behave()
    asyncio.run(finish(place, given))

    asyncio.run(prove(place, given, recorder.recorded(), [envelope for one in runs for envelope in one.envelopes]))
