"""The journal in every order of writing, cutting, sending, process death and disk damage."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.client.journal import segment as segments
from gateway.client.journal.allocator import SegmentAllocator
from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping.producer import OutgoingRecord, Producer
from gateway.client.shipping.recovery import OrphanedJournal, adopt
from schemas import events as ev
from schemas.wire import decode

MAIN = ("main", 1, ())


class Log:
    """The records sent, as a broker keeps them: all of them, in order, repetitions included."""

    def __init__(self) -> None:
        self.bytes: dict[tuple[str, int], set[bytes]] = {}
        self.events: dict[tuple[str, int], Any] = {}

    def append(self, outgoing: list[OutgoingRecord]) -> None:
        for one in outgoing:
            record = one.record
            found = decode(record.key, record.value, record.headers)
            identity = (found.producer, found.seq)
            self.bytes.setdefault(identity, set()).add(record.value + repr((record.headers, record.time)).encode())
            self.events.setdefault(identity, found.event)

    def values(self) -> list[float]:
        """Return the values of all points, repetitions included."""
        metrics = [event for event in self.events.values() if isinstance(event, ev.Points)]
        return [value for event in metrics for one in event.series for value in one.values]

    def notes(self) -> list[str]:
        return [event.text for event in self.events.values() if isinstance(event, ev.Note)]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events.values()]


SHARES = st.floats(0, 1, exclude_max=True)


class Journals(RuleBasedStateMachine):
    """
    One journal until the log has all of it. The owner, and later the adopters, die at any moment.

    What is drawn must not depend on the files: their folders have random names, and their bytes hold the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="gateway-journal-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("GATEWAY_JOURNAL_DIR", str(self.home))
        self.patch.setattr(segments, "SIZES", (4_096, 8_192))
        self.log = Log()
        self.written: list[float] = []
        self.noted: list[str] = []
        self.journal: Journal | None = Journal("run/1")
        self.producers: list[Producer] = [Producer(self.journal)]
        self.orphan: OrphanedJournal | None = None
        self.unacknowledged: list[OutgoingRecord] = []
        self.is_damaged = False
        self.lost_allowed = 0  # records that the damage may have destroyed
        self.may_double: set[float] = set()  # what the log had when the disk was damaged
        self.is_done = False
        self.widest = 1  # points in a record

    def teardown(self) -> None:
        self.end()
        self.patch.undo()
        shutil.rmtree(self.home, ignore_errors=True)

    # The owner.

    @precondition(lambda self: self.journal is not None)
    @rule(count=st.integers(1, 60), name=st.sampled_from(["a", "b/c", "ü" * 40]), is_named=st.booleans())
    def emit(self, count: int, name: str, is_named: bool) -> None:
        assert self.journal is not None
        for _ in range(count):
            value = float(len(self.written))
            context = ("train", 2, (("rank", "3"),)) if is_named else MAIN
            self.journal.put(name, value, None, context)
            self.written.append(value)

    @precondition(lambda self: self.journal is not None)
    @rule(count=st.integers(1, 20), names=st.lists(st.sampled_from("abcde"), unique=True))
    def emit_together(self, count: int, names: list[str]) -> None:
        assert self.journal is not None
        for _ in range(count):
            values = [float(len(self.written) + number) for number in range(len(names))]
            for name, value in self.journal.put_rows(dict(zip(names, values, strict=True)), None, MAIN).items():
                self.journal.put(name, value, None, MAIN)
            self.written += values
            self.widest = max(self.widest, len(names))

    @precondition(lambda self: self.journal is not None)
    @rule(count=st.integers(1, 8), names=st.sampled_from([31, 32, 40, 300]), is_named=st.booleans())
    def emit_rows(self, count: int, names: int, is_named: bool) -> None:
        assert self.journal is not None
        context = ("train", 2, (("rank", "3"),)) if is_named else MAIN
        for _ in range(count):
            row = {f"w{names}/{number}": float(len(self.written) + number) for number in range(names)}
            assert not self.journal.put_rows(row, None, context)
            self.written += row.values()
            self.widest = max(self.widest, names)

    @precondition(lambda self: self.journal is not None)
    @rule(size=st.sampled_from([0, 30, 500, 9_000]))
    def note(self, size: int) -> None:
        assert self.journal is not None
        text = f"{len(self.noted)}" + "x" * size
        self.journal.append(JournalEvent({"kind": "note", "time": 1, "text": text}))
        self.noted.append(text)

    @precondition(lambda self: self.journal is not None)
    @rule()
    def prepare(self) -> None:
        assert self.journal is not None
        self.journal.prepare()

    # The process that ships.

    @rule(limit=st.integers(1, 200))
    def cut(self, limit: int) -> None:
        for producer in self.producers:
            self.unacknowledged += producer.cut(limit)

    @rule(count=st.integers(1, 10), is_acknowledged=st.booleans())
    def send(self, count: int, is_acknowledged: bool) -> None:
        self.log.append(self.unacknowledged[:count])
        if is_acknowledged:
            for record in self.unacknowledged[:count]:
                record.producer.acknowledge([record])
            del self.unacknowledged[:count]

    @rule()
    def die(self) -> None:
        """SIGKILL: mapped memory stays, everything else is lost."""
        for one in (self.journal, self.orphan):
            if one is not None:
                one.close()
        self.journal = self.orphan = None
        self.producers, self.unacknowledged = [], []

    @precondition(lambda self: self.journal is None)
    @rule()
    def adopt(self) -> None:
        if self.orphan is not None:
            return
        for folder in find_journals(str(self.home)):
            self.orphan = adopt(folder)
            self.producers = list(self.orphan.producers) if self.orphan is not None else []

    # The disk. Only journals whose owner is dead are damaged.

    @precondition(lambda self: self.journal is None)
    @rule(
        which=SHARES, place=SHARES, bit=st.integers(0, 7), random=st.randoms(use_true_random=False),
        how=st.sampled_from(["flip", "truncate", "garble", "delete"]),
    )  # fmt: skip
    def damage(self, which: float, place: float, bit: int, random: Random, how: str) -> None:
        files = sorted(
            path for path in self.home.rglob("*") if path.is_file() and path.name != "lock" and path.stat().st_size
        )
        if not files or self.is_damaged or self.orphan is not None:
            return
        path = files[int(which * len(files))]
        raw = bytearray(path.read_bytes())
        used = len(bytes(raw).rstrip(b"\x00")) or 1
        at = int(place * used)
        self.is_damaged = True
        self.may_double = set(self.log.values())
        if how == "flip":
            raw[at] ^= 1 << bit
            self.lost_allowed = self.widest if path.suffix == ".seg" else 0
        elif how == "truncate":
            self.lost_allowed = used - at if path.suffix == ".seg" else 0
            del raw[at:]
        elif how == "garble":
            self.lost_allowed = used - at if path.suffix == ".seg" else 0
            raw[at:used] = random.randbytes(used - at)
        elif path.suffix != ".seg":
            path.unlink()
            return
        path.write_bytes(raw)

    @invariant()
    def one_identity_has_one_content(self) -> None:
        assert all(len(several) == 1 for several in self.log.bytes.values())

    def end(self) -> None:
        """Ship the rest, and count."""
        self.die()
        for _ in range(3):
            self.adopt()
            while any(not producer.is_done for producer in self.producers):
                before = len(self.log.bytes), sum(one.acknowledged_records for one in self.producers)
                self.cut(1_000)
                while self.unacknowledged:
                    self.send(10, is_acknowledged=True)
                after = len(self.log.bytes), sum(one.acknowledged_records for one in self.producers)
                assert before != after, "adoption makes no progress"
            if self.orphan is not None:
                self.orphan.delete()
            self.die()
        self.one_identity_has_one_content()
        assert list(find_journals(str(self.home))) == []
        self.count()

    def count(self) -> None:
        values, notes = self.log.values(), self.log.notes()
        if not self.is_damaged:
            assert sorted(values) == self.written
            assert sorted(notes) == sorted(self.noted)
            assert not self.written or self.log.kinds().count("run_killed") == 1
            for producer in {producer for producer, _ in self.log.events}:
                numbers = sorted(seq for one, seq in self.log.events if one == producer)
                assert numbers == list(range(len(numbers)))
            return
        lost = len(set(self.written) - set(values)) + len(set(self.noted) - set(notes))
        assert lost <= self.lost_allowed
        assert {value for value, count in Counter(values).items() if count > 1} <= self.may_double
        assert set(values) <= set(self.written)
        assert set(notes) <= set(self.noted)


