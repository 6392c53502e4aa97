"""
The partition of each run.

Kafka derives the partition of a key from the number of partitions, so a topic that grows gets later records of a
living run in another partition. There is no order between partitions. So each run has one partition, the first in which
any consumer met it, and only the order of that partition counts. Records elsewhere are *strays*: every consumer skips
them, and the materialiser appends a copy to the run's partition (consumers/materialiser/strays.py) before it moves the
offset past the original.

A claim is one row that never changes, so what is read once may be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from consumers.log.record import Record
from consumers.store.pool import Database
from consumers.store.statements import sql
from schemas.bounds import MAX_RUN_ID

MAX_KNOWN = 100_000  # runs in memory; beyond this number all are asked for again


class RunPartitions:
    """Partitions of the runs of one topic. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, topic: str) -> None:
        self._database, self._topic = database, topic
        self._known: dict[str, int] = {}

    async def claim(self, met: Mapping[str, int]) -> dict[str, int]:
        """Return the partition of each of these runs; a run without one gets that in which it was met."""
        found = await self.find(met)
        new = sorted(run_id for run_id in met if run_id not in found)
        if new:
            async with self._database.acquire() as connection:
                columns = new, [met[run_id] for run_id in new]
                rows = await connection.fetch(sql("claim_run_partitions"), self._topic, *columns)
            found |= {row["run_id"]: row["partition"] for row in rows}
            if len(found) < len(met):  # another process was first
                found |= await self.find([run_id for run_id in new if run_id not in found])
        return found

    async def find(self, run_ids: Iterable[str]) -> dict[str, int]:
        """Return the partition of those runs that have one."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("find_run_partitions"), self._topic, list(run_ids))
        return {row["run_id"]: row["partition"] for row in rows}

    async def uncopied(self) -> dict[int, int]:
        """Return the offsets, by partition, below which strays have no copies: an earlier release folded them there."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("uncopied_strays"), self._topic)
        return {row["partition"]: row["below"] for row in rows}

    async def all_are_copied(self) -> None:
        """Record that every stray has a copy now."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("strays_are_copied"), self._topic)

    async def of_records(self, records: Iterable[Record], *, claim: bool) -> Mapping[str, int]:
        """
        Return the partitions of the runs of these records, perhaps among others.

        With `claim` every run gets one. Without it, a run that no consumer has met yet is absent.
        """
        known = self._known
        keys = {record.key: record.partition for record in reversed([*records])}  # the first one counts
        met = {run_id: keys[key] for key in keys if (run_id := _run_id(key)) and run_id not in known}
        if met:
            if len(known) > MAX_KNOWN:
                known.clear()
                return await self.of_records(records, claim=claim)
            known.update(await (self.claim(met) if claim else self.find(met)))
        return known


def is_stray(run_id: str, partition: int, partitions: Mapping[str, int]) -> bool:
    """Tell whether a record in `partition` of the log is a stray; it is none if its run has no partition yet."""
    return partitions.get(run_id, partition) != partition


def _run_id(key: bytes | None) -> str:
    """Return the run id that a key states, '' for a key that no event has."""
    try:
        text = key.decode() if key else ""
    except UnicodeDecodeError:
        return ""
    return "" if "\x00" in text or len(text) > MAX_RUN_ID else text
