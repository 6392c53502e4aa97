"""
Fold the log again from its beginning into new tables, then compare these with the live tables or replace them.

A rebuild uses the same fold and the same writing code as the live worker: a `Worker` with connections to another
schema. It keeps its own offset rows there, so an interrupted rebuild resumes where it stopped. The log is read up to
the live worker's offsets, never further, and never across a gap.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import consumers
import schemas
from consumers.log.reader import LogReader
from consumers.log.security import security_arguments
from consumers.materialiser.rebuild.refold import NEAR_RECORDS, Console, Refold, check_log
from consumers.materialiser.strays import StrayCopier, copy_below
from consumers.materialiser.worker import Worker
from consumers.store.maintenance.compare import Comparison, compare
from consumers.store.maintenance.rebuild import Busy, Rebuilding, RebuildOrigin, rebuilding
from consumers.store.offsets import CONSUMER
from consumers.store.run_partitions import RunPartitions
from schemas.errors import LogUnavailable, StoreRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumers.store.pool import PooledConnection
    from schemas.runtime.settings import Settings

MAX_HOLD_S = 10.0  # for which live workers wait at most, whatever Kafka does
RETRY_S = (0.5, 8.0)  # first and longest wait for readers: each try blocks all other sessions for half a second


@dataclass(kw_only=True)
class RebuildResult:
    """Result of a rebuild."""

    offsets: dict[int, int]  # up to which the log is folded
    records: int = 0  # folded by this run, without those of an interrupted rebuild before it
    points: int = 0  # of these records
    seconds: float = 0.0  # spent folding
    switched: bool = False
    comparison: Comparison | None = None  # of `--check`

    @property
    def points_per_s(self) -> float:
        """Points folded per second."""
        return self.points / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        facts = {name: getattr(self, name) for name in ("switched", "offsets", "records", "points")}
        speed = {"seconds": round(self.seconds, 3), "points_per_s": round(self.points_per_s)}
        return {**facts, **speed, **(self.comparison.to_json() if self.comparison else {})}


async def rebuild(settings: Settings, console: Console, *, check: bool, restart: bool) -> RebuildResult:
    """
    Fold the log into new tables; then compare them with the live ones (`check`) or switch to them.

    `restart` discards an interrupted rebuild. Raises LogGap when the log has lost records that are needed,
    LogUnavailable and StoreUnavailable when Kafka or PostgreSQL cannot be reached at the start, and StoreRefused when
    the tables cannot be rebuilt now.
    """
    bootstrap = settings.need("kafka")
    async with rebuilding(settings.need("postgres").strip(), CONSUMER, settings.topic) as tables:
        reader = LogReader(bootstrap, settings.topic, security_arguments(settings))
        partitions, copier = RunPartitions(tables.live, settings.topic), StrayCopier(settings)
        try:
            await reader.open()
            await tables.check_release()
            copy = copy_below(await partitions.uncopied(), copier.copy)
            worker = Worker(tables.side, settings.topic, copy_strays=copy, run_partitions=partitions)
            refold = await _begin(tables, reader, worker, console, restart=restart)
            await refold.catch_up()
            result = await (_check(tables, refold, console) if check else _switch(tables, refold, console))
            await partitions.all_are_copied()
            return result
        finally:
            await copier.close()
            await reader.close()


async def _begin(tables: Rebuilding, reader: LogReader, worker: Worker, console: Console, *, restart: bool) -> Refold:
    """Create or find the new tables, once it is certain that the log has everything they need."""
    found, wanted = await tables.origin(), RebuildOrigin(reader.topic, fold_identity())
    if found not in (None, wanted) and not restart:
        raise StoreRefused(
            f"the interrupted rebuild folded {found.topic if found else ''} with other code: "
            "start from scratch with `gateway rebuild --restart`"
        )
    offsets = {} if restart else await tables.side_offsets()
    await check_log(reader, offsets, await tables.offsets())
    if restart:
        await tables.drop()
    elif offsets:
        console.notice(f"resuming after {sum(offsets.values()):,} records of the interrupted rebuild")
    await tables.begin(wanted)
    return Refold(tables, reader, worker, console, offsets=await worker.assign(await reader.partitions()))


@asynccontextmanager
async def _at_equal_offsets(tables: Rebuilding, refold: Refold) -> AsyncIterator[PooledConnection]:
    """Yield a transaction in which both sides are at the same offsets and no worker can commit. Raises Busy."""
    async with tables.held() as (connection, live):
        if refold.left(live) > 2 * NEAR_RECORDS:
            raise Busy("the live workers are ahead")
        try:
            await refold.fold_to(live, within_s=MAX_HOLD_S)
        except LogUnavailable as error:
            raise Busy(str(error)) from error
        if {p: offset for p, offset in refold.offsets.items() if offset} != live:
            raise StoreRefused(
                f"the live offsets {live} are lower than those of the rebuild {refold.offsets}, so they were moved "
                "back: let the materialiser catch up, then run `gateway rebuild` again"
            )
        yield connection


async def _switch(tables: Rebuilding, refold: Refold, console: Console) -> RebuildResult:
    reported, wait_s = False, RETRY_S[0]
    await tables.analyse()
    while True:
        await refold.catch_up()
        console.progress("switching", 0, 1)
        try:
            async with _at_equal_offsets(tables, refold) as connection:
                points = await refold.points()
                await tables.exchange(connection)
        except Busy as busy:
            if not reported and (blockers := await tables.blockers()):
                console.notice(f"{busy}: waiting for {', '.join(blockers)}")
                reported = True
            await asyncio.sleep(wait_s)
            wait_s = min(RETRY_S[1], wait_s * 2)
        else:
            break
    return _result(refold, points)


async def _check(tables: Rebuilding, refold: Refold, console: Console) -> RebuildResult:
    async with tables.snapshot() as (connection, begin):
        while True:
            await refold.catch_up()
            try:
                async with _at_equal_offsets(tables, refold):
                    live_schema = await begin()
                break
            except Busy:
                await asyncio.sleep(RETRY_S[0])
        comparison = await compare(connection, live_schema, console.progress)
    rebuilt = _result(refold, await refold.points(), comparison)
    if comparison.first_difference is None:
        await tables.drop()
    return rebuilt


def _result(refold: Refold, points: int, comparison: Comparison | None = None) -> RebuildResult:
    return RebuildResult(
        offsets=refold.offsets,
        records=refold.records,
        points=points,
        seconds=refold.seconds,
        switched=comparison is None,
        comparison=comparison,
    )


def fold_identity() -> str:
    """
    Return a hash (32 hex digits) of the code that folds and writes: all of schemas, log, materialiser and store.

    Folders are included recursively. A rebuild that was begun by other code must start from scratch.
    """
    consumer_code, contract = Path(consumers.__path__[0]), Path(schemas.__path__[0])
    patterns = ("*.py", "log/**/*.py", "materialiser/**/*.py", "store/**/*.py", "store/sql/**/*.sql")
    files = [file for pattern in patterns for file in consumer_code.glob(pattern)] + [*contract.rglob("*.py")]
    digest = blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(file.relative_to(consumer_code.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