Journals.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJournals = Journals.TestCase


def test_meta_of_a_journal_names_its_run_and_destination(journal_home: Path) -> None:
    journal = Journal("run/1", attempt=3)
    journal.set_destination("kafka://k:1", "t")
    journal.put("loss", 0.5, 0, MAIN)
    meta = json.loads(Path(journal.folder, "meta.json").read_text(encoding="utf-8"))
    journal.close()

    assert {name: meta[name] for name in ("run_id", "attempt", "is_owner", "address", "topic")} == {
        "run_id": "run/1", "attempt": 3, "is_owner": True, "address": "kafka://k:1", "topic": "t",
    }  # fmt: skip
    assert Path(journal.folder).parent == journal_home / "run%2F1"


def shipped(home: Path) -> Log:
    """Adopt the only journal, and return the records it sends."""
    log = Log()
    (folder,) = find_journals(str(home))
    orphan = adopt(folder)
    assert orphan is not None
    for producer in orphan.producers:
        while records := producer.cut(10_000):
            log.append(records)
            for record in records:
                producer.acknowledge([record])
    assert orphan.is_done
    orphan.close()
    return log


def test_a_signal_handler_may_emit_at_any_moment(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SIZES", (4_096, 8_192))
    journal = Journal("r")
    interrupted = []

    def emit(*_: object) -> None:
        journal.put("from a handler", 1.0, None, MAIN)
        interrupted.append(1)

    before = signal.signal(signal.SIGALRM, emit)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0002)
    try:
        for step in range(60_000):
            journal.put("loss", 2.0, step, MAIN)
        for step in range(20_000):
            assert not journal.put_rows({"loss": 3.0, "acc": 4.0}, step, MAIN)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    journal.close()
    values = shipped(journal_home).values()

    assert interrupted
    assert (values.count(1.0), values.count(2.0)) == (len(interrupted), 60_000)
    assert (values.count(3.0), values.count(4.0)) == (20_000, 20_000)


