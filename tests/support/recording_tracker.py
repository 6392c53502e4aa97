"""
A tracker that records each envelope it receives as one line of a file, synced, and never skips one.

An envelope that is delivered again adds another line. Each line holds whether the call announced it as in doubt.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from consumers.trackers.protocol import ReadBack, State
from schemas.errors import TrackerRefused
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

FOLDER = "RECORDER_FOLDER"  # environment variable: the folder of its records and of its behaviour
ROOT = Path(__file__).parents[2]


class RecordingTracker:
    """
    One file for all runs.

    Its file `order` holds `refuse` (run ids), `slow_s` (a pause before each envelope) and `holds` (no call returns).
    """

    cannot_hold: Sequence[str] = ()

    def __init__(self, *, name: str = "recorder") -> None:
        self.name = name

    def open(self, settings: Settings) -> None:
        self._folder = Path(os.environ[FOLDER])
        self._file = os.open(self._folder / "batches", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def close(self) -> None:
        pass

    def read_back(self, run_id: str, state: State) -> ReadBack:
        raise TrackerRefused("the recorder has no points to read back")

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        order = self._order()
        if run_id in order["refuse"]:
            raise TrackerRefused("not this run")
        for number, envelope in enumerate(envelopes):
            time.sleep(order["slow_s"])
            line = f"{run_id} {envelope.producer} {envelope.seq} {int(number < in_doubt)}\n"
            os.write(self._file, line.encode())  # one write: there, or not there
            os.fsync(self._file)
        while self._order()["holds"]:
            time.sleep(0.01)
        return {"batches": state.get("batches", 0) + len(envelopes)}

    def _order(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "order").read_text())
        return found


class Recorded(NamedTuple):
    """What the tracker recorded of all envelopes it received."""

    given: Counter[tuple[str, str, int]]
    unannounced: list[tuple[str, str, int]]  # delivered again without being announced by `in_doubt`
    unordered: list[tuple[str, str, int]]  # delivered for the first time after a later one


class Recorder:
    """Controls the tracker from a test, and reads its records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "recorder"
        self.folder.mkdir()
        self.behave()
        self._site = folder / "recorder-site"
        info = self._site / "recording_tracker-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recorder-tracker\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[gateway.trackers]\nrecorder = tests.support.recording_tracker:RecordingTracker\n"
            "sqlite = gateway_tracker_sqlite:SqliteTracker\n"
        )

    def variables(self) -> dict[str, str]:
        """Return the environment in which a process finds it and the example plug-in."""
        path = [str(self._site), str(ROOT), str(ROOT / "examples/tracker-sqlite")]
        return {"PYTHONPATH": os.pathsep.join(path), FOLDER: str(self.folder)}

    def behave(self, *, refuse: Iterable[str] = (), slow_s: float = 0.0, holds: bool = False) -> None:
        """
        Set its behaviour from the next call on: runs to refuse, and a pause before each envelope in seconds.

        With `holds` no call returns until this is called again: a kill leaves each in doubt.
        """
        new = self.folder / "order.new"
        new.write_text(json.dumps({"refuse": list(refuse), "slow_s": slow_s, "holds": holds}))
        new.replace(self.folder / "order")

    def lines(self) -> int:
        """Return how many envelopes it received, repeats included."""
        path = self.folder / "batches"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def recorded(self) -> Recorded:
        """Return what it recorded."""
        recorded = Recorded(Counter(), [], [])
        last: dict[tuple[str, str], int] = {}
        for line in (self.folder / "batches").read_text().splitlines():
            run, producer, seq, in_doubt = line.split()
            envelope = (run, producer, int(seq))
            if recorded.given[envelope]:
                recorded.unannounced.extend([envelope] if in_doubt == "0" else [])
            elif envelope[2] < last.get(envelope[:2], -1):
                recorded.unordered.append(envelope)
            last[envelope[:2]] = max(envelope[2], last.get(envelope[:2], -1))
            recorded.given[envelope] += 1
        return recorded


def identities(envelopes: Iterable[Envelope]) -> set[tuple[str, str, int]]:
    """Return the identity of each envelope: run, producer and seq."""
    return {(envelope.run_id, envelope.producer, envelope.seq) for envelope in envelopes}
