"""The bound of a journal is on what is not acknowledged, whatever the room; and the folder may vanish meanwhile."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.journal import allocator, segment
from gateway.client.journal.entries import JournalEvent, kind_of
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping.producer import Producer
from gateway.client.shipping.recovery import adopt
from schemas.wire import decode
from tests.support.client_harness import points

MAIN = ("main", 1, ())
MB = 1_048_576


class Acknowledging:
    """A journal whose producer gets every record acknowledged at once."""

    def __init__(self, limit: int | None = None) -> None:
        self.journal = Journal("r", limit=limit)
        self.producer = Producer(self.journal)
        self.steps: list[int] = []
        self.emitted = 0

    def emit(self, count: int) -> None:
        for _ in range(count):
            self.journal.put("loss", float(self.emitted), self.emitted, MAIN)
            self.emitted += 1

    def ship(self, limit: int = 10_000) -> None:
        self.journal.prepare()
        while records := self.producer.cut(limit):
            events = [decode(one.record.key, one.record.value, one.record.headers).event for one in records]
            self.steps += [seen.step for seen in points(events)]
            self.producer.acknowledge(records)


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@pytest.mark.parametrize("limit_mb", [1, 4])
def test_with_everything_acknowledged_nothing_is_dropped_whatever_the_bound(journal_home: Path, limit_mb: int) -> None:
    run = Acknowledging(limit_mb * MB)
    for _ in range(limit_mb * 6):
        run.emit(10_000)
        run.ship()

    assert run.journal.dropped == 0
    assert run.steps == list(range(run.emitted))
    assert sum(path.stat().st_size for path in Path(run.journal.folder).iterdir()) <= limit_mb * MB + 73_728
    run.journal.remove()


def test_a_bound_holds_most_of_what_it_names(journal_home: Path) -> None:
    run = Acknowledging(2 * MB)
    run.emit(60_000)
    kept = run.emitted - run.journal.dropped

    assert kept * 40 > 0.8 * 2 * MB
    run.ship()
    run.emit(1_000)  # at once, not after a pause
    run.ship()
    assert run.steps == [*range(kept), *range(60_000, 61_000)]
    run.journal.remove()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of a disk that has room for segments alone; it refuses to allocate more."""
    room = [0]

    def free(folder: str | Path) -> int:
        return room[0] - sum(path.stat().st_size for path in Path(folder).glob("*.seg*"))

    def allocate(handle: int, size: int) -> None:
        if size > free(Path(f"/proc/self/fd/{handle}").readlink().parent):
            raise OSError(28, "No space left on device")
        os.posix_fallocate(handle, 0, size)

    monkeypatch.setattr(allocator, "_free_bytes", free)
    monkeypatch.setattr(segment, "allocate", allocate)
    monkeypatch.setattr("gateway.client.journal.cursor.allocate", os.ftruncate)
    return room


@pytest.mark.parametrize("disk_mb", [1, 3])
def test_a_small_disk_drops_nothing_that_is_acknowledged_in_time(
    journal_home: Path, disk: list[int], disk_mb: int
) -> None:
    disk[0] = disk_mb * MB
    run = Acknowledging()
    for _ in range(disk_mb * 20):
        run.emit(2_500)
        run.ship()

    assert run.journal.dropped == 0
    assert run.steps == list(range(run.emitted))
    run.journal.remove()