def half_full(monkeypatch: pytest.MonkeyPatch, limit: int | None = None) -> Journal:
    """Return a journal whose first segment is half full and whose next is preallocated if possible."""
    monkeypatch.setattr(segments, "SIZES", (4_096, 8_192))
    journal = Journal("r", limit=limit)
    for step in range(60):
        journal.put("loss", 2.0, step, MAIN)
    journal.prepare()
    return journal


def test_the_next_segment_is_made_before_it_is_needed(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = half_full(monkeypatch)
    made = []
    monkeypatch.setattr(segments, "create", lambda *_, **__: made.append(1))
    for step in range(60, 120):
        journal.put("loss", 2.0, step, MAIN)
    journal.close()

    assert not made
    assert sorted(path.name for path in Path(journal.folder).glob("*.seg*")) == ["00000001.seg", "00000002.seg"]


def test_a_prepared_segment_that_is_not_used_is_ignored_and_deleted(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = half_full(monkeypatch)
    prepared = Path(journal.folder) / "00000002.seg.new"
    was_there = prepared.exists()
    journal.close()
    log = shipped(journal_home)

    assert was_there
    assert log.values() == [2.0] * 60
    assert not list(journal_home.iterdir())


def test_preparing_while_the_prepared_one_gets_its_name_loses_nothing(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = half_full(monkeypatch)
    publish, preallocate = segments.Segment.publish, SegmentAllocator.preallocate
    shipper, has_tried = threading.Thread(target=journal.prepare), threading.Event()

    def preallocate_and_signal(allocator: SegmentAllocator, number: int) -> segments.Segment | None:
        made = preallocate(allocator, number)
        has_tried.set()
        return made

    def publish_late(made: segments.Segment) -> None:
        shipper.start()  # it runs just before the segment gets its name
        assert has_tried.wait(60)
        publish(made)

    monkeypatch.setattr(SegmentAllocator, "preallocate", preallocate_and_signal)
    monkeypatch.setattr(segments.Segment, "publish", publish_late)
    for step in range(60, 120):
        journal.put("loss", 2.0, step, MAIN)
    shipper.join()
    journal.close()

    assert shipped(journal_home).values() == [2.0] * 120


def test_nothing_is_prepared_once_the_producer_is_closed(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = half_full(monkeypatch)
    journal.append(JournalEvent({"kind": "producer_closed", "time": 1}))
    journal.prepare()
    journal.close()

    assert not list(Path(journal.folder).glob("*.new"))


def test_a_prepared_segment_that_is_too_small_gives_way(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = half_full(monkeypatch)
    journal.append(JournalEvent({"kind": "note", "time": 1, "text": "x" * 20_000}))
    journal.close()
    log = shipped(journal_home)

    assert (len(log.notes()[0]), len(log.values())) == (20_000, 60)


def test_nothing_is_prepared_beyond_the_bound(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = half_full(monkeypatch, limit=12_000)
    journal.prepare()
    journal.close()

    assert [path.name for path in Path(journal.folder).glob("*.seg*")] == ["00000001.seg"]
    assert journal.dropped == 0


def test_a_journal_whose_owner_is_alive_is_not_adopted(journal_home: Path) -> None:
    journal = Journal("r")
    journal.put("loss", 0.5, 0, MAIN)
    (folder,) = find_journals(str(journal_home))
    while_alive = adopt(folder)
    journal.close()
    afterwards = adopt(folder)

    assert while_alive is None
    assert afterwards is not None
    afterwards.close()


def test_counts_of_what_was_dropped_survive_the_process(journal_home: Path) -> None:
    journal = Journal("r", limit=300_000)
    for step in range(20_000):
        journal.put("loss", 0.5, step, MAIN)
    journal.close()
    log = shipped(journal_home)
    closed = next(event for event in log.events.values() if isinstance(event, ev.ProducerClosed))

    assert closed.dropped == journal.dropped > 0
    assert closed.points == journal.points == len(log.values()) == 20_000 - journal.dropped


def test_a_run_id_too_long_for_a_folder_comes_back_whole(journal_home: Path) -> None:
    run_id = "ü/" * 128
    journal = Journal(run_id)
    journal.put("loss", 0.5, 0, MAIN)
    journal.close()
    (folder,) = find_journals(str(journal_home))
    Path(folder, "meta.json").write_text("damaged", encoding="utf-8")
    orphan = adopt(folder)

    assert orphan is not None
    assert orphan.run_id == run_id
    orphan.close()
