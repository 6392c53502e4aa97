"""What a tracker is called with, and which records of a run are new to it."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.delivery.dispatch.invoke import TrackerInvoker, admit_records
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.trackers.protocol import Capabilities, NothingTracker, State
from schemas import events as ev
from schemas.values import FloatValue, to_plain
from schemas.wire import Envelope, encode
from tests.support.log_author import Author


def records(count: int, first: int = 0) -> list[Record]:
    author = Author("a")
    return [as_record(author.metrics("loss", [1.0, 2.0]), first + number) for number in range(count)]


def as_record(envelope: Envelope, offset: int) -> Record:
    made = encode(envelope)
    return Record("topic", 0, offset, made.key, made.value, tuple(made.headers), 0)


class RecordingTracker(NothingTracker):
    """Keeps the arguments of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], int]] = []

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        self.calls.append(([envelope.seq for envelope in envelopes], in_doubt))
        return {"seen": len(envelopes)}


def test_a_first_call_has_nothing_in_doubt() -> None:
    tracker = RecordingTracker()

    result = TrackerInvoker(tracker).deliver("a", records(3), Checkpoint(attempt=1))

    assert tracker.calls == [([0, 1, 2], 0)]
    assert (result.points, result.redelivered) == (6, 0)
    assert (result.progress.next_offset, result.progress.attempt, result.progress.state) == (3, 0, {"seen": 3})


def test_a_tracker_learns_how_many_envelopes_a_call_without_a_result_had() -> None:
    tracker = RecordingTracker()

    TrackerInvoker(tracker).deliver("a", records(5), Checkpoint(attempt=2, doubt_to=2))

    assert tracker.calls == [([0, 1, 2, 3, 4], 2)]


def test_a_range_in_doubt_that_is_split_differently_stays_in_doubt_after_the_split() -> None:
    tracker = RecordingTracker()
    invoker = TrackerInvoker(tracker)

    first = invoker.deliver("a", records(5)[:2], Checkpoint(attempt=2, doubt_to=4))
    second = invoker.deliver("a", records(5)[2:], first.progress)

    assert tracker.calls == [([0, 1], 2), ([2, 3, 4], 2)]
    assert (first.progress.doubt_to, second.progress.doubt_to) == (4, 0)


def test_a_tracker_without_the_parameter_is_called_without_it() -> None:
    result = TrackerInvoker(NothingTracker()).deliver("a", records(1), Checkpoint(attempt=2, doubt_to=1))

    assert result.progress.next_offset == 1


def test_a_record_that_cannot_be_decoded_is_counted_and_its_number_stays_missing() -> None:
    author = Author("a")
    records = [as_record(author.metrics("loss", [float(i)]), i) for i in range(3)]
    records[1] = records[1]._replace(value=b'{"kind": "metrics", "series": 1}')

    envelopes, after = admit_records(records, Checkpoint())

    assert [envelope.seq for envelope in envelopes] == [0, 2]
    assert (after.skipped, after.next_offset, after.ledgers["p1"].missing) == (1, 3, ((1, 2),))


def test_duplicates_are_refused_and_counted() -> None:
    author = Author("a")
    one, two = (author.metrics("loss", [float(i)]) for i in range(2))
    records = [as_record(envelope, offset) for offset, envelope in enumerate([one, two, one, two])]

    envelopes, after = admit_records(records, Checkpoint())

    assert [envelope.seq for envelope in envelopes] == [0, 1]
    assert after.ledgers["p1"].refused == 2


def test_records_below_the_offset_of_the_run_are_skipped() -> None:
    records = [as_record(Author("a").metrics("loss", [1.0]), 4)]

    envelopes, after = admit_records(records, Checkpoint(next_offset=9))

    assert (envelopes, after) == ([], Checkpoint(next_offset=9))


class ParamsTracker(NothingTracker):
    """Keeps the parameters that it gets; the last value wins."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.held: dict[str, object] = {}

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        assert set(state) <= {"calls"}  # what the delivery keeps is not the tracker's
        for envelope in envelopes:
            assert isinstance(envelope.event, ev.Params)
            self.held |= {name: to_plain(value) for name, value in envelope.event.params.items()}
        return {"calls": state.get("calls", 0) + 1}


def params(author: Author, attempt: int, **values: float) -> Envelope:
    typed = {name: FloatValue(value=value) for name, value in values.items()}
    return author.envelope(ev.Params(time=author.now(), attempt=attempt, params=typed))


def test_a_tracker_gets_no_late_value_of_an_earlier_attempt() -> None:
    author = Author("a")
    sent = [params(author, 1, lr=0.1, x=1), params(author, 2, lr=0.2), params(author, 1, lr=0.3, x=2)]
    all_records = [as_record(envelope, offset) for offset, envelope in enumerate(sent)]
    tracker, checkpoint = ParamsTracker(Capabilities()), Checkpoint()
    for record in all_records:
        checkpoint = TrackerInvoker(tracker).deliver("a", [record], checkpoint).progress

    assert tracker.held == {"lr": 0.2, "x": 2}
    assert (checkpoint.state, checkpoint.param_attempts) == ({"calls": 3}, {"lr": 2})


def test_a_tracker_that_keeps_attempts_gets_every_value() -> None:
    author = Author("a")
    sent = [params(author, 2, lr=0.2), params(author, 1, lr=0.3)]
    tracker = ParamsTracker(Capabilities(keeps_param_attempts=True))

    TrackerInvoker(tracker).deliver("a", [as_record(one, offset) for offset, one in enumerate(sent)], Checkpoint())

    assert tracker.held == {"lr": 0.3}
