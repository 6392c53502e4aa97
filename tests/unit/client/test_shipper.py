"""The shipper: order, repetition after failures, bounds, and what it reports."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client import notices
from gateway.client.address import Address
from gateway.client.journal import segment as segments
from gateway.client.journal import series
from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.journal import Journal
from gateway.client.run import registry
from gateway.client.run.run import Run
from gateway.client.shipping import producer as producer_module
from gateway.client.shipping import shipper as shipping_module
from gateway.client.shipping.producer import Producer
from gateway.client.shipping.shipper import Shipper
from schemas.wire import identify
from tests.support.client_harness import DEADLINE_S, Memory, new_run, points, shipping, wait_for
from tests.support.left_journals import left_events


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@pytest.fixture
def shipper(memory: Memory) -> Iterator[Shipper]:
    with shipping(memory) as made:
        yield made


def identities(memory: Memory) -> list[tuple[str, int]]:
    return [(one.producer, one.seq) for one in (identify(r.key, r.headers) for r in memory.sent)]


def test_records_are_numbered_from_zero_without_gaps(shipper: Shipper, memory: Memory) -> None:
    run = new_run(shipper)
    for step in range(5_000):
        run.emit("loss", 0.5, step)
    run.finish()

    assert [seq for _, seq in identities(memory)] == list(range(len(memory.sent)))


@pytest.mark.parametrize("arrived", [True, False])
def test_unacknowledged_records_are_sent_again_in_order_with_the_same_bytes(
    shipper: Shipper, memory: Memory, arrived: bool
) -> None:
    memory.keeps_failed, memory.failures = arrived, 3
    run = new_run(shipper)
    for step in range(3_000):
        run.emit("loss", 0.5, step)
    run.finish()

    bytes_of: dict[tuple[str, int], set[bytes]] = {}
    for identity, record in zip(identities(memory), memory.sent, strict=True):
        bytes_of.setdefault(identity, set()).add(record.value + repr(record.headers).encode())
    first_seen = list(dict.fromkeys(seq for _, seq in identities(memory)))
    assert first_seen == list(range(len(first_seen)))
    assert {len(several) for several in bytes_of.values()} == {1}
    assert [seen.step for seen in points(memory.events())] == list(range(3_000))
    assert memory.opened == 4  # each failure closes the transport


@pytest.mark.parametrize("at", [1, 3])
def test_an_error_while_cutting_delays_points_and_loses_none(
    shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    encode_events, calls = vars(producer_module)["encode_events"], count(1)

    def encode_or_raise(*given: Any) -> Any:
        if next(calls) == at:
            raise MemoryError
        return encode_events(*given)

    monkeypatch.setattr(shipping_module, "BACK_OFF_S", (0.01, 0.01))
    monkeypatch.setattr(producer_module, "encode_events", encode_or_raise)
    run = new_run(shipper)
    for step in range(5_000):
        run.emit("loss", 0.5, step)
    run.finish()

    assert [seen.step for seen in points(memory.events())] == list(range(5_000))
    assert [seq for _, seq in identities(memory)] == list(range(len(memory.sent)))


def test_lifecycle_is_sent_at_once(shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping_module, "CUT_EVERY_S", 3_600.0)
    run = new_run(shipper)
    run.set_tags(a=1)

    wait_for(lambda: memory.kinds() == ["tags"])


def test_a_single_point_is_sent_without_being_asked_for(shipper: Shipper, memory: Memory) -> None:
    new_run(shipper).emit("loss", 0.5)

    wait_for(lambda: memory.kinds() == ["metrics"])


def test_finish_gives_up_at_its_deadline_and_reports_what_is_unsent(
    shipper: Shipper, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.is_held = True
    run = new_run(shipper)
    run.emit("loss", 0.5)
    report = run.finish(timeout_s=0.05)

    assert (report.emitted, report.sent, report.unsent) == (1, 0, 1)
    assert "1 of 1 points are not in Kafka at memory:1" in capsys.readouterr().err


def test_what_finish_left_is_still_sent_while_the_process_lives(shipper: Shipper, memory: Memory) -> None:
    memory.is_held = True
    run = new_run(shipper)
    run.emit("loss", 0.5)
    run.finish(timeout_s=0.05)
    memory.is_held = False

    wait_for(lambda: memory.kinds() == ["metrics", "run_finished", "producer_closed"])
    assert run.finish(timeout_s=60.0).sent == 1


def test_a_full_journal_drops_the_newest_points_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_JOURNAL_MAX_MB", "1")
    memory = Memory()
    memory.is_held = True
    with shipping(memory) as shipper:
        run = new_run(shipper)
        for step in range(30_000):
            run.emit("loss", float(step), step)
            if step % 100 == 0:
                run.log_params({f"p{step}": "x" * 1_000})
        memory.is_held = False
        report = run.finish()

    closed = memory.events()[-1]
    kept = len(points(memory.events()))
    assert 4_000 < kept < 30_000
    assert [seen.step for seen in points(memory.events())] == list(range(kept))
    assert memory.kinds().count("params") == 300
    assert (closed.points, closed.dropped) == (kept, 30_000 - kept)
    assert (report.emitted, report.sent, report.dropped) == (30_000, kept, 30_000 - kept)
    assert capsys.readouterr().err.count("new metric points are dropped") == 1


def test_a_full_backlog_fills_the_journal_and_is_sent_in_the_end(
    shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "BACKLOG_BYTES", 100_000)
    memory.is_held = True
    run = new_run(shipper)
    for step in range(50_000):
        run.emit("loss", 0.5, step)
    wait_for(lambda: shipper._backlog_bytes >= 100_000)
    waiting = run.health()["unsent"]
    memory.is_held = False
    report = run.finish()

    assert waiting > 0
    assert (report.sent, report.dropped) == (50_000, 0)


def test_many_runs_share_one_thread(shipper: Shipper, memory: Memory) -> None:
    runs = [new_run(shipper, f"run-{number}") for number in range(20)]
    for step in range(50):
        for run in runs:
            run.emit("loss", 0.5, step)
    reports = [run.finish() for run in runs]

    assert [report.sent for report in reports] == [50] * 20
    assert not shipper._backlog


def test_the_end_of_an_outage_is_reported_once(
    shipper: Shipper, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.failures = 4
    run = new_run(shipper)
    run.emit("loss", 0.5)
    run.finish()

    lines = capsys.readouterr().err
    assert lines.count("cannot be reached (made to fail)") == 1
    assert lines.count("is reached again") == 1


def test_offline_keeps_the_journal_and_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    shipper = Shipper(Address("none:", "t", is_configured=False))
    run: Run = new_run(shipper)
    for step in range(10):
        run.emit("loss", 0.5, step)
    report = run.finish()
    shipper.stop()

    assert (report.emitted, report.sent, report.unsent, report.dropped) == (10, 0, 10, 0)
    assert f"events are kept in {report.journal}: `gateway sync`" in capsys.readouterr().err


def test_an_event_that_no_record_can_hold_leaves_no_gap(shipper: Shipper, memory: Memory) -> None:
    run = new_run(shipper)
    run.recorder.record_at("note", 1, text="x" * 2_000_000)
    run.recorder.record_at("note", 1, text=object())
    run.note("small")
    run.finish()

    assert memory.kinds() == ["heartbeat", "heartbeat", "note", "run_finished", "producer_closed"]


def test_flush_is_not_true_while_a_slow_disk_hides_the_end(
    shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.is_held = True
    run = new_run(shipper)
    run.emit("loss", 1.0)
    allocate, is_reached, is_ready = segments.allocate, threading.Event(), threading.Event()

    def allocate_slowly(handle: int, size: int) -> None:
        is_reached.set()
        is_ready.wait(DEADLINE_S)
        allocate(handle, size)

    monkeypatch.setattr(segments, "allocate", allocate_slowly)
    # It does not fit into the first segment.
    writer = threading.Thread(target=lambda: run.recorder.record("note", text="x" * segments.SIZES[0]))
    writer.start()
    is_reached.wait(DEADLINE_S)
    assert not run.flush(timeout_s=0.3)
    memory.is_held = False
    is_ready.set()
    writer.join()
    assert run.flush()
    assert memory.kinds() == ["metrics", "note"]


def test_a_segment_made_during_an_acknowledgement_delays_nothing(shipper: Shipper, memory: Memory) -> None:
    class Growing(dict[int, Any]):
        """Segments of which another one is made while somebody walks them."""

        def __iter__(self) -> Iterator[int]:
            for number in super().copy():
                self.setdefault(number + 1_000, self[number])
                yield number

    run = new_run(shipper)
    run.emit("loss", 1.0)
    run.recorder.journal.segments = Growing(run.recorder.journal.segments)

    assert run.flush()
    assert shipper.last_error == ""


def test_a_thread_that_cannot_start_does_not_make_a_finished_run_killed(
    memory: Memory, journal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread_left)
    run = new_run(Shipper(Address("kafka://memory:1", "t"), lambda _: memory))
    run.emit("loss", 1.0)
    report = run.finish()
    run.recorder.journal.close()

    assert (report.emitted, report.unsent) == (1, 1)
    assert [event.kind for event in left_events(journal_home)["run-1"]] == [
        "metrics",
        "run_finished",
        "producer_closed",
    ]


def test_a_corrected_credential_is_used_for_the_next_connection(own_process: None) -> None:
    wrong, right = (Address("http://127.0.0.1:9", "t", options={"token": token}) for token in ("wrong", "right"))
    first = registry.shipper_for(wrong)
    assert isinstance(first, Shipper)
    run = new_run(first)

    assert registry.shipper_for(right) is first
    assert first.address.options == {"token": "right"}
    run.finish(timeout_s=0)


def test_names_used_once_are_forgotten(shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_COUNTERS", 50)
    monkeypatch.setattr(segments, "SIZES", (4_096, 4_096))
    run = new_run(shipper)
    for number in range(200):
        run.emit(f"once/{number}", 1.0)
        run.emit("often", 1.0)
    run.finish()

    assert len(run.recorder.journal.counters) == 50
    assert [one.step for one in points(memory.events()) if one.name == "often"] == list(range(200))
    assert list(notices.counts) == ["names"]


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_finished_offline_runs_hold_no_descriptors(own_process: None) -> None:
    gateway.start_run().finish()
    before = descriptors()
    for _ in range(20):
        with gateway.start_run() as run:
            run.emit("loss", 1.0)
    del run

    assert descriptors() <= before + 3  # those of the last run


def test_a_sweep_while_the_log_is_away_holds_few_descriptors_and_loses_nothing(
    shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "BACK_OFF_S", (0.01, 0.02))
    memory.failures, memory.keeps_failed = 1_000_000, False
    before = descriptors()
    for number in range(44):
        run = new_run(shipper, f"run-{number}")
        run.emit("loss", float(number))
        run.finish(timeout_s=0)
    wait_for(lambda: descriptors() < before + 3 * (shipping_module.MAX_FINISHED + 4))

    memory.failures = 0
    wait_for(lambda: memory.kinds().count("producer_closed") == 44)
    assert sorted(one.value for one in points(memory.events())) == [float(number) for number in range(44)]
    assert memory.kinds().count("run_finished") == 44
    assert "run_killed" not in memory.kinds()


def test_a_finished_run_whose_folder_was_deleted_is_kept_until_it_is_sent(
    shipper: Shipper, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "BACK_OFF_S", (0.01, 0.02))
    monkeypatch.setattr(shipping_module, "MAX_FINISHED", 2)
    memory.failures, memory.keeps_failed = 1_000_000, False
    deleted = new_run(shipper, "deleted")
    deleted.emit("loss", 1.0)
    shutil.rmtree(deleted.finish(timeout_s=0).journal)
    for number in range(5):
        run = new_run(shipper, f"run-{number}")
        run.emit("loss", 1.0)
        run.finish(timeout_s=0)
    # Between two failures the shipper may have taken up one of those that it let go, like a journal of a dead process.
    wait_for(lambda: sum(isinstance(one.journal, Journal) for one in shipper._producers) == 3)

    memory.failures = 0
    wait_for(lambda: memory.kinds().count("producer_closed") == 6)
    assert len(points(memory.events())) == 6


def test_nothing_is_cut_from_a_journal_that_was_let_go_meanwhile(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "MAX_FINISHED", 1)
    shipper, journals = Shipper(Address("kafka://memory:1", "t")), [Journal(f"r{number}") for number in range(3)]
    for journal in journals:
        journal.put("loss", 1.0, 0, ("main", 1, ()))
        journal.append(JournalEvent({"kind": "producer_closed", "time": 1}))
    shipper._producers += [Producer(journal) for journal in journals]

    async def turn() -> None:
        cutting = asyncio.ensure_future(shipper._cut_all(asyncio.Event()))
        await asyncio.sleep(0)  # the first journal had its turn
        shipper._warned_down.add("cannot be reached")
        shipper._let_go()
        await cutting

    asyncio.run(turn())
    cuts = [journal.cursor.cuts for journal in journals if journal.cursor is not None]
    assert cuts == [2, 0, 2]
    assert {record.producer.journal for record in shipper._backlog} == {journals[2]}
    for journal in journals:
        journal.close()
