"""
A file tracker, killed before the n-th file-system call of its deletes and renames.

`python -m tests.faults.edit_crashes wandb FOLDER EVERY` tries every n, or every seventh for EVERY = 7, until there
are no more steps, each in a new child that dies by SIGKILL. Then the same envelopes are delivered again with the last
checkpoint. In the same call they must leave the same bytes as a process that was never killed; split into other calls,
the same run. Prints JSON: the number of the last step, and the errors by number of the step.
"""

from __future__ import annotations

import builtins
import io
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import State, Tracker
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.checks import assert_read_back, deliver
from consumers.trackers.testing.runs import RunAuthor, edited_run
from consumers.trackers.wandb.tracker import WandbTracker
from schemas.errors import TrackingError
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.faults.crash_child import Deadly, in_child

RUN = "run-1"
CALLS = ("open", "close", "rename", "replace", "unlink", "rmdir", "mkdir", "write", "ftruncate")
KINDS: Mapping[str, Callable[..., Tracker]] = {
    "wandb": WandbTracker,
    "tensorboard": TensorboardTracker,
    "parquet": ParquetTracker,
}
BEFORE = 8  # envelopes delivered, with a checkpoint, before the call that is killed


def make_steps(deadly: Deadly) -> None:
    """Make every call that changes files a step."""
    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    builtins.open = io.open = deadly(open)
    pq.write_table = deadly(pq.write_table)
    # Writes through a file object: a part of the data may be on the disk.
    Path.write_bytes = deadly(Path.write_bytes)  # type: ignore[method-assign]


def made(kind: str, folder: Path) -> Tracker:
    """Return an opened tracker that writes to this folder."""
    tracker = KINDS[kind](folder=str(folder))
    tracker.open(Settings())
    return tracker


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that readers of a folder see, without plans and pending files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("_") and path.parent.name != "_edits"
    }


def kill_everywhere(kind: str, folder: Path, envelopes: Sequence[Envelope], every: int) -> dict[str, Any]:
    """Kill the second call at each of its steps, or every few; return their number, and the errors by step."""
    start, whole = folder / "start", folder / "whole"
    state: State = deliver(made(kind, start), RUN, envelopes[:BEFORE], {})
    shutil.copytree(start, whole)
    end = deliver(made(kind, whole), RUN, envelopes[BEFORE:], state)
    wrong: dict[int, str] = {}
    for number in itertools.count(1, every):
        place, other = folder / str(number), folder / f"{number} cut"
        shutil.copytree(start, place)
        if not in_child(number, partial(deliver, made(kind, place), RUN, envelopes[BEFORE:], state), make_steps):
            return {"deaths": number - 1, "wrong": wrong}
        shutil.copytree(place, other)
        try:
            again = deliver(made(kind, place), RUN, envelopes[BEFORE:], state)
            assert (again, files(place)) == (end, files(whole)), "not the same bytes"
            cut = deliver(made(kind, other), RUN, envelopes[BEFORE:], state, size=1 + number % 6)
            assert files(other).keys() == files(whole).keys(), "other files"
            if not end.get("deleted"):
                assert_read_back(made(kind, other), RUN, cut, envelopes)
        except (AssertionError, OSError, TrackingError) as error:  # reported; the next step follows
            wrong[number] = repr(error)[:500]
        shutil.rmtree(place)
        shutil.rmtree(other)
    raise AssertionError("endless")


if __name__ == "__main__":
    edited = edited_run(RUN)
    gone = [*edited[:12], (author := RunAuthor(RUN, "p9")).delete("run"), author.metrics("loss", [1.0])]
    name, where, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    found = {
        what: kill_everywhere(name, where / what, envelopes, step)
        for what, envelopes in (("edits", edited), ("delete", gone))
    }
    sys.stdout.write(json.dumps(found))
