"""
History and live events at the same time: real training processes emit while a new tracker receives everything from the
beginning, and one process hands over to the next, killed or at its end. The recorder receives each envelope, and again
only those in doubt.
"""

from __future__ import annotations

import asyncio
import random
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.log.reader import LogReader
from schemas import events as ev
from schemas.wire import Envelope, decode_run
from tests.faults.system_under_test import TRAINEE
from tests.support.delivery_process import Delivery, Place, delivery, until_caught_up
from tests.support.gateway_command import COMMAND, environment
from tests.support.process_tree import until
from tests.support.python_process import PythonProcess
from tests.support.recording_tracker import Recorder, identities
from tests.support.topic_reader import read_topic

TRAININGS = 3
GROWTH = 40  # envelopes between two hand-overs


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@contextmanager
def trainings(place: Place) -> Iterator[list[Path]]:
    """Let several processes train during the block, then wait until they have sent everything; yield their counters."""
    stop, counters = place.folder / "stop", [place.folder / f"emitted-{number}" for number in range(TRAININGS)]
    given = environment(
        GATEWAY_KAFKA=place.kafka, GATEWAY_TOPIC=place.topic, GATEWAY_JOURNAL_DIR=str(place.folder / "j")
    )
    processes = [
        subprocess.Popen(
            [sys.executable, str(TRAINEE), "loss", str(counter), str(stop)],
            env=given | {"GATEWAY_RUN_ID": f"train-{number}"},
        )
        for number, counter in enumerate(counters)
    ]
    try:
        yield counters
        stop.touch()
        assert [process.wait(90) for process in processes] == [0] * TRAININGS
    finally:
        for process in processes:
            process.kill()
            process.wait(150)


class Replay:
    """A `gateway replay` under way."""

    def __init__(self, place: Place, given: dict[str, str], *arguments: str) -> None:
        with (place.folder / "replay.log").open("ab") as log:
            command = [*COMMAND, "replay", "--to", "recorder", "--all", *arguments]
            self.process = PythonProcess(command, env=environment(**given), stdout=log, stderr=log)


def end(process: PythonProcess, how: str) -> None:
    """Kill a process, stop it as Ctrl-C does, or wait for its end."""
    if how == "killed":
        process.kill()
    elif how == "stopped":
        process.send_signal(signal.SIGINT)
    status = process.wait(90)
    assert status == {"killed": -signal.SIGKILL, "stopped": 0, "ended": 0}[how]


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["killed", "stopped", "ended"])
async def test_history_and_live_hand_over_without_gap_or_overlap(
    place: Place, recorder: Recorder, how: str, rounds: int
) -> None:
    given, dice = place.variables() | recorder.variables(), random.Random(how)
    with trainings(place) as counters:
        until(lambda: all(path.exists() and emitted(path) > 100 for path in counters), "every training has emitted")
        for _ in range(rounds):
            replay = Replay(place, given, *(() if how == "ended" else ("--follow",)))
            await asyncio.to_thread(until_given, recorder, dice.randint(1, GROWTH), replay.process)
            live = Delivery(place, "recorder", given)  # it waits for the lease, or has it if the replay ended
            until_waiting(live)
            end(replay.process, how)
            live.until_ready()
            await asyncio.to_thread(until_given, recorder, dice.randint(1, GROWTH), live.process)
            again = Replay(place, given, "--follow")  # during the live delivery: it watches, and takes over
            end(live.process, "killed" if how == "killed" else "stopped")
            await asyncio.to_thread(until_given, recorder, dice.randint(1, GROWTH), again.process)
            end(again.process, "stopped")
    with delivery(place, "recorder", given) as running:
        await until_caught_up(place, running, "recorder")

    envelopes = await logged(place)
    recorded = recorder.recorded()
    assert set(recorded.given) == identities(envelopes)
    assert (recorded.unannounced, recorded.unordered) == ([], [])
    assert how == "killed" or set(recorded.given.values()) == {1}
    assert points(envelopes) == {f"train-{number}": emitted(path) for number, path in enumerate(counters)}


def until_waiting(live: Delivery) -> None:
    """Return once a delivery waits for the lease, or has it."""
    until(lambda: live.ready.exists() or "another process delivers" in live.text(), "it asked for the lease")


def emitted(counter: Path) -> int:
    """Return how many `emit` calls of a training have returned."""
    (count,) = struct.unpack("<q", counter.read_bytes().ljust(8, b"\0"))
    return int(count)


def until_given(recorder: Recorder, more: int, by: PythonProcess) -> None:
    """Return once the recorder has received `more` envelopes than now, or the process `by` has ended."""
    goal = recorder.lines() + more
    until(lambda: recorder.lines() >= goal or by.poll() is not None, f"{goal} envelopes")


async def logged(place: Place) -> list[Envelope]:
    """Return everything that is in the log."""
    reader = LogReader(place.kafka, place.topic)
    try:
        await reader.open()
        count = sum((await reader.end_offsets()).values())
    finally:
        await reader.close()
    records = await read_topic(place.kafka, place.topic, lambda found: len(found) >= count)
    return [decode_run(record.key, record.value, record.headers) for record in records]


def points(envelopes: list[Envelope]) -> dict[str, int]:
    """Return how many points of the series `loss` each run has."""
    found: dict[str, int] = {}
    for envelope in envelopes:
        if isinstance(envelope.event, ev.Points):
            count = sum(len(one.values) for one in envelope.event.series if one.name == "loss")
            found[envelope.run_id] = found.get(envelope.run_id, 0) + count
    return found
