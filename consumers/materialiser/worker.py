"""
Apply records to the store, each exactly once.

The source of truth is the offset row in PostgreSQL, which moves in the same transaction as the rows that it covers.
Before each batch the worker knows the next offset of each partition. It skips records below that offset, because they
were applied before; if the outcome of a commit is unknown, it reads the row again. Infrastructure errors are waited
out, without a limit. A record that cannot be decoded is parked, and so is one that cannot be folded or stored: if a
batch fails with an error that rows can cause, its records are applied one at a time, which proves which of them it is,
and the others go on. Any other error is raised, and the process must end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any

from consumers.deadletters.limits import (
    NO_LIMITS,
    Counted,
    Limits,
    Ordinal,
    Tally,
    count_letters,
    key_digest,
    printable,
)
from consumers.log.record import Record
from consumers.materialiser.fold.chunks import finalise_chunks
from consumers.materialiser.fold.facts import is_edit
from consumers.materialiser.fold.fold import fold, park, rows_of, series_of, series_to_restore
from consumers.materialiser.fold.state import FoldState, SetKey
from consumers.materialiser.gaps import GapPolicy, OffsetGap, allow_gaps
from consumers.materialiser.registry.fold import fold_request
from consumers.materialiser.registry.state import RegistryState, wanted_by
from consumers.materialiser.strays import CopyStrays, leave_strays
from consumers.store import dead_letters
from consumers.store.offsets import CONSUMER, load_offsets
from consumers.store.pool import Database
from consumers.store.registry import load as registry_loader
from consumers.store.rows import Changes, DeadLetterRow
from consumers.store.run_partitions import RunPartitions
from consumers.store.write import loader
from consumers.store.write.writer import RowsRefused, TablesExchanged, write
from consumers.telemetry.instruments import FoldWatch
from schemas.errors import BadEvent, BadRecord, LogUnavailable, StoreUnavailable
from schemas.wire import Envelope, RegistryEnvelope, decode, ordering_key

Decoded = Envelope | RegistryEnvelope | BadRecord

MAX_CACHED_SERIES = 250_000  # in memory, each with about 1.5 kB; beyond this number all are loaded again
MAX_ROW_SETS = 2_000  # lists of names in memory: a training may emit other names at each step
MAX_OPEN_POINTS = 5_000_000  # of these, in memory: 120 MB; beyond this number those that are stored are forgotten
MAX_CACHED_RUNS = 20_000
MAX_ROWS = 100_000  # in one transaction: a row may take 2 kB of memory, and 5 bytes of a record can be one
BEAT_S = 5.0  # between two signs of life during an edit
BACKOFF_S = (0.1, 5.0)  # first and longest wait while PostgreSQL is away, or Kafka for copies of strays

log = logging.getLogger(__name__)


class Worker:
    """Folds the records of its assigned partitions, one batch at a time; not for several tasks at once."""

    def __init__(
        self,
        database: Database,
        topic: str,
        watch: FoldWatch | None = None,
        limits: Limits = NO_LIMITS,
        gap_policy: GapPolicy = allow_gaps,
        copy_strays: CopyStrays = leave_strays,
        run_partitions: RunPartitions | None = None,
    ) -> None:
        """Fold into `database`; `run_partitions` are those of another database if given."""
        self._database, self._topic = database, topic
        self._run_partitions = run_partitions or RunPartitions(database, topic)
        self._copy_strays = copy_strays
        self._watch = watch or FoldWatch()
        self._limits = limits
        self._state, self._registry = FoldState(), RegistryState()
        self._tally = Tally()
        self._next: dict[int, int] = {}
        self._seen: set[int] = set()  # partitions of which this process has applied a record
        self._check_gap = gap_policy
        self._lock = asyncio.Lock()
        self.written_series = self.written_points = 0  # by the last transaction

    async def assign(self, partitions: Collection[int]) -> dict[int, int]:
        """Take over exactly these partitions and return the next offset of each. Waits for a batch in progress."""
        async with self._lock:
            self._state = FoldState()
            self._next = await self._load_offsets(partitions)
            return dict(self._next)

    async def apply(self, records: Sequence[Record]) -> None:
        """
        Fold and store records; returns once they are committed.

        Raises the errors of the gap policy, Fenced, TooManyDeadLetters and StoreRefused. After one of them the caller
        must not pass on records that it already holds.
        """
        async with self._lock:
            wait_s = BACKOFF_S[0]
            while True:
                try:
                    await self._apply(records)
                    self._watch.progressed()
                    return
                except (StoreUnavailable, LogUnavailable) as error:
                    wait_s = await self._wait(error, wait_s)
                    self._state = FoldState()
                    self._next = await self._load_offsets(self._next)

    def positions(self) -> Mapping[int, int]:
        """Return the next offset of each partition of this worker."""
        return dict(self._next)

    async def idle(self) -> None:
        """Return once no batch is being applied."""
        async with self._lock:
            return

    async def _load_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        wait_s = BACKOFF_S[0]
        while True:
            try:
                found = await load_offsets(self._database, CONSUMER, self._topic, partitions)
                in_row = await dead_letters.load_in_row(self._database, self._topic, found)
                self._tally = Tally(
                    {partition: parked.number for partition, parked in in_row.items()},
                    decided_in_row={partition: parked.decided for partition, parked in in_row.items()},
                )
                return found
            except StoreUnavailable as error:
                wait_s = await self._wait(error, wait_s)

    async def _wait(self, error: StoreUnavailable | LogUnavailable, wait_s: float) -> float:
        """Wait for a service and return how long to wait the next time."""
        self._watch.waiting(str(error))
        log.warning("%s: waiting for it", error)
        await asyncio.sleep(wait_s)
        return min(BACKOFF_S[1], wait_s * 2)

    async def _apply(self, records: Sequence[Record]) -> None:
        new, gaps = self._new_records(records)
        start = 0
        for index, gap in gaps:  # records before a gap are stored, whatever the gap means
            await self._apply_all(new[start:index])
            await self._check_gap(gap)
            start = index
        await self._apply_all(new[start:])

    async def _apply_all(self, records: Sequence[Record]) -> None:
        decoded = [_decode(record) for record in records]
        edits = [_is_edit(envelope) for envelope in decoded]
        start, rows, sets = 0, 0, set[SetKey]()
        for end, envelope in enumerate(decoded, 1):
            rows += rows_of(envelope, sets) if isinstance(envelope, Envelope) else 1
            # An edit by name acts on stored rows, so it shares its transaction neither with earlier nor later events.
            if end == len(decoded) or rows > MAX_ROWS or edits[end - 1] or edits[end]:
                await self._commit(records[start:end], decoded[start:end])
                start, rows, sets = end, 0, set()
        self._seen |= {record.partition for record in records}

    def _new_records(self, records: Sequence[Record]) -> tuple[list[Record], list[tuple[int, OffsetGap]]]:
        """Return the records to apply, and the gaps in them, each with the index of the record that follows it."""
        following, seen = dict(self._next), set(self._seen)
        new: list[Record] = []
        gaps: list[tuple[int, OffsetGap]] = []
        for record in records:
            expected = following.get(record.partition)
            if expected is None or record.offset < expected:
                continue  # the partition is no longer ours, or the record was applied before
            if record.offset > expected:
                is_first = record.partition not in seen
                gaps.append((len(new), OffsetGap(self._topic, record.partition, expected, record.offset, is_first)))
            seen.add(record.partition)
            following[record.partition] = record.offset + 1
            new.append(record)
        return new, gaps

    async def _commit(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        """Store records up to the first dead letter beyond the limits; raises TooManyDeadLetters there."""
        counted = await self._count(records, decoded)
        fit = len(counted.ordinals)
        if fit:
            await self._store(records[:fit], decoded[:fit], counted)
        if counted.excess is not None:
            raise counted.excess

    async def _count(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> Counted:
        tally = self._tally.copy()
        reasons = [str(envelope) if isinstance(envelope, BadRecord) else None for envelope in decoded]
        wanted: dict[int, set[bytes]] = {}
        for record, reason in zip(records, reasons, strict=True):
            if reason is not None and record.key is not None:
                wanted.setdefault(record.partition, set()).add(key_digest(record.key))
        for partition, digests in wanted.items():
            digests -= {run for of, run in tally.of_run if of == partition}  # already in memory
            found = await dead_letters.load_of_run(self._database, self._topic, partition, digests)
            nothing = dead_letters.ParkedCount(0, 0)
            tally.of_run.update({(partition, one): found.get(one, nothing).number for one in digests})
            tally.decided_of_run.update({(partition, one): found.get(one, nothing).decided for one in digests})
        return count_letters(tally, self._limits, records, reasons)

    async def _store(self, records: Sequence[Record], decoded: Sequence[Decoded], counted: Counted) -> None:
        is_fresh = not self._state.tables
        await self._load(records, decoded)
        started = time.monotonic()
        try:
            changes, duplicates, strays = self._fold(records, decoded, counted)
            if strays:
                await self._copy(strays)
            writing = write(self._database, CONSUMER, self._topic, changes, self._state.tables)
            await (self._patiently(writing) if changes.edits else writing)
        except TablesExchanged:
            self._state = FoldState()  # its rows are those of the old tables
            await self._commit(records, decoded)
            return
        except RowsRefused as error:
            self._state = FoldState()
            if len(records) == 1 and not is_fresh:  # the rows in memory may be to blame: retention drops points
                await self._commit(records, decoded)
            else:
                await self._commit_one_by_one(records, decoded, error)
            return
        if changes.dead_letters:
            _log_parked(changes.dead_letters)
        if changes.edits:
            self._state = FoldState()  # rows were changed by name: the ones in memory are out of date
        self._tally = counted.tally
        self.written_series, self.written_points = len(changes.series), sum(changes.new_points.values())
        for partition, (_, following) in changes.offsets.items():
            self._next[partition] = following
        seconds = time.monotonic() - started
        self._watch.committed(
            records, decoded, duplicates=duplicates, strays=[one for _, one in strays], seconds=seconds
        )

    async def _patiently(self, writing: Coroutine[Any, Any, None]) -> None:
        """Wait for an edit, which may take many minutes, as for work: a restart would begin it again."""
        task = asyncio.ensure_future(writing)
        try:
            while not (await asyncio.wait({task}, timeout=BEAT_S))[0]:
                self._watch.progressed()
        finally:
            task.cancel()
        await task

    def _fold(
        self, records: Sequence[Record], decoded: Sequence[Decoded], counted: Counted
    ) -> tuple[Changes, list[Envelope], list[tuple[Record, Envelope | RegistryEnvelope]]]:
        """Return what the records change, which were folded before, and which are strays. Raises RowsRefused."""
        changes, duplicates = Changes(), list[Envelope]()
        strays = list[tuple[Record, Envelope | RegistryEnvelope]]()
        partitions, changes.registry = self._state.partitions, self._registry.changes
        try:
            for record, envelope, ordinal in zip(records, decoded, counted.ordinals, strict=True):
                expected, _ = changes.offsets.get(record.partition, (self._next[record.partition], 0))
                changes.offsets[record.partition] = (expected, record.offset + 1)
                changes.last_times[record.partition] = record.time_ms
                if isinstance(envelope, BadRecord):
                    park(changes, envelope, _letter(record, ordinal or Ordinal(0, 0)))
                elif isinstance(envelope, RegistryEnvelope):
                    if partitions[ordering_key(envelope)] != record.partition:
                        strays.append((record, envelope))
                    else:
                        fold_request(self._registry, envelope, record.offset)
                elif partitions[envelope.run_id] != record.partition:
                    strays.append((record, envelope))
                elif not fold(self._state, changes, envelope, record.partition, record.offset):
                    duplicates.append(envelope)
            finalise_chunks(changes)
        except MemoryError:
            raise
        except Exception as error:  # the fold is pure, so a record is the cause; folding each alone shows which
            raise RowsRefused(f"folding it failed with {type(error).__name__}: {error}") from error
        return changes, duplicates, strays

    async def _copy(self, strays: Sequence[tuple[Record, Envelope | RegistryEnvelope]]) -> None:
        """Append strays to the partitions of their runs. Raises LogUnavailable."""
        found: dict[int, list[Record]] = {}
        for record, envelope in strays:
            found.setdefault(self._state.partitions[ordering_key(envelope)], []).append(record)
        await self._copy_strays(found)

    async def _commit_one_by_one(
        self, records: Sequence[Record], decoded: Sequence[Decoded], error: RowsRefused
    ) -> None:
        """Store a refused batch record by record, and park each record that cannot be stored alone."""
        if len(records) == 1:
            if isinstance(decoded[0], BadRecord):
                raise error  # not even the parked bytes can be stored: a bug of ours, not bad data
            log.error("a valid event cannot be stored, please report this: %s", printable(str(error)), exc_info=error)
            await self._commit(records, [BadEvent(str(error))])
            return
        for record, envelope in zip(records, decoded, strict=True):
            await self._commit([record], [envelope])

    async def _load(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        """Load the stored rows of the runs and series of these events that are not in memory."""
        state = self._state
        envelopes = [envelope for envelope in decoded if isinstance(envelope, Envelope)]
        if len(state.loaded) > MAX_CACHED_RUNS or len(state.series) > MAX_CACHED_SERIES:
            state = self._state = FoldState()
        if not state.tables:  # read before the rows, so that rows of old tables are never taken for rows of new ones
            state.tables = await loader.identify_tables(self._database)
        await self._load_registry([one for one in decoded if isinstance(one, RegistryEnvelope)], records)
        runs: set[str] = {envelope.run_id for envelope in envelopes}
        runs -= state.loaded
        if runs:
            met = {record.key: record.partition for record in reversed(records)}  # the first one counts
            state.partitions |= await self._run_partitions.claim({run_id: met[run_id.encode()] for run_id in runs})
            heads, producers, steps, attempts = await loader.load_runs(self._database, runs)
            state.runs.update((row.run_id, row) for row in heads)
            state.producers.update(((row.run_id, row.producer), row) for row in producers)
            state.steps.update(((row.run_id, row.step_name), row) for row in steps)
            state.attempts.update(((row.run_id, row.step_name, row.attempt), row) for row in attempts)
            state.loaded |= runs
        wanted = {key for envelope in envelopes for key in series_of(envelope, state)} - state.series.keys()
        if wanted:
            rows = await loader.load_series(self._database, wanted)
            state.series.update((row.series_id, row) for row in rows)
        if len(state.row_sets) > MAX_ROW_SETS:
            state.row_sets.clear()  # nothing waits between two batches
        state.trim(MAX_OPEN_POINTS)
        if full := series_to_restore(envelopes, state):
            for row in await loader.load_series(self._database, full):
                state.series[row.series_id].restore(row)

    async def _load_registry(self, requests: Sequence[RegistryEnvelope], records: Sequence[Record]) -> None:
        """Load what these requests need, for this batch alone: they are few."""
        state = self._registry = RegistryState()
        if not requests:
            return
        met = {record.key: record.partition for record in reversed(records)}
        keys = {ordering_key(one) for one in requests} - self._state.partitions.keys()
        self._state.partitions |= await self._run_partitions.claim({key: met[key.encode()] for key in keys})
        wanted = wanted_by(requests)
        state.add(
            await registry_loader.load_decided(self._database, wanted.requests),
            await registry_loader.load_experiments(self._database, wanted.experiment_ids, wanted.experiment_names),
            *await registry_loader.load_models(self._database, wanted.model_names, wanted.versions, wanted.stages),
            await registry_loader.load_logged_models(self._database, wanted.logged_models),
            await registry_loader.load_saved(self._database, wanted.saved),
        )


def _decode(record: Record) -> Decoded:
    try:
        return decode(record.key, record.value, record.headers)
    except BadRecord as error:
        return error


def _is_edit(envelope: Decoded) -> bool:
    return isinstance(envelope, Envelope) and is_edit(envelope.event)


def _storable(name: str) -> str:
    """Return a header name as text that PostgreSQL accepts: no U+0000, and bytes that are not UTF-8 escaped."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace").replace("\x00", "\ufffd")


def _log_parked(letters: Sequence[DeadLetterRow]) -> None:
    first = letters[0]
    more = f" and {len(letters) - 1} more" if len(letters) > 1 else ""
    source = f"{first.topic}:{first.partition}:{first.log_offset}"
    log.warning("parked %s (%s)%s", source, printable(first.reason), more)


def _letter(record: Record, ordinal: Ordinal) -> DeadLetterRow:
    return DeadLetterRow(
        topic=record.topic,
        partition=record.partition,
        log_offset=record.offset,
        kind="",
        reason="",
        record_key=record.key,
        record_value=record.value,
        header_names=[_storable(name) for name, _ in record.headers],
        header_values=[value for _, value in record.headers],
        record_time=record.time_ms,
        in_row=ordinal.in_row,
        of_run=ordinal.of_run,
    )
