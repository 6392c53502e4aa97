"""
Connections of the API: PostgreSQL for folded data, Kafka for current events.

Both may be away at the start or later; the process waits and reports it. A refusal (wrong password, no such database)
is different: waiting does not help, so the process is asked to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi import Request

from consumers.live.api.errors import Failure
from consumers.live.api.fold_progress import MAX_WAIT_S, Folded, FoldProgress, Producer, missing_records
from consumers.live.api.shared import Shared
from consumers.live.api.status import Sources, read_status
from consumers.live.edits.appender import Appender
from consumers.live.feeds.alerts import AlertChanges
from consumers.live.feeds.changes import Changes
from consumers.live.stream.subscribers import Subscribers
from consumers.live.stream.tail import Tail
from consumers.log.reader import shorter_log
from consumers.log.record import Record
from consumers.log.security import security_arguments
from consumers.log.watermarks import LogBounds
from consumers.log.writer import LogWriter
from consumers.store.offsets import CONSUMER, stored_offsets
from consumers.store.pool import Database, open_database
from consumers.store.read.reader import StoreReader
from consumers.store.registry.read import RequestKey
from consumers.store.run_partitions import RunPartitions
from schemas.api import DecisionDocument, Status
from schemas.errors import LogUnavailable, StoreUnavailable, Unavailable
from schemas.runtime.access.identity import identity_of
from schemas.runtime.settings import Settings

REOPEN_AFTER_S = 0.5
PROBE_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 1.0
POOL_SIZE = 4  # connections; a request waits for one of them
LOCK_S, STATEMENT_S = 3, 30  # longest wait for a lock, and longest statement: a request gives its connection back then
STATUS_AGE_S, LONGEST_STATUS_AGE_S = 2.0, 10.0  # of an answer that all pages share


class Connections:
    """Connections of one process. Created outside of an event loop, used inside of one."""

    def __init__(self, settings: Settings) -> None:
        self.subscribers = Subscribers()
        security = security_arguments(settings)
        self.tail = Tail(settings.need("kafka"), settings.topic, self.subscribers, security, self._run_partitions)
        self.bounds = LogBounds(settings.need("kafka"), settings.topic, security)
        self.appender = Appender(
            lambda: LogWriter(settings.need("kafka"), settings.topic, security), self._run_partitions
        )
        self.closing = False
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None  # why this process cannot continue
        self._dsn = settings.need("postgres")
        self.topic = settings.topic
        self.artifacts = settings.artifacts  # URL of the artifact store
        self.progress = FoldProgress(self.folded)
        self.changes = Changes(self.tail, self.subscribers.catch_ups, self._until_folded)
        self.alerts = AlertChanges(self.store)
        self._lost_after_s = settings.lost_after_s
        self.trackers = settings.trackers
        self.tracker_urls = {"mlflow": settings.mlflow_url, "wandb-live": settings.wandb_url}
        self._database: Database | None = None
        self._reader: StoreReader | None = None
        self._partitions: RunPartitions | None = None
        self._problem = "PostgreSQL is not connected yet"
        self._status = Shared(self._read_status, age_s=STATUS_AGE_S, longest_s=LONGEST_STATUS_AGE_S)
        self._health = Shared(self.missing, age_s=0, longest_s=0)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start to connect; returns at once."""
        self._tasks = [asyncio.create_task(self._open_store()), asyncio.create_task(self.tail.run())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End streams and connections."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bounds.close()
        await self.appender.close()
        if self._database is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._database.close()

    def close_streams(self) -> None:
        """End every stream, so that a server that waits for its connections can stop."""
        self.closing = True
        self.subscribers.close()
        self.changes.close()
        self.alerts.close()
        self.progress.close()

    def store(self) -> StoreReader:
        """Return the store. Raises StoreUnavailable until PostgreSQL has been reached once."""
        if self._reader is None:
            raise StoreUnavailable(self._problem)
        return self._reader

    async def names_matching(self, regex: str, names: Sequence[str]) -> set[str]:
        """Return which written names a regular expression matches. Raises BadRegex and StoreUnavailable."""
        async with self.store().snapshot() as now:
            return await now.series_charts.names_matching(regex, names)

    async def missing(self) -> dict[str, str]:
        """Return the services that cannot be used now, by name, with the reason."""
        probes = await asyncio.gather(self._probe_store(), self._probe_log())
        return {name: why for name, why in zip(("postgres", "kafka"), probes, strict=True) if why}

    async def folded(self, asked: Collection[Producer | RequestKey] = ()) -> Folded:
        """Return how far the log is folded: a later read of the store includes everything below."""
        if not asked:  # a single query needs no snapshot, which takes three more
            return Folded(await self._offsets(), {})
        requests: dict[RequestKey, DecisionDocument | None] = {one: None for one in asked if len(one) == 3}
        async with self.store().snapshot() as now:
            received = await now.received([one for one in asked if len(one) == 2])
            decided = await now.registry.decisions(requests)
            return Folded(await now.offsets(CONSUMER, self.topic), received, requests | decided)

    async def _until_folded(self, positions: Mapping[int, int]) -> None:
        """
        Return once everything below these offsets is folded, however long that takes, or once the log is another one.

        Raises StoreUnavailable.
        """
        is_there = False
        while not is_there and not missing_records(positions, self.tail.positions):
            try:
                is_there, _ = await self.progress.wait_until(
                    lambda now: not missing_records(positions, now.offsets), MAX_WAIT_S
                )
            except Failure:  # too many wait
                await asyncio.sleep(REOPEN_AFTER_S)

    def database(self) -> Database:
        """Return the database, for the few rows that the API itself writes. Raises StoreUnavailable."""
        if self._database is None:
            raise StoreUnavailable(self._problem)
        return self._database

    async def _offsets(self) -> dict[int, int]:
        return await stored_offsets(self.database(), CONSUMER, self.topic)

    async def status(self) -> Status:
        """Return the state of every consumer of the log and of the dead letters. Raises StoreUnavailable."""
        return await self._status.get()

    async def health(self) -> dict[str, str]:
        """Return what `missing` does; requests that come while it is being asked share its answer."""
        return await self._health.get()

    async def _read_status(self) -> Status:
        return await read_status(Sources(self.database(), self.bounds, self.topic, self.trackers))

    async def _run_partitions(self, records: Sequence[Record]) -> Mapping[str, int]:
        return {} if self._partitions is None else await self._partitions.of_records(records, claim=False)

    async def _open_store(self) -> None:
        while self._database is None:
            try:
                self._database = await open_database(
                    self._dsn,
                    size=POOL_SIZE,
                    command_timeout_s=STATEMENT_S,
                    lock_timeout=f"{LOCK_S}s",
                    statement_timeout=f"{STATEMENT_S}s",
                )
                self._reader = StoreReader(self._database, lost_after_s=self._lost_after_s)
                self._partitions = RunPartitions(self._database, self.topic)
            except Unavailable as error:
                self._problem = str(error)
                await asyncio.sleep(REOPEN_AFTER_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
            self.failed.set()

    async def _probe_store(self) -> str:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self.store().ping()
        except StoreUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"PostgreSQL did not answer within {PROBE_TIMEOUT_S:g} s"
        return ""

    async def _probe_log(self) -> str:
        try:
            bounds = await self.bounds.ask()
        except LogUnavailable as error:
            return str(error)
        with suppress(StoreUnavailable):
            if problem := shorter_log(self.topic, (await self.folded()).offsets, bounds.end, "the materialiser"):
                return problem
        return "" if self.tail.positions else self.tail.problem


class _Limited(Connections):
    """The connections of a process for someone who sees only runs of some experiments."""

    def __init__(self, whole: Connections, experiments: frozenset[str]) -> None:
        self._whole, self._seen = whole, experiments

    def __getattr__(self, name: str) -> Any:  # called for what this object does not have itself: all of its state
        return getattr(self._whole, name)

    def store(self) -> StoreReader:
        return self._whole.store().limited(self._seen)


def connections_of(request: Request) -> Connections:
    """Return the connections of the process that answers `request`, limited to what its sender may see."""
    found = request.app.state.connections
    assert isinstance(found, Connections)
    experiments = identity_of(request.scope).experiments
    return found if experiments is None else _Limited(found, experiments)
