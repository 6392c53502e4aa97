"""
Fold the log again from its beginning, then compare with the live tables or take their place.

The same fold and the same writing code as the live worker, into tables beside the live ones: `Worker` with connections
of another schema. It keeps its own offset rows there, so an interrupted rebuild goes on where it was. The log is read
up to the live worker's offsets, never further, and never over a gap.
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
from consumers.materialiser.rebuild.refold import NEAR_RECORDS, Console, Refold, refuse_gaps
from consumers.materialiser.worker import Worker
from consumers.store.maintenance.compare import Comparison, compare
from consumers.store.maintenance.rebuild import Busy, Rebuilding, RebuildOrigin, rebuilding
from consumers.store.offsets import CONSUMER
from schemas.errors import LogUnavailable, StoreRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumers.store.pool import PooledConnection
    from schemas.runtime.settings import Settings

HELD_S = 10.0  # so long may live workers wait at most, whatever Kafka does
RETRY_S = (0.5, 8.0)  # first and longest wait for readers: each try holds up everybody else for half a second


@dataclass(kw_only=True)
class Rebuilt:
    """What a rebuild did."""

    offsets: dict[int, int]  # the log is folded up to here
    records: int = 0  # folded now, without those of an interrupted rebuild before
    points: int = 0  # of these records
    seconds: float = 0.0  # folding
    switched: bool = False
    comparison: Comparison | None = None  # of a check

    @property
    def points_per_s(self) -> float:
        """Points folded a second."""
        return self.points / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON holds them."""
        facts = {name: getattr(self, name) for name in ("switched", "offsets", "records", "points")}
        speed = {"seconds": round(self.seconds, 3), "points_per_s": round(self.points_per_s)}
        return {**facts, **speed, **(self.comparison.to_json() if self.comparison else {})}


async def rebuild(settings: Settings, console: Console, *, check: bool, restart: bool) -> Rebuilt:
    """
    Fold the log into tables beside the live ones; then compare (`check`), or put them in place of the live ones.

    Raises LogGap when the log lost records that are needed, LogUnavailable and StoreUnavailable when Kafka or
    PostgreSQL cannot be reached at the start, StoreRefused when the tables cannot be rebuilt now.
    """
    bootstrap = settings.need("kafka")
    async with rebuilding(settings.need("postgres").strip(), CONSUMER, settings.topic) as place:
        reader = LogReader(bootstrap, settings.topic, security_arguments(settings))
        try:
            await reader.open()
            await place.check_release()
            refold = await _begin(place, reader, console, restart=restart)
            await refold.catch_up()
            return await (_check(place, refold, console) if check else _switch(place, refold, console))
        finally:
            await reader.close()


async def _begin(place: Rebuilding, reader: LogReader, console: Console, *, restart: bool) -> Refold:
    """Make or find the tables beside, once it is certain that the log has everything they need."""
    found, wanted = await place.origin(), RebuildOrigin(reader.topic, fold_identity())
    if found not in (None, wanted) and not restart:
        raise StoreRefused(
            f"the rebuild that was interrupted folded {found.topic if found else ''} with other code: "
            "begin anew with `gateway rebuild --restart`"
        )
    offsets = {} if restart else await place.side_offsets()
    await refuse_gaps(reader, offsets, await place.offsets())
    if restart:
        await place.drop()
    elif offsets:
        console.say(f"going on after {sum(offsets.values()):,} records of the rebuild that was interrupted")
    await place.begin(wanted)
    worker = Worker(place.side, reader.topic)
    return Refold(place, reader, worker, console, offsets=await worker.assign(await reader.partitions()))


@asynccontextmanager
async def _level(place: Rebuilding, refold: Refold) -> AsyncIterator[PooledConnection]:
    """Give a transaction in which both sides stand at the same offsets, and no worker can commit. Raises Busy."""
    async with place.held() as (connection, live):
        if refold.left(live) > 2 * NEAR_RECORDS:
            raise Busy("the live workers are ahead")
        try:
            await refold.fold_to(live, within_s=HELD_S)
        except LogUnavailable as error:
            raise Busy(str(error)) from error
        if {p: offset for p, offset in refold.offsets.items() if offset} != live:
            raise StoreRefused(
                f"the live offsets {live} are behind those of the rebuild {refold.offsets}: somebody set them back; "
                "let the materialiser catch up, then run `gateway rebuild` again"
            )
        yield connection


async def _switch(place: Rebuilding, refold: Refold, console: Console) -> Rebuilt:
    told, wait_s = False, RETRY_S[0]
    await place.analyse()
    while True:
        await refold.catch_up()
        console.progress("switching", 0, 1)
        try:
            async with _level(place, refold) as connection:
                points = await refold.points()
                await place.exchange(connection)
        except Busy as busy:
            if not told and (blockers := await place.blockers()):
                console.say(f"{busy}: waiting for {', '.join(blockers)}")
                told = True
            await asyncio.sleep(wait_s)
            wait_s = min(RETRY_S[1], wait_s * 2)
        else:
            break
    return _rebuilt(refold, points)


async def _check(place: Rebuilding, refold: Refold, console: Console) -> Rebuilt:
    async with place.snapshot() as (connection, begin):
        while True:
            await refold.catch_up()
            try:
                async with _level(place, refold):
                    live_schema = await begin()
                break
            except Busy:
                await asyncio.sleep(RETRY_S[0])
        comparison = await compare(connection, live_schema, console.progress)
    rebuilt = _rebuilt(refold, await refold.points(), comparison)
    if comparison.first_difference is None:
        await place.drop()
    return rebuilt


def _rebuilt(refold: Refold, points: int, comparison: Comparison | None = None) -> Rebuilt:
    return Rebuilt(
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

    Folders are taken whole, whatever their depth. A rebuild that other code began is started again from nothing.
    """
    consumer_code, contract = Path(consumers.__path__[0]), Path(schemas.__path__[0])
    patterns = ("*.py", "log/**/*.py", "materialiser/**/*.py", "store/**/*.py", "store/sql/**/*.sql")
    files = [file for pattern in patterns for file in consumer_code.glob(pattern)] + [*contract.rglob("*.py")]
    digest = blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(file.relative_to(consumer_code.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
