"""
A tracker that records each envelope that it is given as a line, appended and synced, and never leaves one out.

An envelope that comes again is a line more, and each line says whether the loop had told (`in_doubt`) that it may.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from consumers.trackers.protocol import ReadBack, State
from schemas.errors import TrackerRefused
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

FOLDER = "RECORDER_FOLDER"  # environment variable: where it writes, and where orders lie
ROOT = Path(__file__).parents[2]


class RecordingTracker:
    """One file of all runs; `refuse` (run ids) and `slow_s` (of each envelope) in its file `order` are obeyed."""

    cannot_hold: Sequence[str] = ()

    def __init__(self, *, name: str = "recorder") -> None:
        self.name = name

    def open(self, settings: Settings) -> None:
        self._folder = Path(os.environ[FOLDER])
        self._file = os.open(self._folder / "batches", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def close(self) -> None:
        pass

    def read_back(self, run_id: str, state: State) -> ReadBack:
        raise TrackerRefused("a recorder is recorded, not read back")

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        order = json.loads((self._folder / "order").read_text())
        if run_id in order["refuse"]:
            raise TrackerRefused("not this run")
        for number, envelope in enumerate(envelopes):
            time.sleep(order["slow_s"])
            line = f"{run_id} {envelope.producer} {envelope.seq} {int(number < in_doubt)}\n"
            os.write(self._file, line.encode())  # one write: there, or not there
            os.fsync(self._file)
        return {"batches": state.get("batches", 0) + len(envelopes)}


class Recorded(NamedTuple):
    """What a recorder said about all envelopes that it was given."""

    given: Counter[tuple[str, str, int]]
    unannounced: list[tuple[str, str, int]]  # came again, and `in_doubt` had not said so
    unordered: list[tuple[str, str, int]]  # came for the first time after a later one


class Recorder:
    """The tracker from the side of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "recorder"
        self.folder.mkdir()
        self.behave()
        self._site = folder / "recorder-site"
        info = self._site / "recording_tracker-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recorder-tracker\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[gateway.trackers]\nwitness = tests.support.recording_tracker:RecordingTracker\n"
            "sqlite = gateway_tracker_sqlite:SqliteTracker\n"
        )

    def variables(self) -> dict[str, str]:
        """Return what a process needs to find it, and the example plug-in."""
        path = [str(self._site), str(ROOT), str(ROOT / "examples/tracker-sqlite")]
        return {"PYTHONPATH": os.pathsep.join(path), FOLDER: str(self.folder)}

    def behave(self, *, refuse: Iterable[str] = (), slow_s: float = 0.0) -> None:
        """Tell it how to behave from the next call on."""
        new = self.folder / "order.new"
        new.write_text(json.dumps({"refuse": list(refuse), "slow_s": slow_s}))
        new.replace(self.folder / "order")

    def lines(self) -> int:
        """Return how many envelopes it was given, each as often as it was."""
        path = self.folder / "batches"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def recorded(self) -> Recorded:
        """Return what it says."""
        recorded = Recorded(Counter(), [], [])
        last: dict[tuple[str, str], int] = {}
        for line in (self.folder / "batches").read_text().splitlines():
            run, producer, seq, doubted = line.split()
            envelope = (run, producer, int(seq))
            if recorded.given[envelope]:
                recorded.unannounced.extend([envelope] if doubted == "0" else [])
            elif envelope[2] < last.get(envelope[:2], -1):
                recorded.unordered.append(envelope)
            last[envelope[:2]] = max(envelope[2], last.get(envelope[:2], -1))
            recorded.given[envelope] += 1
        return recorded


def identities(envelopes: Iterable[Envelope]) -> set[tuple[str, str, int]]:
    """Return what names each envelope."""
    return {(envelope.run_id, envelope.producer, envelope.seq) for envelope in envelopes}
