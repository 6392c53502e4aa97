"""
A tracker that appends lines to files, and can be told to fail: installed by tests as a stranger's distribution.

It cannot make a repeated call harmless by itself: a line is appended each time. Only `in_doubt` keeps it right, so a
range that is given again without that word shows as lines that are there twice.
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

FOLDER = "LINES_FOLDER"  # environment variable: where it writes, and where orders lie
ROOT = Path(__file__).parents[2]


class LinesTracker:
    """One file a run, one line an envelope."""

    name = "lines"
    cannot_hold: Sequence[str] = ("anything but the numbers of batches and their points",)
    call_bytes = int(os.environ.get("LINES_CALL_BYTES", "4194304"))

    def open(self, settings: Settings) -> None:
        self._folder = Path(os.environ[FOLDER])

    def close(self) -> None:
        pass

    def read_back(self, run_id: str, state: State) -> ReadBack:
        print("read back")  # noqa: T201  # as a plug-in may: it must not end up among facts
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
                    out.write(f"{line}\n".encode())  # one write: there, or not there
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
        re.fullmatch("(a+)+b", "a" * 64)  # for years, and no other thread runs
    if how == "exit":
        os._exit(3)


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def line_of(envelope: Envelope) -> str:
    """Return what an envelope leaves in the file."""
    points = sum(len(one.values) for one in envelope.event.series) if isinstance(envelope.event, ev.Metrics) else 0
    return f"{envelope.producer} {envelope.seq} {points}"


def read_behaviour(folder: Path) -> dict[str, Any]:
    """Return how the tracker is to behave."""
    try:
        found: dict[str, Any] = json.loads((folder / "order").read_text())
    except FileNotFoundError:
        return {}
    return found


class Lines:
    """The tracker from the side of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lines"
        self.folder.mkdir()
        self._site = folder / "lines-site"
        info = self._site / "lines_tracker-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines-tracker\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[gateway.trackers]\nlines = tests.support.lines_tracker:LinesTracker\n")

    def variables(self) -> dict[str, str]:
        """Return what a process needs to find it."""
        return {"PYTHONPATH": os.pathsep.join([str(self._site), str(ROOT)]), FOLDER: str(self.folder)}

    def behave(self, **order: object) -> None:
        """Tell it how to behave from the next call on; without words: well."""
        new = self.folder / "order.new"
        new.write_text(json.dumps(order))
        new.replace(self.folder / "order")

    def wake(self) -> None:
        """Let calls that hang go on."""
        (self.folder / "wake").touch()

    def calls(self, run_id: str | None = None) -> int:
        """Return how often it was called."""
        return sum(run_id in (None, line.split()[0]) for line in _whole_lines(self.folder / "calls"))

    def redelivered(self) -> int:
        """Return of how many envelopes it was told that it may have them."""
        return sum(int(line.split()[2]) for line in _whole_lines(self.folder / "calls"))

    def held(self) -> dict[str, Counter[str]]:
        """Return the lines of each run, each with how often it is there."""
        return {path.stem: Counter(_whole_lines(path)) for path in self.folder.glob("*.lines")}

    def is_ordered(self) -> bool:
        """Tell whether the lines of each run and producer are in order."""
        for path in self.folder.glob("*.lines"):
            seqs: dict[str, list[int]] = {}
            for line in _whole_lines(path):
                producer, seq, _ = line.split()
                seqs.setdefault(producer, []).append(int(seq))
            if any(found != sorted(found) for found in seqs.values()):
                return False
        return True


def wanted(envelopes: Sequence[Envelope]) -> dict[str, Counter[str]]:
    """Return what the tracker has to hold: each envelope once."""
    found: dict[str, Counter[str]] = {}
    for envelope in envelopes:
        found.setdefault(envelope.run_id, Counter())[line_of(envelope)] += 1
    return found
