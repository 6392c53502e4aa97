"""
A tracker that appends lines to files and fails on command; tests install it as a third-party plug-in.

It is not idempotent: each call appends its lines. Only `in_doubt` prevents duplicates, so a range that is delivered
again without being announced as in doubt shows as duplicate lines.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from consumers.trackers.protocol import ReadBack, State
from schemas import events as ev
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

FOLDER = "LINES_FOLDER"  # environment variable: the folder of its files and of its behaviour
ROOT = Path(__file__).parents[2]


class LinesTracker:
    """One file per run, one line per envelope."""

    name = "lines"
    cannot_hold: Sequence[str] = ("anything but the numbers of batches and their points",)
    call_bytes = int(os.environ.get("LINES_CALL_BYTES", "4194304"))

    def open(self, settings: Settings) -> None:
        self._folder = Path(os.environ[FOLDER])

    def close(self) -> None:
        pass

    def read_back(self, run_id: str, state: State) -> ReadBack:
        print("read back")  # noqa: T201  # as a plug-in may; the output must not mix with the facts of a command
        _fail(read_behaviour(self._folder).get("read_back", ""), {}, self._folder)
        raise TrackerRefused("lines are counted, not read back")

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        order = read_behaviour(self._folder)
        concerned = run_id in order.get("runs", [run_id])
        with (self._folder / "calls").open("a") as calls:
            calls.write(f"{run_id} {len(envelopes)} {in_doubt}\n")
        if concerned:
            _fail(order.get("before", ""), order, self._folder)
        path = self._folder / f"{run_id}.lines"
        there = set(_whole_lines(path)) if in_doubt else set()
        for number, envelope in enumerate(envelopes):
            line = line_of(envelope)
            if number >= in_doubt or line not in there:
                with path.open("ab", buffering=0) as out:
                    out.write(f"{line}\n".encode())  # one write: all of the line or nothing
            time.sleep(order.get("slow_s", 0))
        if concerned:
            _fail(order.get("after", ""), order, self._folder)
        return {"batches": state.get("batches", 0) + len(envelopes)}


def _fail(how: str, order: dict[str, Any], folder: Path) -> None:
    if how == "unavailable":
        raise TrackerUnavailable("lines is away: start it")
    if how == "limited":
        raise TrackerUnavailable("lines answers 429: slow down", retry_after_s=order["retry_after_s"])
    if how == "refused":
        raise TrackerRefused("lines does not want this run: ask why")
    if how == "hang":
        while not (folder / "wake").exists():
            time.sleep(0.02)
    if how == "spin":
        re.fullmatch("(a+)+b", "a" * 64)  # takes years, and no other thread runs meanwhile
    if how == "exit":
        os._exit(3)


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def line_of(envelope: Envelope) -> str:
    """Return the line of an envelope."""
    points = sum(len(one.values) for one in envelope.event.series) if isinstance(envelope.event, ev.Points) else 0
    return f"{envelope.producer} {envelope.seq} {points}"


def read_behaviour(folder: Path) -> dict[str, Any]:
    """Return the behaviour that the test has set."""
    try:
        found: dict[str, Any] = json.loads((folder / "order").read_text())
    except FileNotFoundError:
        return {}
    return found


class Lines:
    """Controls the tracker from a test, and reads its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lines"
        self.folder.mkdir()
        self._site = folder / "lines-site"
        info = self._site / "lines_tracker-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines-tracker\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[gateway.trackers]\nlines = tests.support.lines_tracker:LinesTracker\n")

    def variables(self) -> dict[str, str]:
        """Return the environment in which a process finds it."""
        return {"PYTHONPATH": os.pathsep.join([str(self._site), str(ROOT)]), FOLDER: str(self.folder)}

    def behave(self, **order: object) -> None:
        """Set its behaviour from the next call on; without arguments it works normally."""
        new = self.folder / "order.new"
        new.write_text(json.dumps(order))
        new.replace(self.folder / "order")

    def wake(self) -> None:
        """Let the calls that hang return."""
        (self.folder / "wake").touch()

    def calls(self, run_id: str | None = None) -> int:
        """Return the number of calls, of one run or of all."""
        return sum(run_id in (None, line.split()[0]) for line in _whole_lines(self.folder / "calls"))

    def redelivered(self) -> int:
        """Return how many envelopes were announced as in doubt."""
        return sum(int(line.split()[2]) for line in _whole_lines(self.folder / "calls"))

    def held(self) -> dict[str, Counter[str]]:
        """Return the lines of each run, each with its number of occurrences."""
        return {path.stem: Counter(_whole_lines(path)) for path in self.folder.glob("*.lines")}

    def is_ordered(self) -> bool:
        """Return whether the lines of each run and producer are in order."""
        for path in self.folder.glob("*.lines"):
            seqs: dict[str, list[int]] = {}
            for line in _whole_lines(path):
                producer, seq, _ = line.split()
                seqs.setdefault(producer, []).append(int(seq))
            if any(found != sorted(found) for found in seqs.values()):
                return False
        return True


def wanted(envelopes: Sequence[Envelope]) -> dict[str, Counter[str]]:
    """Return what the tracker must hold: each envelope once."""
    found: dict[str, Counter[str]] = {}
    for envelope in envelopes:
        found.setdefault(envelope.run_id, Counter())[line_of(envelope)] += 1
    return found
