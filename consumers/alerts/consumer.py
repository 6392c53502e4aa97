"""
Read the log, evaluate, commit: states, firings, messages and offsets in one transaction.

Records are evaluated as they come. What they changed is written COMMIT_S later, or TELL_S after something fired: a
series that gets points in each record is written once a transaction, and not once a record.

The offsets in PostgreSQL decide where reading begins. A process that is killed has either committed a batch or not, and
the next one evaluates the same records from the same states, so no firing is missed and none is stored twice. After any
error nothing in memory counts: the caller begins again with what is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from consumers.alerts.evaluator.evaluator import Evaluator
from consumers.alerts.evaluator.facts import Facts, Progress
from consumers.alerts.evaluator.state import Changes, RunState, SeriesState
from consumers.alerts.rulebook import RuleBook
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.watermarks import LogBounds
from consumers.store.alerts.states import AlertStates, Batch, FiringRow, Move, Resolution, RunRow, SeriesRow
from consumers.store.run_partitions import RunPartitions, is_stray
from consumers.telemetry.instruments import AlertsWatch
from schemas.errors import LogDamaged, LogUnavailable, StoreUnavailable

FETCH_RECORDS, POLL_MS = 1_000, 200
COMMIT_S, TELL_S = 0.5, 0.05  # from the first record of a transaction until it is written, at most
COMMIT_RECORDS = 10_000  # of a transaction, at most
TICK_S = 1.0  # between two looks at the wall clock
# A record may be on its way: the wall clock counts only up to so long ago. Clocks of brokers may differ by as much.
MARGIN_MS = 1_000
MAX_RUNS = 20_000  # in memory; beyond this number all are loaded again
PAGE = 500  # runs loaded at once at the start


T = TypeVar("T")
log = logging.getLogger("consumers.alerts")


class Parts(NamedTuple):
    """What the consumer works with."""

    reader: LogReader  # assigned
    bounds: LogBounds
    states: AlertStates
    partitions: RunPartitions
    book: RuleBook
    watch: AlertsWatch
    default_targets: Callable[[], Sequence[str]]
    committed: Callable[[], object]  # called after a transaction that stored messages


class AlertsConsumer:
    """Evaluates everything that the log has, until it is stopped."""

    def __init__(self, parts: Parts, positions: Mapping[int, int]) -> None:
        """Continue at these next offsets, by partition, at which `parts.reader` stands."""
        self._parts, self._next = parts, dict(positions)
        self._moves: dict[int, Move] = {}  # of records that are evaluated and not committed
        self._moved, self._write_at = 0, 0.0  # how many these are, and when they are to be committed, monotonic s
        self._evaluator = Evaluator()
        self._new: set[str] = set()  # runs in memory that have no row
        self._times: dict[int, int] = {}  # broker's time of the last record, by partition, ms
        self._next_tick = 0.0

    def positions(self) -> dict[int, int]:
        """Return the next offset of each partition that is to be evaluated."""
        return dict(self._next)

    async def run(self, stopping: asyncio.Event, on_ready: Callable[[], None], is_lost: Callable[[], bool]) -> None:
        """
        Evaluate until `stopping` is set; `is_lost` tells whether the lease is.

        Raises LogUnavailable, StoreUnavailable, LogGap, and Fenced.
        """
        await self._use_rules(())
        await self._resume()
        on_ready()
        while not stopping.is_set():
            if is_lost():
                raise StoreUnavailable("the connection that holds the lease was closed")
            await self._read()
            if self._moves and (time.monotonic() >= self._write_at or self._moved >= COMMIT_RECORDS):
                await self._commit()
            if time.monotonic() >= self._next_tick:
                self._next_tick = time.monotonic() + TICK_S
                await self._tick()
        await self._commit()

    async def _read(self) -> None:
        parts = self._parts
        try:
            records = await parts.reader.fetch(timeout_ms=self._patience_ms(), max_records=FETCH_RECORDS)
        except LogDamaged as error:  # the other partitions continue; it is tried again later
            parts.reader.set_aside(error.partition)
            parts.watch.pulse.damaged = str(error)
            return
        parts.watch.pulse.damaged = parts.watch.pulse.damaged if not records else ""
        await self._use_rules(records)
        if parts.reader.known_partitions() - self._next.keys():
            raise LogUnavailable(f"{parts.reader.topic} has more partitions than before: starting again to read them")
        if records:
            await self._evaluate(records)

    def _patience_ms(self) -> int:
        """Return how long to wait for records."""
        left_ms = (self._write_at - time.monotonic()) * 1_000 if self._moves else POLL_MS
        return max(1, min(POLL_MS, round(left_ms)))

    async def _evaluate(self, records: Sequence[Record]) -> None:
        started = time.monotonic()
        partitions = await self._parts.partitions.of_records(records, claim=True)
        ours = [record for record in records if not is_stray(_run_id(record), record.partition, partitions)]
        due = self._evaluator.clocks.due_by(records)
        await self._load({_run_id(record): record.partition for record in ours}, due)
        await asyncio.to_thread(self._observe, ours)
        if not self._moves:
            self._write_at = started + COMMIT_S
        if self._evaluator.has_transitions:
            self._write_at = min(self._write_at, time.monotonic() + TELL_S)
        for record in records:
            part = record.partition
            first = self._moves[part].expected if part in self._moves else self._next[part]
            self._moves[part] = Move(first, record.offset + 1, record.time_ms)
            self._next[part], self._times[part] = record.offset + 1, record.time_ms
        self._moved += len(records)
        self._parts.watch.evaluated(records, time.monotonic() - started)

    def _observe(self, records: Sequence[Record]) -> None:
        for record in records:
            self._evaluator.observe(record)

    async def _tick(self) -> None:
        """Let the wall clock be that of partitions that are read to their end."""
        now_ms = time.time_ns() // 1_000_000 - MARGIN_MS
        due = {part: found for part in self._next if (found := self._evaluator.clocks.due(part, now_ms))}
        if due:
            end = (await self._parts.bounds.ask()).end
            due = {part: found for part, found in due.items() if self._next[part] >= end.get(part, 0)}
        for partition, runs in due.items():
            await self._load({}, runs)
            self._evaluator.pass_time(partition, now_ms)
            at = self._next[partition]
            self._moves.setdefault(partition, Move(at, at, self._times.get(partition)))
        if due:
            await self._commit()
        self._parts.watch.progressed()

    async def _use_rules(self, records: Sequence[Record]) -> None:
        """Evaluate the rules of now, and resolve what those fired that are gone."""
        index = await self._parts.book.changed(records)
        if index is None:
            return
        await self._commit()  # before what the former rules fired is resolved
        is_timed_alike = self._evaluator.use(index)
        versions = {rule.id: rule.version for rule in index.rules.values()}
        now, targets = time.time_ns() // 1_000, self._parts.default_targets()
        await self._parts.states.resolve_other_rules(versions, now, targets, self._next)
        self._parts.watch.alerts.set_rules(len(versions))
        if not is_timed_alike:
            await self._resume()

    async def _resume(self) -> None:
        """Find the deadlines of all runs that may fire without a record."""
        self._evaluator.clocks.clear()
        self._evaluator.forget()
        after = ""
        while page := await self._parts.states.open_runs(after, PAGE):
            await self._load({}, page)
            for run_id in page:
                self._evaluator.resume(self._evaluator.runs[run_id])
            self._evaluator.forget()
            after = page[-1]

    async def _load(self, met: Mapping[str, int], due: Collection[str]) -> None:
        """Take runs into memory: those of records, by the partition in which they are, and those that are due."""
        if len(self._evaluator.runs) > MAX_RUNS:
            await self._commit()
            self._evaluator.forget()
            self._new.clear()
        wanted = (met.keys() | set(due)) - self._evaluator.runs.keys()
        if not wanted:
            return
        runs, series = await self._parts.states.load(wanted)
        for found in loaded(runs, series):
            self._evaluator.add(found)
        for run_id in wanted - {one.run_id for one in runs}:
            self._new.add(run_id)
            self._evaluator.add(RunState(run_id, met[run_id]))

    async def _commit(self) -> None:
        """Write what is evaluated and not written."""
        if not self._moves:
            return
        moves, changes = self._moves, self._evaluator.take_changes()
        rows = await asyncio.to_thread(lambda: (self._run_rows(changes), self._series_rows(changes)))
        await self._parts.states.commit(Batch(moves, *rows, told(changes), self._parts.default_targets()))
        self._moves, self._moved = {}, 0
        self._new -= changes.facts | changes.progress
        self._parts.watch.told([one.rule.rule.severity if one.fired else None for one in changes.transitions])
        if changes.transitions:
            self._parts.committed()

    def _run_rows(self, changes: Changes) -> list[RunRow]:
        rows = []
        for run_id in sorted(changes.facts | changes.progress):
            run = self._evaluator.runs[run_id]
            facts = run.facts.to_json() if run_id in changes.facts or run_id in self._new else None
            rows.append(RunRow(run_id, run.partition, facts, run.progress.to_json(), run.is_open))
        return rows

    def _series_rows(self, changes: Changes) -> list[SeriesRow]:
        runs = self._evaluator.runs
        return [
            SeriesRow(run_id, written, runs[run_id].series[written].to_json())
            for run_id, written in sorted(changes.series)
        ]


def loaded(runs: Sequence[RunRow], series: Sequence[SeriesRow]) -> list[RunState]:
    """Return the states that rows hold. What cannot be read begins again, and is logged."""
    of_run: dict[str, dict[str, SeriesState]] = {}
    for row in series:
        state = _read(SeriesState.from_json, row.state or {}, f"series {row.series!r:.100} of run {row.run_id!r:.100}")
        if state is not None:
            of_run.setdefault(row.run_id, {})[row.series] = state
    found = []
    for one in runs:
        facts = _read(Facts.from_json, one.facts or {}, f"facts of run {one.run_id!r:.100}")
        progress = _read(Progress.from_json, one.progress, f"progress of run {one.run_id!r:.100}")
        kept = of_run.get(one.run_id, {})
        found.append(RunState(one.run_id, one.partition, facts or Facts(), progress or Progress(), kept))
    return found


def _read(read: Callable[[Mapping[str, Any]], T], stored: Mapping[str, Any], what: str) -> T | None:
    try:
        return read(stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning("%s: the state of alerts cannot be read (%r): it begins again", what, error)
        return None


def told(changes: Changes) -> list[FiringRow | Resolution]:
    """Return the rows of transitions."""
    rows: list[FiringRow | Resolution] = []
    for one in changes.transitions:
        if not one.fired:
            rows.append(Resolution(one.alert_id, one.time, one.message))
            continue
        rule = one.rule.rule
        rows.append(
            FiringRow(
                one.alert_id, one.rule.id, one.rule.version, one.rule.name, rule.severity, rule.to, one.run_id,
                one.series, one.time, one.step, one.value, one.message,
            )
        )  # fmt: skip
    return rows


def _run_id(record: Record) -> str:
    try:
        return (record.key or b"").decode()
    except UnicodeDecodeError:
        return ""
