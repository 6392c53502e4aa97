"""
A topic grows from 4 to 12 partitions while processes are killed: nothing is lost, and nothing is stored twice.

Later processes of a run find its key in another partition. The long one: `pytest -m slow tests/faults/test_growth.py`,
with GROWTH_S (seconds) for its length.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from consumers.log.reader import LogReader
from tests.faults.conservation_check import read_model
from tests.support import services
from tests.support.delivery_process import Delivery, Place, Watch
from tests.support.gateway_command import gateway_with
from tests.support.materialiser_process import Materialiser, environment, until
from tests.support.python_process import PythonProcess
from tests.support.rebuild_process import facts, rebuild
from tests.support.recording_tracker import Recorder

SCRIPT = Path(__file__).with_name("training_script.py")
LONG_S = float(os.environ.get("GROWTH_S", "180"))
BEFORE, AFTER = 4, 12  # partitions
RUNS = ("alpha", "bravo", "charlie", "delta")


class Trainings:
    """Training processes, one for each run at a time, and the files in which they count their emits."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder, self._variables = folder, dict(variables)
        self._stop = folder / "stop"
        self._running: dict[str, PythonProcess] = {}
        self.counters: dict[tuple[str, str], Path] = {}  # by run and series

    def start(self, run_id: str) -> None:
        """Start a new process of a run, which emits a series of its own."""
        series = f"loss-{len(self.counters)}"
        counter = self.counters[run_id, series] = self._folder / f"{run_id}-{series}"
        command = [sys.executable, str(SCRIPT), series, str(counter), str(self._stop)]
        with counter.with_suffix(".log").open("wb") as log:
            self._running[run_id] = PythonProcess(
                command, env={**self._variables, "GATEWAY_RUN_ID": run_id}, stdout=log, stderr=log
            )

    def kill(self, run_id: str) -> None:
        """Kill the process of a run."""
        self._running[run_id].kill()
        self._running[run_id].wait(60)

    def finish(self) -> list[int]:
        """Let all processes end; return their exit statuses."""
        self._stop.touch()
        return [process.wait(120) for process in self._running.values()]

    def close(self) -> None:
        for process in self._running.values():
            process.kill()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many emits returned, by run and series."""
        return {
            key: int.from_bytes(path.read_bytes(), "little") if path.exists() else 0
            for key, path in self.counters.items()
        }


class Consumers:
    """Two materialisers and a delivery, each of which is started again when it was killed."""

    def __init__(self, place: Place, recorder: Recorder) -> None:
        self._place = place
        self._delivery_variables = recorder.variables()
        self._workers = {name: self._worker(name) for name in ("0", "1")}
        self.delivery = self._delivery()

    def until_ready(self) -> None:
        for worker in self._workers.values():
            worker.until_ready()
        self.delivery.until_ready()

    def kill(self, name: str) -> None:
        """Kill a worker by its name, or the delivery, and start it again."""
        if name == "delivery":
            self.delivery.kill()
            self.delivery = self._delivery()
        else:
            self._workers[name].kill()
            self._workers[name] = self._worker(name)

    def restart_fenced(self) -> None:
        """Start workers again that ended because another took their partitions, as a supervisor does."""
        for name, worker in self._workers.items():
            if worker.process.poll() is not None:
                assert "Fenced" in worker.text() or "RecordsSkipped" in worker.text(), worker.text()
                self._workers[name] = self._worker(name)

    def text(self) -> str:
        return "\n".join([worker.text() for worker in self._workers.values()] + [self.delivery.text()])

    def close(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        self.delivery.kill()

    def _worker(self, name: str) -> Materialiser:
        variables = self._place.variables() | {"GATEWAY_WORKER": name, "GATEWAY_SESSION_TIMEOUT_MS": "6000"}
        return Materialiser(self._place.folder, variables | {"GATEWAY_BATCH_RECORDS": "40"})

    def _delivery(self) -> Delivery:
        return Delivery(self._place, "recorder", self._delivery_variables)


class Growing(NamedTuple):
    """One system whose topic will grow."""

    place: Place
    recorder: Recorder
    trainings: Trainings
    consumers: Consumers
    variables: dict[str, str]  # of training


@pytest.fixture
def growing(kafka: str, database: str, tmp_path: Path) -> Iterator[Growing]:
    topic = f"growing-{tmp_path.name}-{time.monotonic_ns()}"
    services.run(services.create_topic(kafka, topic, partitions=BEFORE))
    place, recorder = Place(kafka, topic, database, tmp_path), Recorder(tmp_path)
    given = environment(kafka, topic, database)
    kept = {name: value for name, value in given.items() if not name.startswith("GATEWAY_")}
    training = kept | {
        "GATEWAY_AGENT": "off",
        "GATEWAY_URL": f"kafka://{kafka}", "GATEWAY_TOPIC": topic, "GATEWAY_JOURNAL_DIR": str(tmp_path / "journals"),
        "GATEWAY_CAPTURE": "none", "GATEWAY_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    with ExitStack() as stack:
        consumers = Consumers(place, recorder)
        stack.callback(consumers.close)
        trainings = Trainings(tmp_path, training)
        stack.callback(trainings.close)
        yield Growing(place, recorder, trainings, consumers, training)


def record(system: Growing, seconds: float, chance: random.Random) -> None:
    """
    Record for so long, kill processes, and let the topic grow after a fifth of the time.

    The delivery is killed once before that, so that it has to notice the new partitions while it runs. On a slow
    machine it takes longer: every run is continued after the growth.
    """
    begin, grown, turn = time.monotonic(), False, 0
    while (now := time.monotonic() - begin) < seconds or not grown or turn < len(RUNS):
        if not grown and now > seconds / 5 and turn:
            system.consumers.delivery.until_ready()
            services.run(services.add_partitions(system.place.kafka, system.place.topic, AFTER))
            grown, turn = True, 0
        time.sleep(chance.uniform(0.3, 0.8))
        victims = [*RUNS, "0", *RUNS, "1"] if grown else ["delivery", "1", "0"]
        victim = victims[turn % len(victims)]
        turn += 1
        if victim in RUNS:
            system.trainings.kill(victim)
            system.trainings.start(victim)
        else:
            system.consumers.kill(victim)
        system.consumers.restart_fenced()


async def until_begun(system: Growing) -> None:
    """Return when each run has records in the log, which lie where the run's key was before the topic grew."""
    connection = await asyncpg.connect(system.place.database)

    async def is_begun() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM runs") == len(RUNS))

    try:
        await until(is_begun, "every run has begun")
    finally:
        await connection.close()


