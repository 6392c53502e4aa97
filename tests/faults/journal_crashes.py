"""
Kill the owner of a journal, or the process that ships an orphaned one, before its n-th step: a file system call, or a
write of the journal's state.

`python -m tests.faults.journal_crashes owner FOLDER`, `… adopter FOLDER` and `… granter FOLDER` go through every n
until there are no more steps; a granter lets an agent cut its journal, and takes it back. Each runs in a child of its
own that dies by SIGKILL, so it cannot clean up. Then the journal is adopted once more, and each accepted point must be
in the log exactly once. Prints JSON: the number of deaths, and for each death what was wrong after it.
"""

from __future__ import annotations

import builtins
import itertools
import json
import mmap
import os
import shutil
import struct
import sys
from functools import partial
from pathlib import Path

from gateway.client.agent.live_journal import LiveJournal
from gateway.client.ids import uuid7
from gateway.client.journal import contents
from gateway.client.journal import segment as segments
from gateway.client.journal.cursor import ShippingCursor
from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping import recovery
from gateway.client.shipping.producer import OutgoingRecord, Producer
from schemas import events as ev
from schemas.wire import decode
from tests.faults.crash_child import Deadly, in_child

CALLS = ("open", "close", "rename", "unlink", "rmdir", "mkdir", "posix_fallocate", "listdir", "scandir", "write")
MAIN = ("main", 1, ())
POINTS = 700
COUNT = struct.Struct("<Q")


def make_steps(deadly: Deadly) -> None:
    """Make every call that changes files a step at which the process can die."""
    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    builtins.open = deadly(open)
    mmap.mmap = deadly(mmap.mmap)  # type: ignore[misc]
    vars(contents)["write_record"] = deadly(vars(contents)["write_record"])
    ShippingCursor.append, ShippingCursor.save = deadly(ShippingCursor.append), deadly(ShippingCursor.save)  # type: ignore[method-assign]


def write_journal(counter: mmap.mmap, *, is_half_sent: bool, sent: Path) -> None:
    """Emit points, with events in between, and store their number in `counter` after each."""
    journal = Journal("r")
    producer = Producer(journal)
    for step in range(POINTS):
        journal.put("loss", step * 0.5, step, MAIN)
        COUNT.pack_into(counter, 0, step + 1)
        if step % 20 == 0 and step < 90:  # the second segment is preallocated, later ones are made when needed
            journal.prepare()
        if step % 150 == 149:
            journal.append(JournalEvent({"kind": "note", "time": step, "text": str(step)}))
    if is_half_sent:
        records = producer.cut(300)
        send(sent, records[:2])
        producer.acknowledge(records[:1])


def take_turns(counter: mmap.mmap, *, sent: Path) -> None:
    """Write a journal that an agent and its owner cut in turn; part of each is sent, part of that acknowledged."""
    journal, agent = Journal("r"), uuid7()
    for turn in range(4):
        for step in range(turn * 60, turn * 60 + 60):
            journal.put("loss", step * 0.5, step, MAIN)
            COUNT.pack_into(counter, 0, step + 1)
        if turn % 2:
            producer = Producer(journal)
        else:
            journal.hand_over(agent)
            producer = Producer(LiveJournal(journal.folder, agent))
        records = producer.cut(100)
        send(sent, records)
        if turn > 1:
            producer.acknowledge(records[:1])
        journal.read_cursor()
        journal.delete_before(journal.reached)
        journal.take_back()


