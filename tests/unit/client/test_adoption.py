"""Journals of dead processes: the next process ships them next to its own, `gateway sync` ships and counts them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client.address import Address
from gateway.client.journal import segment as segments
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping import recovery
from gateway.client.shipping.shipper import Shipper
from gateway.client.shipping.sync import sync
from tests.support.client_harness import Memory, new_run, points, shipping, wait_for

MAIN = ("main", 1, ())


def leave_journal(run_id: str, count: int = 5) -> None:
    """Leave the journal of a process that was killed before it sent anything."""
    journal = Journal(run_id)
    journal.set_destination("kafka://memory:1", "t")
    for step in range(count):
        journal.put("loss", 0.5, step, MAIN)
    journal.close()


def test_the_next_process_ships_a_large_journal_too(
    journal_home: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(segments, "SIZES", (41_943_040,))
        leave_journal("dead", 20_000)
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5)
        wait_for(lambda: "run_killed" in memory.kinds())
        wait_for(lambda: len(list(find_journals(str(journal_home)))) == 1)
        run.finish()

    assert len(points(memory.events())) == 20_001


@pytest.fixture
def slow_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Reading the journal of a dead process takes until this event is set."""
    find_orphan, may_go_on = recovery.find_orphan, threading.Event()

    def find_slowly(address: tuple[str, str], skipped: set[str]) -> recovery.OrphanedJournal | None:
        assert may_go_on.wait(60)
        return find_orphan(address, skipped)

    monkeypatch.setattr(recovery, "find_orphan", find_slowly)
    yield may_go_on
    may_go_on.set()


def test_a_process_ships_its_own_journal_while_it_reads_that_of_a_dead_one(
    journal_home: Path, memory: Memory, slow_search: threading.Event
) -> None:
    leave_journal("dead")
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5)
        wait_for(lambda: shipper._adopter._is_searching)
        run.emit("loss", 0.5)
        report = run.finish()
        slow_search.set()
        wait_for(lambda: "run_killed" in memory.kinds())

    assert (report.sent, report.unsent) == (2, 0)


def test_sync_counts_every_journal_it_sends(journal_home: Path, memory: Memory) -> None:
    for number in range(12):
        leave_journal(f"dead-{number}")
    shipper = Shipper(Address("kafka://memory:1", "t"), lambda _: memory, adopts=False)
    done = sync(str(journal_home), shipper, timeout_s=30.0)
    shipper.stop()

    assert (done.journals, done.points, len(done.runs)) == (12, 60, 12)
    assert (done.held, done.unsent) == ([], [])
    assert list(find_journals(str(journal_home))) == []


@pytest.mark.parametrize("deleted", [["lock"], ["lock", "meta.json"]])
def test_a_living_journal_is_not_adopted_when_something_deletes_its_old_files(
    journal_home: Path, memory: Memory, deleted: list[str]
) -> None:
    journal = Journal("r")
    journal.put("loss", 0.5, 0, MAIN)
    for name in deleted:
        Path(journal.folder, name).unlink()
    kept = sorted(path.name for path in Path(journal.folder).iterdir())

    assert recovery.adopt(journal.folder) is None
    with shipping(memory) as shipper:
        done = sync(str(journal_home), shipper, timeout_s=5.0)
    assert (done.journals, done.held, done.unsent) == (0, [journal.folder], [])
    assert sorted(path.name for path in Path(journal.folder).iterdir()) == kept
    journal.close()