async def until_done(system: Growing) -> None:
    """Return when everything in the log is folded and delivered."""
    place = system.place
    connection = await asyncpg.connect(place.database)

    async def is_done() -> bool:
        system.consumers.restart_fenced()
        ends = await watch.ends()
        rows = await connection.fetch("SELECT consumer, partition, next_offset FROM consumer_offsets")
        at = {(row["consumer"], row["partition"]): row["next_offset"] for row in rows}
        return all(
            at.get((consumer, part), 0) >= end
            for consumer in ("materialiser", "delivery/recorder")
            for part, end in ends.items()
        )

    try:
        async with Watch(place, "recorder") as watch:
            await until(is_done, "all is folded and delivered")
    finally:
        await connection.close()


async def stored(database: str) -> tuple[dict[tuple[str, str], list[float]], list[asyncpg.Record], int]:
    """Return the values of each series in stored order, the rows of all producers, and the number of dead letters."""
    connection = await asyncpg.connect(database)
    try:
        points = await connection.fetch(
            "SELECT run_id, name, array_agg(value ORDER BY index) AS found FROM metric_points GROUP BY 1, 2"
        )
        producers = await connection.fetch("SELECT run_id, producer, next_seq, missing::text FROM producers")
        letters = await connection.fetchval("SELECT count(*) FROM dead_letters")
    finally:
        await connection.close()
    return {(row["run_id"], row["name"]): row["found"] for row in points}, producers, letters


async def moved_runs(place: Place) -> set[str]:
    """Return the runs with records in more than one partition."""
    found: dict[bytes, set[int]] = {}
    reader = LogReader(place.kafka, place.topic)
    try:
        await reader.open()
        ends = await reader.end_offsets()
        left = sum(ends.values())
        await reader.assign(dict.fromkeys(ends, 0))
        async with asyncio.timeout(60):
            while left > 0:
                records = await reader.fetch(timeout_ms=200, max_records=2_000)
                left -= len(records)
                for record in records:
                    found.setdefault(record.key or b"", set()).add(record.partition)
    finally:
        await reader.close()
    return {key.decode() for key, partitions in found.items() if len(partitions) > 1}


def check_values(found: Mapping[tuple[str, str], Sequence[float]], counts: Mapping[tuple[str, str], int]) -> None:
    """Each emit that returned is stored once, in order; the one that was interrupted may be."""
    for key, count in counts.items():
        values = found.get(key, [])
        assert count <= len(values) <= count + 1, (key, count, len(values))
        assert values == [step + 0.5 for step in range(len(values))], key


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seconds", [9.0, pytest.param(LONG_S, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])])
def test_a_topic_grows_while_runs_are_recorded_and_processes_are_killed(growing: Growing, seconds: float) -> None:
    place, trainings, consumers = growing.place, growing.trainings, growing.consumers
    for run_id in RUNS:
        trainings.start(run_id)
    consumers.until_ready()
    services.run(until_begun(growing))

    record(growing, seconds, random.Random(11))

    assert set(trainings.finish()) == {0}
    left = gateway_with(growing.variables, "sync", str(place.folder / "journals"), "--json")
    assert left.returncode == 0, left.stderr
    services.run(until_done(growing))
    model = services.run(read_model(place.kafka, place.topic, AFTER))
    found, producers, letters = asyncio.run(stored(place.database))
    assert len(services.run(moved_runs(place))) >= 2, "the test is about runs in two partitions"
    check_values(found, trainings.counts())
    assert letters == 0
    assert {(row["run_id"], row["producer"]): (row["next_seq"], row["missing"]) for row in producers} == {
        key: (len(seqs), "[]") for key, seqs in model.seqs.items()
    }
    recorded = growing.recorder.recorded()
    assert set(recorded.given) == {(*key, seq) for key, seqs in model.seqs.items() for seq in seqs}
    assert (recorded.unannounced, recorded.unordered) == ([], [])
    checked = rebuild(place.variables(), "--check", "--json")
    assert (checked.returncode, facts(checked)["equal"]) == (0, True), checked.stdout + checked.stderr