def send(sent: Path, records: list[OutgoingRecord]) -> None:
    """Append records to a file as a broker keeps them: all of them, in order, repetitions included."""
    handle = os.open(sent, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for outgoing in records:
        record = outgoing.record
        headers = [(name, text.hex()) for name, text in record.headers]
        os.write(handle, json.dumps([record.key.hex(), record.value.hex(), headers]).encode() + b"\n")
    os.close(handle)


def ship(home: Path, sent: Path) -> None:
    """Adopt every journal and ship all of it, as `gateway sync` does."""
    for folder in list(find_journals(str(home))):
        orphan = recovery.adopt(folder)
        if orphan is None:
            continue
        for producer in orphan.producers:
            while records := producer.cut(300):
                for record in records:
                    send(sent, [record])
                    producer.acknowledge([record])
        orphan.delete()
        orphan.close()


def steps_in(sent: Path) -> list[int]:
    """Return the step of every point, each identity once. Raises AssertionError when an identity has two contents."""
    found: dict[tuple[str, int], bytes] = {}
    steps: list[int] = []
    for line in sent.read_bytes().splitlines() if sent.exists() else []:
        key, value, headers = json.loads(line)
        one = decode(bytes.fromhex(key), bytes.fromhex(value), [(name, bytes.fromhex(text)) for name, text in headers])
        before = found.get((one.producer, one.seq))
        assert before in (None, value), f"two contents of {one.producer} {one.seq}"
        found[one.producer, one.seq] = value
        if before is None and isinstance(one.event, ev.Points):
            steps += [step for series in one.event.series for step in series.steps]
    return steps


def find_fault(home: Path, sent: Path, least: int, most: int) -> str:
    """Ship the rest and return what is wrong; empty when every point is there once, in order."""
    try:
        ship(home, sent)
        steps = steps_in(sent)
    except (OSError, AssertionError) as error:
        return repr(error)
    if steps != list(range(len(steps))) or not least <= len(steps) <= most:
        return f"{least} emits returned, {len(steps)} points came, the last {steps[-1:]}"
    # A folder that was incomplete when its owner died holds nothing yet, which its name shows.
    files = [str(path) for path in home.rglob("*") if path.is_file() and ".new-" not in str(path)]
    return f"left behind: {files}" if files else ""


def kill_owners(folder: Path) -> list[str]:
    """Kill the process that writes a journal at each of its steps; return what was wrong each time."""
    wrong = []
    for number in itertools.count(1):
        home, sent, counter = folder / f"owner{number}", folder / f"sent{number}", mmap.mmap(-1, COUNT.size)
        home.mkdir()
        os.environ["GATEWAY_JOURNAL_DIR"] = str(home)
        is_killed = in_child(number, partial(write_journal, counter, is_half_sent=False, sent=sent), make_steps)
        (emitted,) = COUNT.unpack_from(counter)
        wrong.append(find_fault(home, sent, emitted, emitted + 1 if is_killed else emitted))
        if not is_killed:
            break
    return wrong


def kill_adopters(folder: Path) -> list[str]:
    """Kill the process that ships an orphaned journal at each of its steps; return what was wrong each time."""
    left, before = folder / "left", folder / "before"
    left.mkdir()
    os.environ["GATEWAY_JOURNAL_DIR"] = str(left)
    in_child(0, partial(write_journal, mmap.mmap(-1, COUNT.size), is_half_sent=True, sent=before), make_steps)
    wrong = []
    for number in itertools.count(1):
        home, sent = folder / f"home{number}", folder / f"sent{number}"
        shutil.copytree(left, home)
        shutil.copy(before, sent)
        is_killed = in_child(number, partial(ship, home, sent), make_steps)
        wrong.append(find_fault(home, sent, POINTS, POINTS))
        if not is_killed:
            break
    return wrong


def kill_granters(folder: Path) -> list[str]:
    """Kill the process that takes turns with an agent at each of its steps; return what was wrong each time."""
    wrong = []
    for number in itertools.count(1):
        home, sent, counter = folder / f"granter{number}", folder / f"sent{number}", mmap.mmap(-1, COUNT.size)
        home.mkdir()
        os.environ["GATEWAY_JOURNAL_DIR"] = str(home)
        is_killed = in_child(number, partial(take_turns, counter, sent=sent), make_steps)
        (emitted,) = COUNT.unpack_from(counter)
        wrong.append(find_fault(home, sent, emitted, emitted + 1 if is_killed else emitted))
        if not is_killed:
            break
    return wrong


if __name__ == "__main__":
    segments.SIZES = (4_096, 8_192, 12_288, 16_384)
    wrong = {"owner": kill_owners, "adopter": kill_adopters, "granter": kill_granters}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps({"deaths": len(wrong) - 1, "wrong": {n: one for n, one in enumerate(wrong, 1) if one}}))