def test_a_disk_without_any_room_takes_points_again_as_soon_as_all_is_acknowledged(
    journal_home: Path, disk: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    disk[0] = 200_000  # one small segment
    run = Acknowledging()
    for _ in range(8):
        run.emit(5_000)  # more than it holds
        before = run.journal.dropped
        run.ship()
        run.emit(100)
        assert run.journal.dropped == before
        run.ship()

    assert len(run.steps) == run.emitted - run.journal.dropped > 8 * 3_000
    assert run.steps == sorted(set(run.steps))
    assert capsys.readouterr().err.count("new metric points are dropped") == 1
    run.journal.remove()


@pytest.mark.parametrize("dies_at", ["", "cleared", "renamed"])
def test_a_segment_that_is_used_again_sends_nothing_twice_when_the_process_dies(
    journal_home: Path, disk: list[int], monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    disk[0] = 200_000
    run = Acknowledging()
    run.emit(3_000)
    run.ship()
    rename = os.rename

    def die(old: str, new: str) -> None:
        if dies_at == "renamed":
            rename(old, new)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if dies_at:
            patch.setattr(os, "rename", die)
        with suppress(KeyboardInterrupt):
            for _ in range(100):  # it is full after some of them, with all acknowledged
                run.emit(1)
                run.ship()
            run.emit(400)
    run.journal.close()
    (folder,) = find_journals(str(journal_home))
    orphan = adopt(folder)
    assert orphan is not None
    kinds = []
    for producer in orphan.producers:
        while records := producer.cut(10_000):
            events = [decode(one.record.key, one.record.value, one.record.headers).event for one in records]
            run.steps += [seen.step for seen in points(events)]
            kinds += [event.kind for event in events]
            producer.acknowledge(records)
    orphan.close()

    assert kinds[-2:] == ["run_killed", "producer_closed"]
    assert run.steps == sorted(set(run.steps))
    assert dies_at or run.steps == list(range(3_500))


def test_a_folder_that_is_deleted_while_training_runs_is_created_again(
    journal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Acknowledging()
    run.emit(3_000)
    run.ship()
    shutil.rmtree(run.journal.folder)
    run.emit(40_000)
    is_alive = adopt(run.journal.folder) is None
    written = [path.name for path in Path(run.journal.folder).glob("*.seg")]
    run.ship()

    assert run.journal.dropped == 0
    assert run.steps == list(range(43_000))
    assert is_alive
    assert written
    assert "was deleted while training runs: it is created again" in capsys.readouterr().err
    run.journal.remove()
    assert not list(journal_home.iterdir())


def test_after_its_folder_was_deleted_and_the_process_died_the_rest_is_sent(journal_home: Path) -> None:
    run = Acknowledging()
    run.emit(3_000)
    run.producer.cut(2_000)
    shutil.rmtree(run.journal.folder)
    run.emit(40_000)
    kept_from = run.journal.segments[max(run.journal.segments)].number
    run.journal.close()
    (folder,) = find_journals(str(journal_home))
    orphan = adopt(folder)
    assert orphan is not None
    assert kept_from > 1
    events = []
    for producer in orphan.producers:
        while records := producer.cut(10_000):
            events += [decode(one.record.key, one.record.value, one.record.headers).event for one in records]
            producer.acknowledge(records)
    orphan.close()
    steps = [seen.step for seen in points(events)]

    assert steps == list(range(steps[0], 43_000))
    assert events[-2].kind == "run_killed"


def test_a_folder_that_cannot_be_created_again_is_named_with_the_reason(
    journal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Acknowledging()
    run.emit(100)
    shutil.rmtree(journal_home / "r")
    (journal_home / "r").write_text("in the way", encoding="utf-8")
    run.emit(10_000)

    assert run.journal.dropped > 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert "it was deleted and cannot be created again (Not a directory)" in warning
    assert run.journal.folder in warning
    assert "until it can be written: make the folder writable" in warning
    run.journal.close()


@pytest.mark.parametrize("is_in_memory", [False, True])
def test_console_lines_system_metrics_and_notes_keep_to_the_bound(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch, is_in_memory: bool
) -> None:
    if is_in_memory:
        monkeypatch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/journal")
    journal = Journal("r", limit=MB)
    for number in range(60):
        journal.append(JournalEvent({"kind": "text", "time": 1, "lines": ["x" * 50_000] * 2, "times": [1, 1]}))
        journal.append(JournalEvent({"kind": "system_metrics", "time": 1, "series": [{"name": "y" * 9_000}] * 3}))
        journal.append(JournalEvent({"kind": "note", "time": 1, "text": "z" * 9_000}))
        journal.append(JournalEvent({"kind": "params", "time": 1, "params": {f"p{number}": number}}))
    used = sum(one.size for one in journal.segments.values())
    journal.append(JournalEvent({"kind": "producer_closed", "time": 1}))
    producer, kinds = Producer(journal), Counter[str]()
    while records := producer.cut(10_000):
        kinds.update(kind_of(one.record.value) for one in records)
        producer.acknowledge(records)

    assert used <= MB
    assert kinds["params"] == 60
    assert 0 < kinds["text"] < 60
    kept = 2 * kinds["text"] + 3 * kinds["system_metrics"] + kinds["note"]
    assert journal.dropped == 60 * 6 - kept
