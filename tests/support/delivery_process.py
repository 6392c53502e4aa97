"""A real delivery to one tracker as a process, and what its tracker holds afterwards."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from consumers.log.reader import LogReader
from consumers.store.delivery.checkpoints import Checkpoint, Deliveries
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.trackers.protocol import Tracker
from schemas.facts import Facts
from tests.support.materialiser_process import environment
from tests.support.python_process import PythonProcess

DEADLINE_S = 150.0


class Place(NamedTuple):
    """The log, the database and the folder of one test."""

    kafka: str
    topic: str
    database: str
    folder: Path
    mlflow_url: str = "http://127.0.0.1:1"

    def variables(self) -> dict[str, str]:
        return environment(
            self.kafka, self.topic, self.database,
            home=str(self.folder / "home"), wandb_dir=str(self.folder), mlflow_url=self.mlflow_url,
        )  # fmt: skip


class Delivery:
    """A delivery process and its log file."""

    def __init__(self, place: Place, tracker: str, variables: Mapping[str, str] | None = None) -> None:
        self.log = place.folder / f"delivery-{tracker}-{uuid.uuid4().hex[:8]}.log"
        self.ready = self.log.with_suffix(".ready")
        given = place.variables() | {"GATEWAY_READY_FILE": str(self.ready)} | dict(variables or {})
        with self.log.open("wb") as out:
            command = [sys.executable, "-m", "consumers.delivery", tracker]
            self.process = PythonProcess(command, env=given, stderr=out, stdout=out)

    def until_ready(self) -> Delivery:
        """Return when it reads the log."""
        self.until(self.ready.exists, "it reads the log")
        return self

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when the condition holds; fail if the process ends or the deadline passes before that."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}: {self.text()}"
            time.sleep(0.005)

    def text(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(150)


@contextmanager
def delivery(place: Place, tracker: str, variables: Mapping[str, str] | None = None) -> Iterator[Delivery]:
    """Yield a delivery that reads the log; kill it when the block ends."""
    one = Delivery(place, tracker, variables)
    try:
        yield one.until_ready()
    finally:
        one.kill()


async def progress(place: Place, tracker: str) -> dict[str, Checkpoint]:
    """Return the checkpoint of each run."""
    db = await open_database(place.database, size=1)
    try:
        return await Deliveries(db, tracker, place.topic).load()
    finally:
        await db.close()


class Watch:
    """Polls the progress of a tracker over one connection to PostgreSQL and one to Kafka."""

    def __init__(self, place: Place, tracker: str) -> None:
        self._place, self._tracker = place, tracker

    async def __aenter__(self) -> Watch:
        self._reader = LogReader(self._place.kafka, self._place.topic)
        await self._reader.open()
        self._database = await open_database(self._place.database, size=1)
        await migrate(self._database)
        self._deliveries = Deliveries(self._database, self._tracker, self._place.topic)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()
        await self._reader.close()

    async def ends(self) -> dict[int, int]:
        """Return the end of the log, by partition."""
        return await self._reader.end_offsets()

    async def records(self) -> int:
        """Return how many records the tracker has received."""
        found = await self._deliveries.load()
        return sum(ledger.received for run in found.values() for ledger in run.ledgers.values())

    async def status(self, run_id: str) -> str:
        """Return the status of one run."""
        return (await self._deliveries.load([run_id])).get(run_id, Checkpoint()).status

    async def until_offsets(self, wanted: Mapping[int, int], running: Delivery) -> None:
        """Return when the delivery has these offsets, by partition."""

        async def has_them() -> bool:
            return await self._deliveries.offsets() == wanted

        await self.until(has_them, running, f"offsets {wanted}")

    async def is_caught_up(self) -> bool:
        """Return whether the delivery has read the whole log."""
        offsets = await self._deliveries.offsets()
        return all(offsets.get(partition, 0) >= end for partition, end in (await self._reader.end_offsets()).items())

    async def until(self, condition: Callable[[], Awaitable[bool]], running: Delivery, what: str) -> None:
        """Return when the condition holds; fail if the process ends or the deadline passes before that."""
        deadline = time.monotonic() + DEADLINE_S
        while not await condition():
            assert running.process.poll() is None, running.text()
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}: {running.text()}"
            await asyncio.sleep(0.02)  # a poll takes 3 ms of a core, which the process under test needs as well


async def until_caught_up(place: Place, running: Delivery, tracker: str) -> None:
    """Return when the delivery to a tracker has read the whole log."""
    async with Watch(place, tracker) as watch:
        await watch.until(watch.is_caught_up, running, f"{tracker} has caught up")


async def held(place: Place, tracker: Tracker) -> Facts:
    """Return what a tracker holds of all runs, as read back from it."""
    facts = Facts()
    for run_id, known in (await progress(place, tracker.name)).items():
        found = await asyncio.to_thread(tracker.read_back, run_id, known.state)
        facts.add_run(run_id, found.points, len(found.params))
    return facts
