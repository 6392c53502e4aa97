"""The backlog of undelivered records: queues by run, and the hand-over between two readers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.quarantine import Quarantine
from consumers.delivery.loop import Work
from consumers.log.record import Record
from consumers.store.delivery.history import HISTORY
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope, encode
from tests.support.log_author import Author


def as_record(envelope: Envelope | RegistryEnvelope, offset: int, partition: int = 0) -> Record:
    made = encode(envelope)
    return Record("topic", partition, offset, made.key, made.value, tuple(made.headers), 0)


def runs_of(*names: str) -> list[Record]:
    authors = {name: Author(name) for name in names}
    return [as_record(authors[name].metrics("loss", [1.0]), offset) for offset, name in enumerate(names)]


def hand_out(backlog: Backlog, run_id: str, count: int = 100) -> list[int]:
    return [record.offset for record in backlog.hand_out(run_id, max_records=count, max_bytes=10**9)]


def test_each_run_is_a_queue_of_its_own() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("a", "b", "a", "c"))

    assert backlog.ready(0.0, 10) == ["a", "b", "c"]
    assert hand_out(backlog, "a") == [0, 2]
    assert backlog.ready(0.0, 10) == ["b", "c"]


def test_a_postponed_run_waits_and_the_others_continue() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("a", "b"))
    hand_out(backlog, "a")
    backlog.postpone("a", until=5.0)

    assert backlog.ready(4.9, 10) == ["b"]
    assert backlog.ready(5.0, 10) == ["a", "b"]


def test_all_waits_can_be_ended() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("a"))
    hand_out(backlog, "a")
    backlog.postpone("a", until=5.0)
    backlog.end_waits()

    assert backlog.ready(0.0, 10) == ["a"]


def test_a_restart_reads_from_the_oldest_undelivered_record() -> None:
    backlog = Backlog({0: 0, 1: 7})
    backlog.add(runs_of("a", "b", "b"))
    hand_out(backlog, "b")
    backlog.remove_delivered("b")

    assert backlog.offsets() == {0: 0, 1: 7}
    hand_out(backlog, "a")
    backlog.remove_delivered("a")
    assert backlog.offsets() == {0: 3, 1: 7}


def test_a_parked_run_is_dropped_and_later_records_of_it_are_skipped() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("a", "b", "a"))
    hand_out(backlog, "a")
    backlog.park("a")

    assert backlog.add([runs_of("a")[0]._replace(offset=3)]) == 1
    assert backlog.ready(0.0, 10) == ["b"]
    assert backlog.offsets() == {0: 1}


def test_what_is_no_event_is_skipped() -> None:
    backlog = Backlog({0: 0})

    assert backlog.add([Record("topic", 0, 0, b"a", b"{}", (), 0)]) == 1
    assert (backlog.offsets(), backlog.bytes) == ({0: 1}, 0)


def test_a_run_to_reread_gets_its_records_from_the_second_reader_until_both_meet() -> None:
    backlog = Backlog({0: 3})
    backlog.start_reread("a", 0, 1)
    records = runs_of("a", "a", "b", "b", "a", "a")
    backlog.add(records[3:5])
    assert backlog.reread_starts() == {0: 1}
    backlog.add_reread(records[:5])

    assert hand_out(backlog, "a") == [1, 4]
    assert hand_out(backlog, "b") == [3]
    assert (backlog.hand_over(0), backlog.reread_starts()) == ([], {})
    backlog.add(records[5:])
    assert backlog.still_rereading("a")
    backlog.remove_delivered("a")
    assert hand_out(backlog, "a") == [5]
    assert backlog.offsets() == {0: 3}  # b waits; a restarted process re-reads a
    assert not backlog.still_rereading("a")
    backlog.remove_delivered("b")
    assert backlog.offsets() == {0: 5}


def test_a_run_that_has_everything_when_both_readers_meet_is_named() -> None:
    backlog = Backlog({0: 1})
    backlog.start_reread("a", 0, 0)
    backlog.add_reread(runs_of("a"))
    hand_out(backlog, "a")

    assert (backlog.still_rereading("a"), backlog.remove_delivered("a")) == (True, False)
    assert backlog.hand_over(0) == ["a"]
    assert backlog.is_caught_up()


def test_a_run_whose_last_records_are_out_when_both_readers_meet_is_named_when_they_are_done() -> None:
    backlog = Backlog({0: 1})
    backlog.start_reread("a", 0, 0)
    backlog.add_reread(runs_of("a"))
    hand_out(backlog, "a")
    assert backlog.still_rereading("a")

    assert backlog.hand_over(0) == []
    assert not backlog.is_caught_up()
    assert backlog.remove_delivered("a")


def test_a_second_reader_that_starts_again_adds_nothing_twice() -> None:
    backlog = Backlog({0: 9})
    records = runs_of("a", "b", "a")
    backlog.start_reread("a", 0, 0)
    backlog.add_reread(records)
    backlog.start_reread("b", 0, 1)
    backlog.add_reread(records)

    assert (hand_out(backlog, "a"), hand_out(backlog, "b")) == ([0, 2], [1])


def test_a_run_that_gets_its_history_is_neither_read_from_the_log_nor_handed_over() -> None:
    backlog = Backlog({0: 9})
    backlog.start_reread("backfilled", 0, HISTORY)
    backlog.start_reread("reread", 0, 3)

    assert backlog.reread_starts() == {0: 3}
    assert backlog.hand_over(0) == ["reread"]
    assert (backlog.reread_positions(), backlog.is_caught_up()) == ({"backfilled": (0, HISTORY)}, False)


def test_a_tracker_is_tried_with_the_run_that_failed_least() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("a", "b", "c"))
    hand_out(backlog, "a")
    backlog.postpone("a", until=99.0)
    hand_out(backlog, "b")

    assert backlog.probe_candidate(lambda run: True, quarantine().unanswered) == "c"
    assert backlog.probe_candidate(lambda run: run != "c", quarantine().unanswered) == "a"
    assert backlog.probe_candidate(lambda run: run == "b", quarantine().unanswered) is None


def test_a_tracker_is_not_tried_with_a_run_whose_calls_never_came_back_while_there_are_others() -> None:
    backlog = Backlog({0: 0})
    backlog.add(runs_of("dies", "hangs", "fails"))
    hand_out(backlog, "fails")
    backlog.postpone("fails", until=99.0)
    doubts = quarantine(dies=2, hangs=1).unanswered

    assert backlog.probe_candidate(lambda run: True, doubts) == "fails"
    assert backlog.probe_candidate(lambda run: run != "fails", doubts) == "hangs"


def quarantine(**unanswered: int) -> Quarantine:
    return Quarantine(unanswered, 0.0, call_s=1.0, threads=8)


class BacklogMachine(RuleBasedStateMachine):
    """In any sequence of events, the records of a run go out in order, and none below the checkpoint is undelivered."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog({0: 0})
        self.end = 0
        self.waiting: dict[str, list[int]] = {}
        self.out: dict[str, int] = {}
        self.parked: set[str] = set()

    @rule(run=st.sampled_from("abc"))
    def arrive(self, run: str) -> None:
        self.backlog.add([as_record(Author(run).metrics("loss", [1.0]), self.end)])
        if run not in self.parked:
            self.waiting.setdefault(run, []).append(self.end)
        self.end += 1

    @rule(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for run in self.backlog.ready(0.0, 1):
            taken = hand_out(self.backlog, run, count)
            assert taken == self.waiting[run][: len(taken)]
            self.out[run] = len(taken)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["delivered", "postponed", "parked"]))
    def end_one(self, data: st.DataObject, how: str) -> None:
        run = data.draw(st.sampled_from(sorted(self.out)))
        count = self.out.pop(run)
        if how == "delivered":
            self.backlog.remove_delivered(run)
            del self.waiting[run][:count]
        elif how == "postponed":
            self.backlog.postpone(run, until=0.0)
        else:
            self.backlog.park(run)
            self.parked.add(run)
            del self.waiting[run]

    @invariant()
    def the_checkpoint_is_the_oldest_undelivered(self) -> None:
        left = [offset for offsets in self.waiting.values() for offset in offsets]
        assert self.backlog.offsets()[0] == min(left, default=self.end)
        assert (self.backlog.bytes > 0) == bool(left)


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_strays_are_skipped_by_both_readers_and_their_offsets_are_passed() -> None:
    author = Author("run")
    stray, copy = author.start(), author.metrics("loss", [1.0])
    backlog = Backlog({0: 5, 1: 0})
    partitions = {"run": 0}

    skipped = backlog.add([as_record(stray, 0, partition=1), as_record(copy, 5)], partitions)

    assert (skipped, backlog.queued_records("run"), backlog.offsets()) == (1, 1, {0: 5, 1: 1})
    backlog.start_reread("run", 0, 3)
    backlog.add_reread([as_record(stray, 9, partition=1), as_record(copy, 5)], partitions)
    assert (backlog.queued_records("run"), backlog.reread_positions()) == (1, {"run": (0, 6)})


