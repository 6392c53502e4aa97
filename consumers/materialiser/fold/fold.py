"""
Fold records of the log into rows.

Pure: no clock, no I/O. `FoldState` holds the rows that earlier batches stored (the worker loads them), `Changes` what
the current batch changes. Folding the same records into an empty store always gives the same rows, however the records
are grouped into batches. A record that was folded before changes only its producer's count of duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from consumers.log.dedup import Ledger, admit
from consumers.materialiser.fold import facts, lifecycle
from consumers.materialiser.fold.chunks import append_points, may_fill
from consumers.materialiser.fold.rows import RowSet
from consumers.materialiser.fold.state import FoldState, SetKey
from consumers.store.rows import (
    ROW_POINTS,
    AttemptRow,
    Changes,
    DeadLetterRow,
    ProducerRow,
    RunRow,
    SeriesRow,
    StepRow,
)
from consumers.store.write.months import month_of
from consumers.store.write.series_id import series_id
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.statuses import STEP_STATUS
from schemas.wire import Envelope

# Until one of these, or its start, arrives a run stays `created`: the process that is going to start it may write its
# parameters and tags first.
_SIGNS_OF_WORK = (
    ev.Metrics, ev.MetricRows, ev.SystemMetrics, ev.Values, ev.ConsoleText, ev.Heartbeat,
    ev.StepStarted, ev.StepFinished, ev.AttemptStarted, ev.AttemptFinished,
)  # fmt: skip
_LISTS = {  # by kind of event: the field with what becomes rows of their own
    ev.Metrics: "series", ev.SystemMetrics: "series", ev.Values: "values", ev.ConsoleText: "lines",
    ev.Params: "params", ev.Tags: "tags", ev.RunLabels: "labels",
}  # fmt: skip
MAX_REASON = 1_000  # characters of the reason why a record is parked


def series_of(envelope: Envelope, state: FoldState) -> Iterable[UUID]:
    """Yield the ids of series that an event has points for, so that those not in `state` can be loaded before."""
    event = envelope.event
    if isinstance(event, ev.MetricRows):
        for name in () if set_key(envelope.run_id, event) in state.row_sets else event.names:
            yield series_id(envelope.run_id, event.step_name, event.attempt, name, event.labels)
    elif isinstance(event, ev.Points):
        for new in event.series:
            yield series_id(envelope.run_id, event.step_name, event.attempt, new.name, new.labels)


def series_to_restore(envelopes: Iterable[Envelope], state: FoldState) -> list[UUID]:
    """Return the series whose chunk these events may fill, and of which open points are in the store alone."""
    if not state.is_trimmed:
        return []
    more: dict[UUID, int] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.MetricRows) and (known := state.row_sets.get(set_key(envelope.run_id, event))):
            known.expected += len(event.steps)
        elif isinstance(event, ev.Points):
            for key, new in zip(series_of(envelope, state), event.series, strict=True):
                more[key] = more.get(key, 0) + len(new.values)
    for known in state.row_sets.values():
        if known.expected:
            for row in known.series:
                more[row.series_id] = more.get(row.series_id, 0) + known.expected
            known.expected = 0
    found = ((state.series.get(key), count) for key, count in more.items())
    return [row.series_id for row, count in found if row and may_fill(row, count)]


def rows_of(envelope: Envelope, sets: set[SetKey]) -> int:
    """Return about how many rows an event becomes; those of `sets`, to which it adds, are counted already."""
    event = envelope.event
    if isinstance(event, ev.MetricRows):
        key = set_key(envelope.run_id, event)
        first = 0 if key in sets else len(event.names) // 2  # a series and its points: two rows, each of half the size
        sets.add(key)
        return event.points // ROW_POINTS + first + 1
    field = _LISTS.get(type(envelope.event))
    return len(getattr(envelope.event, field)) if field else 1


def fold(state: FoldState, changes: Changes, envelope: Envelope, partition: int, offset: int) -> bool:
    """Fold one record into rows. Returns False for a duplicate, which changes only the row of its producer."""
    producer = _producer(state, changes, envelope)
    ledger = Ledger(producer.next_seq, tuple((first, end) for first, end in producer.missing), producer.refused)
    ledger, is_new = admit(ledger, envelope.seq)
    producer.next_seq, producer.refused = ledger.next, ledger.refused
    producer.missing = [list(pair) for pair in ledger.missing]
    if not is_new:
        return False
    run = _run(state, changes, envelope, partition, offset)
    event = envelope.event
    run.created, run.updated = min(run.created, event.time), max(run.updated, event.time)
    run.next_offset = offset + 1
    _apply(FoldContext(state, changes, run, producer, offset), event)
    return True


def park(changes: Changes, error: BadRecord, letter: DeadLetterRow) -> None:
    """Add a record that can never be folded to the dead letters, with the reason."""
    # A reason may quote the record, which may contain anything: a name of a megabyte, U+0000, half a surrogate pair.
    reason = str(error)[:MAX_REASON].replace("\x00", "\ufffd").encode(errors="replace").decode()
    letter.kind, letter.reason = type(error).__name__, reason
    changes.dead_letters.append(letter)


@dataclass(slots=True)
class FoldContext:
    """The rows that one event is folded into."""

    state: FoldState
    changes: Changes
    run: RunRow
    producer: ProducerRow
    offset: int

    def step(self, step_name: str) -> StepRow:
        """Return a step and count it as changed; creates it at its first event."""
        key = (self.run.run_id, step_name)
        row = self.state.steps.get(key)
        if row is None:
            position = self.state.steps.counts.get(self.run.run_id, 0)
            row = self.state.steps[key] = StepRow(*key, position=position, name=step_name)
        self.changes.steps[key] = row
        return row

    def attempt(self, step_name: str, number: int, time: int) -> AttemptRow:
        """Return an attempt, which showed a sign of life at `time` (µs)."""
        key = (self.run.run_id, step_name, number)
        row = self.state.attempts.get(key)
        if row is None:
            row = self.state.attempts[key] = AttemptRow(*key)
            self.update_step(step_name)
        lifecycle.start_attempt(row, time)
        self.changes.attempts[key] = row
        return row

    def end(self, step_name: str, number: int, state: str, message: str, time: int) -> None:
        """End an attempt at `time` (µs)."""
        lifecycle.end_attempt(self.attempt(step_name, number, time), state, message, time)
        self.update_step(step_name)

    def update_step(self, step_name: str) -> None:
        """Give a step the state of its newest attempt."""
        lifecycle.update_step(self.step(step_name), self.state.attempts.newest[self.run.run_id, step_name])


def _apply(context: FoldContext, event: ev.AnyEvent) -> None:
    if isinstance(event, _SIGNS_OF_WORK):
        lifecycle.mark_running(context.run)
    match event:
        case ev.Metrics() | ev.SystemMetrics() | ev.MetricRows():
            context.attempt(event.step_name, event.attempt, event.time)
            _add_points(context, event)
        case ev.RunCreated() | ev.RunStarted() | ev.RunResumed():
            _open_run(context, event)
        case ev.RunFinished() | ev.RunFailed() | ev.RunKilled():
            context.end(ev.MAIN_STEP, event.attempt, lifecycle.end_run(context.run, event), event.message, event.time)
        case ev.RunReopened():
            attempt = context.attempt(ev.MAIN_STEP, event.attempt, event.time)
            lifecycle.reopen(context.run, attempt, event)
            context.update_step(ev.MAIN_STEP)
        case ev.LifecycleStage():
            context.run.lifecycle_stage = event.stage
        case ev.Moved():
            lifecycle.move_run(context.run, event)
        case ev.StepStarted():
            context.attempt(event.step_name, event.attempt, event.time)
            step = context.step(event.step_name)
            step.name, step.step_type, step.mock = event.name or event.step_name, event.step_type, event.mock
        case ev.StepFinished() | ev.AttemptFinished():
            state = STEP_STATUS[event.status]
            context.end(event.step_name, event.attempt, state, event.message, event.time)
        case ev.ProducerClosed():
            producer = context.producer
            producer.expected, producer.expected_points = event.batches, event.points
            producer.dropped, producer.author = event.dropped, event.author
        case ev.Heartbeat():
            pass  # fold() has already set the time of the run's last event
        case ev.AttemptStarted():
            context.attempt(event.step_name, event.attempt, event.time)
        case _:
            if isinstance(event, ev.Scoped):
                context.attempt(event.step_name, event.attempt, event.time)
            facts.fold_fact(context.changes, context.run, event, context.offset)


def _open_run(context: FoldContext, event: lifecycle.Opened) -> None:
    known = context.state.attempts.get((context.run.run_id, ev.MAIN_STEP, event.attempt))
    is_second = lifecycle.is_second_start(context.run, known, event)
    lifecycle.open_run(context.run, event)
    if not isinstance(event, ev.RunCreated):
        attempt = context.attempt(ev.MAIN_STEP, event.attempt, event.time)
        if is_second:
            lifecycle.mark_second_start(attempt)
            context.update_step(ev.MAIN_STEP)


def _add_points(context: FoldContext, event: ev.Points) -> None:
    if isinstance(event, ev.MetricRows):
        _add_rows(context, event)
        return
    for new in event.series:
        row = _series(context, event, new.name, new.labels)
        append_points(row, new, context.changes)
        context.changes.series[row.series_id] = row
        context.run.points += len(new.values)


def _add_rows(context: FoldContext, event: ev.MetricRows) -> None:
    key = set_key(context.run.run_id, event)
    found = context.state.row_sets.get(key)
    if found is None:
        series = [_series(context, event, name, event.labels) for name in event.names]
        found = context.state.row_sets[key] = RowSet(series)
    found.append(event, context.changes)
    context.run.points += event.points


def set_key(run_id: str, event: ev.MetricRows) -> SetKey:
    """Return what identifies the series of an event that holds rows, in their order."""
    return run_id, event.step_name, event.attempt, event.names, tuple(sorted(event.labels.items()))


def _series(context: FoldContext, event: ev.Points, name: str, labels: dict[str, str]) -> SeriesRow:
    run = context.run
    key = series_id(run.run_id, event.step_name, event.attempt, name, labels)
    row = context.state.series.get(key)
    if row is None:
        row = SeriesRow(key, run.run_id, event.step_name, event.attempt, name, dict(labels))
        row.system, row.month = isinstance(event, ev.SystemMetrics), run.month
        context.state.series[key] = row
    return row


def _run(state: FoldState, changes: Changes, envelope: Envelope, partition: int, offset: int) -> RunRow:
    run = state.runs.get(envelope.run_id)
    if run is None:
        month = month_of(envelope.event.time)
        run = state.runs[envelope.run_id] = RunRow(envelope.run_id, partition, month=month, first_offset=offset)
    changes.runs[envelope.run_id] = run
    return run


def _producer(state: FoldState, changes: Changes, envelope: Envelope) -> ProducerRow:
    key: tuple[Any, ...] = (envelope.run_id, envelope.producer)
    producer = state.producers.get((envelope.run_id, envelope.producer))
    if producer is None:
        producer = state.producers[envelope.run_id, envelope.producer] = ProducerRow(envelope.run_id, envelope.producer)
    changes.producers[key] = producer
    return producer
