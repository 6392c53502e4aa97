"""
The owner of a journal, or whoever ships one that was left, killed before its n-th step: a call of the file system, or
a writing of the journal's state.

`python -m tests.faults.journal_crashes owner FOLDER` and `… adopter FOLDER` go through every n until there are no more
steps, each in a child of its own that dies by SIGKILL, so nothing of it can be tidied up. Then the journal is adopted
once more, and each point that was taken must be there exactly once. Prints JSON: the number of deaths, and what was
wrong after which of them.
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
from typing import Any

from gateway.client.journal import contents
from gateway.client.journal import segment as segments
from gateway.client.journal.cursor import ShippingCursor
from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping import recovery
from gateway.client.shipping.producer import Producer
from schemas import events as ev
from schemas.wire import decode
from tests.faults.crash_child import Deadly, in_child

CALLS = ("open", "close", "rename", "unlink", "rmdir", "mkdir", "posix_fallocate", "listdir", "scandir", "write")
MAIN = ("main", 1, ())
POINTS = 700
COUNT = struct.Struct("<Q")


def make_steps(deadly: Deadly) -> None:
    """Make every call that changes files a step."""
    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    builtins.open = deadly(open)
    mmap.mmap = deadly(mmap.mmap)  # type: ignore[misc]
    vars(contents)["write_record"] = deadly(vars(contents)["write_record"])
    ShippingCursor.append, ShippingCursor.save = deadly(ShippingCursor.append), deadly(ShippingCursor.save)  # type: ignore[method-assign]


def write_journal(told: mmap.mmap, *, is_half_sent: bool, sent: Path) -> None:
    """Emit, with events in between, and say after each point how many there are."""
    journal = Journal("r")
    producer = Producer(journal)
    for step in range(POINTS):
        journal.put("loss", step * 0.5, step, MAIN)
        COUNT.pack_into(told, 0, step + 1)
        if step % 20 == 0 and step < 90:  # the second segment is made ahead, later ones when they are needed
            journal.prepare()
        if step % 150 == 149:
            journal.append(JournalEvent({"kind": "note", "time": step, "text": str(step)}))
    if is_half_sent:
        envelopes = producer.cut(300)
        send(sent, envelopes[:2])
        producer.acknowledge(envelopes[:1])


def send(sent: Path, envelopes: list[Any]) -> None:
    """Keep records as a broker does: all of them, in order, twice if need be."""
    handle = os.open(sent, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for envelope in envelopes:
        record = envelope.record
        headers = [(name, text.hex()) for name, text in record.headers]
        os.write(handle, json.dumps([record.key.hex(), record.value.hex(), headers]).encode() + b"\n")
    os.close(handle)


def ship(home: Path, sent: Path) -> None:
    """Adopt what is there and ship all of it, as `gateway sync` does."""
    for folder in list(find_journals(str(home))):
        left = recovery.adopt(folder)
        if left is None:
            continue
        for producer in left.producers:
            while envelopes := producer.cut(300):
                for envelope in envelopes:
                    send(sent, [envelope])
                    producer.acknowledge([envelope])
        left.delete()
        left.close()


def steps_in(sent: Path) -> list[int]:
    """Return the step of every point, each identity counted once. Raises AssertionError when one has two contents."""
    found: dict[tuple[str, int], bytes] = {}
    steps: list[int] = []
    for line in sent.read_bytes().splitlines() if sent.exists() else []:
        key, value, headers = json.loads(line)
        one = decode(bytes.fromhex(key), bytes.fromhex(value), [(name, bytes.fromhex(text)) for name, text in headers])
        before = found.get((one.producer, one.seq))
        assert before in (None, value), f"two contents of {one.producer} {one.seq}"
        found[one.producer, one.seq] = value
        if before is None and isinstance(one.event, ev.Metrics):
            steps += [step for series in one.event.series for step in series.steps]
    return steps


def verdict(home: Path, sent: Path, least: int, most: int) -> str:
    """Ship what is left and say what is wrong; empty when every point is there, once, in order."""
    try:
        ship(home, sent)
        steps = steps_in(sent)
    except (OSError, AssertionError) as error:
        return repr(error)
    if steps != list(range(len(steps))) or not least <= len(steps) <= most:
        return f"{least} emits returned, {len(steps)} points came, the last {steps[-1:]}"
    # A folder that was not ready when its owner died holds nothing yet, and says so by its name.
    files = [str(path) for path in home.rglob("*") if path.is_file() and ".new-" not in str(path)]
    return f"left behind: {files}" if files else ""


def kill_owners(folder: Path) -> list[str]:
    """Kill whoever writes a journal at each of its steps; return what was wrong."""
    wrong = []
    for number in itertools.count(1):
        home, sent, told = folder / f"owner{number}", folder / f"sent{number}", mmap.mmap(-1, COUNT.size)
        home.mkdir()
        os.environ["GATEWAY_JOURNAL_DIR"] = str(home)
        is_killed = in_child(number, partial(write_journal, told, is_half_sent=False, sent=sent), make_steps)
        (emitted,) = COUNT.unpack_from(told)
        wrong.append(verdict(home, sent, emitted, emitted + 1 if is_killed else emitted))
        if not is_killed:
            break
    return wrong


def kill_adopters(folder: Path) -> list[str]:
    """Kill whoever ships a journal that was left at each of its steps; return what was wrong."""
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
        wrong.append(verdict(home, sent, POINTS, POINTS))
        if not is_killed:
            break
    return wrong


if __name__ == "__main__":
    segments.SIZES = (4_096, 8_192, 12_288, 16_384)
    wrong = {"owner": kill_owners, "adopter": kill_adopters}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps({"deaths": len(wrong) - 1, "wrong": {n: one for n, one in enumerate(wrong, 1) if one}}))
