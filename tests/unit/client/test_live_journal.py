"""An agent reads a journal while another process writes it, and only one of several processes ever cuts it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client.agent.live_journal import LiveJournal
from gateway.client.ids import uuid7
from gateway.client.journal import segment as segments
from gateway.client.journal.entries import JournalEvent, Marker, Observation
from gateway.client.journal.grants import find_grant
from gateway.client.journal.journal import Journal
from gateway.client.journal.readable import Withdrawn
from gateway.client.shipping.producer import OutgoingRecord, Producer
from gateway.client.shipping.recovery import adopt
from schemas.wire import decode
from tests.support.client_harness import points

MAIN = ("main", 1, ())


class Log:
    """What was sent, as a log keeps it: each identity has one content, or the test fails."""

    def __init__(self) -> None:
        self.contents: dict[tuple[str, int], bytes] = {}
        self.events: list[Any] = []

    def send(self, records: list[OutgoingRecord]) -> None:
        for one in records:
            found = decode(one.record.key, one.record.value, one.record.headers)
            identity = (found.producer, found.seq)
            if identity in self.contents:
                assert self.contents[identity] == one.record.value
                continue
            self.contents[identity] = one.record.value
            self.events.append(found.event)

    @property
    def steps(self) -> list[int]:
        return [seen.step for seen in points(self.events)]


class Writer:
    """A journal that this process writes, and grants."""

    def __init__(self) -> None:
        self.journal = Journal("r")
        self.agent = uuid7()
        self.written = 0
        self.put(1)

    def put(self, count: int) -> None:
        for _ in range(count):
            self.journal.put("loss", self.written * 0.5, self.written, MAIN)
            self.written += 1

    def grant(self) -> Producer:
        """Hand the journal to an agent and return the producer of that agent."""
        self.journal.write_tail(self.journal.tail())
        self.journal.hand_over(self.agent)
        return Producer(LiveJournal(self.journal.folder, self.agent))

    def close(self) -> None:
        self.journal.append(JournalEvent({"kind": "producer_closed", "time": 1}))


@pytest.fixture
def writer(journal_home: Path) -> Iterator[Writer]:
    made = Writer()
    yield made
    made.journal.remove()


def ship(producer: Producer, log: Log) -> None:
    while records := producer.cut(1_000):
        log.send(records)
        producer.acknowledge(records)


def test_an_agent_reads_what_is_written_after_it_took_the_journal(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    for count in (0, 1, 2_500, 3, 20_000):  # several segments
        writer.put(count)
        writer.journal.observe(Observation("seen", {"type": "string", "value": "x"}, 20, None, 1, MAIN))
        writer.journal.append(JournalEvent({"kind": "note", "time": 1, "text": str(count)}))
        ship(live, log)
    writer.close()
    ship(live, log)

    assert log.steps == list(range(writer.written))
    assert log.events[-1].kind == "producer_closed"
    assert log.events[-1].points == writer.written
    assert [event.text for event in log.events if event.kind == "note"] == ["0", "1", "2500", "3", "20000"]
    assert live.is_done


def test_an_agent_that_reads_while_another_thread_writes_gets_every_point_once(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    thread = threading.Thread(target=writer.put, args=(60_000,))
    thread.start()
    while thread.is_alive():
        ship(live, log)
    ship(live, log)

    assert log.steps == list(range(60_001))


@pytest.mark.parametrize("width", [3, 40])
def test_an_agent_that_reads_while_another_thread_writes_rows_gets_every_value_once(writer: Writer, width: int) -> None:
    log, live, names = Log(), writer.grant(), [f"w/{number}" for number in range(width)]

    def write() -> None:
        for step in range(6_000):
            value = step if step % 50 == 0 else step + 0.5  # ints now and then: such a row has more bytes
            assert not writer.journal.put_rows(dict.fromkeys(names, value), step, MAIN)

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        ship(live, log)
    ship(live, log)

    found = [(one.name, one.step) for one in points(log.events) if one.name != "loss"]
    assert len(found) == len(set(found)) == 6_000 * width


def test_a_segment_that_ends_with_zeros_is_read_to_its_end(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SIZES", (4_096, 8_192))
    log, live = Log(), writer.grant()
    row = {f"w/{number}": float(number == 0) for number in range(10)}
    for step in range(400):
        writer.journal.put_rows(row, step, MAIN)
        if step % 7 == 0:
            ship(live, log)
    ship(live, log)

    assert len([one for one in points(log.events) if one.name != "loss"]) == 4_000


def test_the_owner_learns_from_the_shared_cursor_how_far_the_agent_is(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.put(9_999)
    marker = Marker()
    writer.journal.mark(marker)
    ship(live, log)
    cursor = writer.journal.cursor

    assert cursor is not None
    assert writer.journal.read_cursor()
    assert (cursor.acknowledged_points, cursor.records) == (10_000, live.records)
    assert writer.journal.reached == marker.position
    before = len(list(Path(writer.journal.folder).glob("*.seg")))
    writer.journal.delete_before(writer.journal.reached)
    assert len(list(Path(writer.journal.folder).glob("*.seg"))) == 1 < before


def test_points_that_were_refused_are_counted_in_the_end_of_the_producer(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.journal.count_refused(7)
    writer.close()
    ship(live, log)

    assert log.events[-1].dropped == 7


def test_a_slot_that_stays_empty_hides_nothing_behind_it(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    log, live = Log(), writer.grant()
    writer.put(10)
    ship(live, log)
    writer.journal._end += segments.SMALLEST // 4 // 40 * 40  # as Ctrl-C leaves it between taking and writing a slot
    writer.put(10)
    marker = Marker()
    assert writer.journal.mark(marker)
    writer.journal.write_tail(writer.journal.tail())
    monkeypatch.setattr("gateway.client.agent.live_journal.ASK_OWNER_S", 0.0)
    live.journal._ask_at = 0.0  # type: ignore[attr-defined]
    ship(live, log)

    assert log.steps == list(range(21))
    assert writer.journal.read_cursor()
    assert writer.journal.reached == marker.position


def test_an_unfinished_record_at_the_end_is_left_for_later(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.put(10)
    memory, end = writer.journal._map, writer.journal._end
    last = bytes(memory[end - 20 : end])
    memory[end - 20 : end] = bytes(20)
    ship(live, log)
    assert log.steps == list(range(10))
    memory[end - 20 : end] = last
    ship(live, log)

    assert log.steps == list(range(11))


def test_a_segment_that_is_used_again_is_not_taken_for_the_same_one(journal_home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SIZES", (8_192,))
        writer = Writer()
        writer.journal._allocator._max_bytes = 9_000  # one segment and no other
        log, live = Log(), writer.grant()
        for _ in range(1_000):
            writer.put(1)
            ship(live, log)

    assert writer.journal.dropped == 0
    assert log.steps == list(range(writer.written))
    assert writer.journal._segment is not None
    assert writer.journal._segment.number > 3
    writer.journal.remove()


def test_a_cut_after_the_grant_is_revoked_is_not_sent(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.put(10)
    ship(live, log)
    writer.put(10)
    writer.journal.take_back()

    with pytest.raises(Withdrawn):
        live.cut(1_000)
    own = Producer(writer.journal)
    ship(own, log)
    assert log.steps == list(range(21))
    assert own.acknowledged_points == 21
    assert sorted(path.name for path in Path(writer.journal.folder).iterdir()) == [
        "00000001.seg", f"cuts.0000.{writer.journal.producer}", "lock", "meta.json",
    ]  # fmt: skip


def test_what_an_agent_cut_and_did_not_get_acknowledged_is_sent_again_as_it_was(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.put(3_000)
    log.send(live.cut(10_000))
    writer.put(500)
    writer.journal.take_back()
    ship(Producer(writer.journal), log)

    assert log.steps == list(range(3_501))


def test_an_agent_that_was_stopped_in_the_middle_of_a_cut_sends_nothing_that_is_cut_anew(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, live = Log(), writer.grant()
    writer.put(10)
    ship(live, log)
    append = live.journal.cursor.append  # type: ignore[union-attr]

    def stopped(*given: Any, **named: Any) -> None:
        append(*given, **named)  # SIGSTOP comes here
        writer.journal.take_back()
        writer.put(7)
        ship(Producer(writer.journal), log)  # SIGCONT

    writer.put(10)
    monkeypatch.setattr(live.journal.cursor, "append", stopped)
    with pytest.raises(Withdrawn):
        live.cut(1_000)

    assert log.steps == list(range(28))


def test_a_grant_of_the_same_agent_is_a_new_one(writer: Writer) -> None:
    """Otherwise an agent that was stopped while it opened the journal would write to a cursor that no process reads."""
    stale, log = writer.grant(), Log()
    writer.journal.take_back()
    live = writer.grant()
    writer.put(5)

    with pytest.raises(Withdrawn):
        stale.cut(100)
    ship(live, log)
    assert log.steps == list(range(6))
    assert find_grant(writer.journal.folder, uuid7()) == ""


def test_agents_and_the_owner_take_turns_and_nothing_is_lost_or_doubled(writer: Writer) -> None:
    log = Log()
    for turn in range(12):
        writer.put(1_500)
        live = writer.grant()
        log.send(live.cut(2_000)[: turn % 4])  # some are sent, none is acknowledged
        writer.put(10)
        writer.journal.take_back()
        own = Producer(writer.journal)
        sent = own.cut(1_000)
        log.send(sent)
        own.acknowledge(sent)
        while not own.is_settled:
            ship(own, log)
    writer.close()
    ship(writer.grant(), log)

    assert log.steps == list(range(writer.written))
    assert log.events[-1].points == writer.written


def test_who_recovers_a_journal_revokes_the_grant_of_an_agent_first(writer: Writer) -> None:
    log, live = Log(), writer.grant()
    writer.put(2_000)
    log.send(live.cut(1_000))
    writer.journal.close()  # the owner is dead
    assert live.journal.is_orphaned  # type: ignore[attr-defined]
    orphan = adopt(writer.journal.folder)
    assert orphan is not None
    with pytest.raises(Withdrawn):
        live.cut(1_000)
    for producer in orphan.producers:
        ship(producer, log)
    orphan.close()

    assert log.steps == list(range(2_001))
    assert log.events[-1].kind == "producer_closed"
