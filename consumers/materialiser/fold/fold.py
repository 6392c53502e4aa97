"""
Fold records of the log into rows.

Pure: no clock, no I/O. `Known` holds the rows that earlier batches left (the worker loads them), `Changes` what this
batch adds to them. Folding the same records into an empty store always gives the same rows, however they are cut into
batches; a record seen before changes nothing but its producer's count of duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from consumers.log.dedup import Ledger, admit
from consumers.materialiser.fold import facts, lifecycle
from consumers.materialiser.fold.chunks import append_points
from consumers.materialiser.fold.state import Known
from consumers.store.rows import AttemptRow, Changes, DeadLetterRow, ProducerRow, RunRow, SeriesRow, StepRow
from consumers.store.write.months import month_of
from consumers.store.write.series_id import series_id
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.wire import Envelope

# Without one of these a run is only known: its parameters and tags may be written by whoever will start it.
_SIGNS_OF_WORK = (
    ev.Metrics, ev.SystemMetrics, ev.Values, ev.ConsoleText, ev.Heartbeat,
    ev.StepStarted, ev.StepFinished, ev.AttemptStarted, ev.AttemptFinished,
)  # fmt: skip
MAX_REASON = 1_000  # characters of why a record is parked


def series_of(envelope: Envelope) -> Iterable[UUID]:
    """Return the ids of the series an envelope has points for, so that they can be loaded before it is folded."""
    if isinstance(envelope.event, ev.Metrics | ev.SystemMetrics):
        for new in envelope.event.series:
            yield series_id(envelope.run_id, envelope.event.step_name, envelope.event.attempt, new.name, new.labels)


def fold(known: Known, changes: Changes, envelope: Envelope, partition: int, offset: int) -> bool:
    """Fold one record into rows. Returns False for a duplicate, which changes no row but its producer's."""
    producer = _producer(known, changes, envelope)
    ledger = Ledger(producer.next_seq, tuple((first, end) for first, end in producer.missing), producer.refused)
    ledger, is_new = admit(ledger, envelope.seq)
    producer.next_seq, producer.refused = ledger.next, ledger.refused
    producer.missing = [list(pair) for pair in ledger.missing]
    if not is_new:
        return False
    run = _run(known, changes, envelope, partition, offset)
    event = envelope.event
    run.created, run.updated = min(run.created, event.time), max(run.updated, event.time)
    run.next_offset = offset + 1
    _apply(_Place(known, changes, run, producer, offset), event)
    return True


def park(changes: Changes, error: BadRecord, letter: DeadLetterRow) -> None:
    """Put a record that can never be folded among the dead letters, with the reason."""
    # A reason may quote the record, which may hold anything: a name of a megabyte, U+0000, half a surrogate pair.
    reason = str(error)[:MAX_REASON].replace("\x00", "\ufffd").encode(errors="replace").decode()
    letter.kind, letter.reason = type(error).__name__, reason
    changes.dead_letters.append(letter)


@dataclass(slots=True)
class _Place:
    """Where an event is folded."""

    known: Known
    changes: Changes
    run: RunRow
    producer: ProducerRow
    offset: int

    def step(self, step_name: str) -> StepRow:
        key = (self.run.run_id, step_name)
        row = self.known.steps.get(key)
        if row is None:
            position = self.known.steps.counts.get(self.run.run_id, 0)
            row = self.known.steps[key] = StepRow(*key, position=position, name=step_name)
        self.changes.steps[key] = row
        return row

    def attempt(self, step_name: str, number: int, time: int) -> AttemptRow:
        """Return an attempt that gave a sign of life at `time`."""
        key = (self.run.run_id, step_name, number)
        row = self.known.attempts.get(key)
        if row is None:
            row = self.known.attempts[key] = AttemptRow(*key)
            self.judge(step_name)
        lifecycle.start_attempt(row, time)
        self.changes.attempts[key] = row
        return row

    def end(self, step_name: str, number: int, state: str, message: str, time: int) -> None:
        """End an attempt."""
        lifecycle.end_attempt(self.attempt(step_name, number, time), state, message, time)
        self.judge(step_name)

    def judge(self, step_name: str) -> None:
        """Make a step what its newest attempt is."""
        lifecycle.judge_step(self.step(step_name), self.known.attempts.newest[self.run.run_id, step_name])


def _apply(place: _Place, event: ev.AnyEvent) -> None:
    if isinstance(event, _SIGNS_OF_WORK):
        lifecycle.wake(place.run)
    match event:
        case ev.Metrics() | ev.SystemMetrics():
            place.attempt(event.step_name, event.attempt, event.time)
            _add_points(place, event)
        case ev.RunCreated() | ev.RunStarted() | ev.RunResumed():
            lifecycle.open_run(place.run, event)
            if not isinstance(event, ev.RunCreated):
                place.attempt(ev.MAIN_STEP, event.attempt, event.time)
        case ev.RunFinished() | ev.RunFailed() | ev.RunKilled():
            place.end(ev.MAIN_STEP, event.attempt, lifecycle.end_run(place.run, event), event.message, event.time)
        case ev.StepStarted():
            place.attempt(event.step_name, event.attempt, event.time)
            step = place.step(event.step_name)
            step.name, step.step_type, step.mock = event.name or event.step_name, event.step_type, event.mock
        case ev.StepFinished() | ev.AttemptFinished():
            state = lifecycle.STEP_STATE[event.status]
            place.end(event.step_name, event.attempt, state, event.message, event.time)
        case ev.ProducerClosed():
            producer = place.producer
            producer.expected, producer.expected_points = event.batches, event.points
            producer.dropped = event.dropped
        case ev.Heartbeat():
            pass  # when the run was last heard is folded above
        case ev.AttemptStarted():
            place.attempt(event.step_name, event.attempt, event.time)
        case _:
            if isinstance(event, ev.Scoped):
                place.attempt(event.step_name, event.attempt, event.time)
            facts.fold_part(place.changes, place.run, event, place.offset)


def _add_points(place: _Place, event: ev.Metrics | ev.SystemMetrics) -> None:
    run = place.run
    for new in event.series:
        key = series_id(run.run_id, event.step_name, event.attempt, new.name, new.labels)
        row = place.known.series.get(key)
        if row is None:
            row = SeriesRow(key, run.run_id, event.step_name, event.attempt, new.name, dict(new.labels))
            row.system, row.month = isinstance(event, ev.SystemMetrics), run.month
            place.known.series[key] = row
        append_points(row, new, place.changes)
        place.changes.series[key] = row
        run.points += len(new.values)


def _run(known: Known, changes: Changes, envelope: Envelope, partition: int, offset: int) -> RunRow:
    run = known.runs.get(envelope.run_id)
    if run is None:
        month = month_of(envelope.event.time)
        run = known.runs[envelope.run_id] = RunRow(envelope.run_id, partition, month=month, first_offset=offset)
    changes.runs[envelope.run_id] = run
    return run


def _producer(known: Known, changes: Changes, envelope: Envelope) -> ProducerRow:
    key: tuple[Any, ...] = (envelope.run_id, envelope.producer)
    producer = known.producers.get((envelope.run_id, envelope.producer))
    if producer is None:
        producer = known.producers[envelope.run_id, envelope.producer] = ProducerRow(envelope.run_id, envelope.producer)
    changes.producers[key] = producer
    return producer