def test_a_run_of_a_partition_that_the_topic_has_just_got_is_served_by_the_second_reader_alone() -> None:
    """A replay may choose it before the first reader knows the partition; its offset there is no end to stop at."""
    backlog = Backlog({0: 5})
    backlog.start_reread("run", 1, 0)

    assert [Work().reread_target(backlog, partition) for partition in (0, 1)] == [5, None]


def test_records_about_experiments_and_models_are_passed_over_and_counted() -> None:
    about: list[tuple[Subject, ev.RegistryEvent]] = [
        (Subject("experiments", "1"), ev.ExperimentDeleted(time=1)),
        (Subject("models", "a"), ev.ModelRegistered(time=1)),
        (Subject("models", "a"), ev.ModelDeleted(time=1)),
    ]
    found = [
        as_record(RegistryEnvelope(subject, ProducerId("p"), number, 1, event), number)
        for number, (subject, event) in enumerate(about)
    ]
    backlog = Backlog({0: 0})

    assert backlog.add([*found, *(one._replace(offset=3) for one in runs_of("/models"))]) == 3
    assert backlog.passed_over == {"experiments": 1, "models": 2}
    assert backlog.ready(0.0, 10) == ["/models"]  # a run of that id is a run
    assert backlog.offsets() == {0: 3}
