"""Pickled, copied and sent to other processes, a run stays the same run."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

import cloudpickle  # type: ignore[import-untyped]  # it has no types
import pytest

import gateway
from gateway.client.journal.contents import JournalContents
from gateway.client.journal.folder import find_journals, journal_home
from gateway.client.run import registry
from gateway.client.run.run import Run
from tests.support.client_harness import ROOT

pytestmark = pytest.mark.usefixtures("own_process")


class Model:
    def __init__(self, run: Run) -> None:
        self.run, self.emit, self.step = run, run.emit, run.step("train")


def facts(folder: str) -> tuple[str, bool, int, int]:
    """Return run, owner, attempt and number of points of a journal."""
    contents = JournalContents(folder)
    return contents.meta["run_id"], contents.meta["is_owner"], contents.meta["attempt"], contents.records


def journals() -> list[tuple[str, bool, int, int]]:
    return sorted(facts(folder) for folder in find_journals(journal_home()))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_copy_in_the_same_process_is_the_run_itself(copied: Any) -> None:
    run = gateway.start_run()
    assert copied(run) is run
    run.finish()
    assert copied(run) is run


def test_what_holds_a_run_can_be_copied_and_pickled() -> None:
    model = Model(gateway.start_run())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), cloudpickle.loads(cloudpickle.dumps(model))):
        assert other.run is model.run
        other.emit("x", 1.0)
        with other.step:
            other.run.emit("y", 1.0)

    assert model.run.health()["emitted"] == 6


def test_a_run_is_found_while_another_thread_starts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run, others = gateway.start_run(), [gateway.start_run() for _ in range(3)]
    pickled, made = pickle.dumps(run), WeakSet([run, *others])
    added: list[Run] = []
    monkeypatch.setattr(registry, "_known", made)

    def meanwhile(frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code is WeakSet.__iter__.__code__ and len(added) < 2:
            added.append(copy_of(run))
            made.add(added[-1])

    sys.setprofile(meanwhile)
    try:
        found = pickle.loads(pickled)
    finally:
        sys.setprofile(None)

    assert found is run


def copy_of(run: Run) -> Run:
    other: Run = object.__new__(Run)
    other.id = f"{run.id}-2"
    return other


def test_a_report_and_a_histogram_can_be_pickled() -> None:
    run = gateway.start_run()
    histogram = gateway.histogram([1, 2, 3], bins=2)
    report = run.finish()

    assert repr(pickle.loads(pickle.dumps(report))) == repr(report)
    assert repr(pickle.loads(pickle.dumps(histogram))) == repr(histogram)


def work(run: Run, number: int) -> tuple[str, bool]:
    run.emit("x", number)
    gateway.emit("y", number)
    return run.id, run.is_owner


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_worker_that_gets_the_run_joins_it(method: str) -> None:
    with gateway.start_run(run_id="r", attempt=3) as run, multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(work, (run, 1))
        pool.close()
        pool.join()

    assert found == ("r", False)
    assert journals()[0] == ("r", False, 3, 2)


def test_a_run_in_a_file_that_is_read_later_is_not_current_and_opens_nothing(tmp_path: Path) -> None:
    run = gateway.start_run(run_id="r")
    (tmp_path / "model").write_bytes(pickle.dumps(run))
    run.finish()
    code = """
        import gateway, pickle, sys, threading
        run = pickle.load(open(sys.argv[1], "rb"))
        again = pickle.load(open(sys.argv[1], "rb"))
        print(run is again, run.id, run.is_owner, gateway.current_run(), threading.active_count())
        run.emit("late", 1.0)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "model")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["True", "r", "False", "None", "1"]
    assert journals() == [("r", False, 1, 1), ("r", True, 1, 0)]
