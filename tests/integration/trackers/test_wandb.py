from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.trackers.protocol import State
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.translate import STEP_KEY
from schemas import events as ev
from schemas.errors import TrackerRefused
from schemas.facts import Facts
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.edge_case_runs import HOSTILE_RUN_ID, edge_case_envelopes, facts_of, points_of
from tests.support.log_author import Author
from tests.support.wandb_points import points_at
from tests.support.wandb_server import WandbServer, wandb_server


@pytest.fixture
def tracker(tmp_path: Path) -> WandbTracker:
    return opened(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with wandb_server() as uploads:
        yield uploads


def opened(folder: Path) -> WandbTracker:
    tracker = WandbTracker()
    tracker.open(Settings(wandb_dir=folder))
    return tracker


def deliver_all(tracker: WandbTracker, run_id: str, envelopes: list[Envelope], size: int) -> State:
    state: State = {}
    for first in range(0, len(envelopes), size):
        state = through_json(tracker.deliver(run_id, envelopes[first : first + size], state))
    return state


def through_json(state: State) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(json.dumps(dict(state), allow_nan=False, sort_keys=True))
    return kept


def file_of(folder: Path, state: State) -> Path:
    return folder / "wandb" / str(state["file"])


def facts_in_file(tracker: WandbTracker, run_id: str, state: State) -> Facts:
    run = tracker.read_back(run_id, state)
    return facts_of(run_id, run.points, len(run.params))


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_every_edge_case_point_is_read_back(tracker: WandbTracker, size: int) -> None:
    envelopes = edge_case_envelopes(HOSTILE_RUN_ID)

    state = deliver_all(tracker, HOSTILE_RUN_ID, envelopes, size)

    assert facts_in_file(tracker, HOSTILE_RUN_ID, state) == facts_of(HOSTILE_RUN_ID, points_of(envelopes), 3)


def test_status_times_and_parameters_are_read_back(tracker: WandbTracker) -> None:
    envelopes = edge_case_envelopes("run-1")

    run = tracker.read_back("run-1", deliver_all(tracker, "run-1", envelopes, 7))

    assert (run.status, run.started, run.ended) == ("failed", envelopes[0].event.time, envelopes[-1].event.time)
    assert run.params == {"lr": "0.2", "a[0]": "7", "gw.x": '"é"'}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.data())
def test_a_kill_at_any_byte_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    envelopes = edge_case_envelopes("run-1")
    whole, killed = opened(tmp_path / "whole"), opened(tmp_path / "killed")
    cut = data.draw(st.integers(0, len(envelopes) - 1), label="checkpointed events")
    expected = deliver_all(whole, "run-1", envelopes, 4)

    before = deliver_all(killed, "run-1", envelopes[:cut], 4)
    lost = through_json(killed.deliver("run-1", envelopes[cut:], before))  # its state is lost
    file = file_of(tmp_path / "killed", lost)
    os.truncate(
        file, data.draw(st.integers(before.get("size", 0), file.stat().st_size), label="bytes that were written")
    )
    state = before
    for first in range(cut, len(envelopes), 4):
        state = through_json(killed.deliver("run-1", envelopes[first : first + 4], state))

    assert facts_in_file(killed, "run-1", state) == facts_in_file(whole, "run-1", expected)


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    states = [deliver_all(opened(folder), "run-1", edge_case_envelopes("run-1"), 3) for folder in (one, other)]

    assert file_of(one, states[0]).read_bytes() == file_of(other, states[1]).read_bytes()


def test_points_after_the_end_are_kept_and_the_end_stays(tracker: WandbTracker) -> None:
    envelopes = edge_case_envelopes("run-1")
    late = Author("run-1", "late").metrics("loss", [1.0, 2.0], first_step=50)
    state = deliver_all(tracker, "run-1", envelopes, 10)

    state = through_json(tracker.deliver("run-1", [late], state))

    assert facts_in_file(tracker, "run-1", state) == facts_of("run-1", points_of([*envelopes, late]), 3)
    assert tracker.read_back("run-1", state).status == "failed"


def test_a_resumed_run_has_no_end(tracker: WandbTracker) -> None:
    envelopes = edge_case_envelopes("run-1")
    state = deliver_all(tracker, "run-1", envelopes, 10)

    resumed = Author("run-1", "p2")
    state = tracker.deliver("run-1", [resumed.envelope(ev.RunResumed(time=resumed.now(), attempt=2))], state)

    assert tracker.read_back("run-1", state).status == "running"


def test_a_file_that_is_gone_or_short_is_refused_with_its_name(tracker: WandbTracker, tmp_path: Path) -> None:
    author = Author("run-1")
    state = through_json(tracker.deliver("run-1", [author.start(), author.metrics("loss", [1.0])], {}))
    file = file_of(tmp_path, state)
    os.truncate(file, 20)
    with pytest.raises(TrackerRefused, match="is shorter than"):
        tracker.deliver("run-1", [author.metrics("loss", [2.0])], state)
    file.unlink()

    with pytest.raises(TrackerRefused, match=r"run-run-1\.wandb is gone"):
        tracker.deliver("run-1", [author.metrics("loss", [2.0])], state)


def test_damage_is_found_by_reading_back(tracker: WandbTracker, tmp_path: Path) -> None:
    state = deliver_all(tracker, "run-1", edge_case_envelopes("run-1"), 10)
    file = file_of(tmp_path, state)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(TrackerRefused, match="checksum does not match"):
        list(tracker.read_back("run-1", state).points)


def sync(server: WandbServer, folder: Path, *files: Path) -> None:
    environment = os.environ | {
        "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0" * 40, "WANDB_ERROR_REPORTING": "false", "HOME": str(folder),
    }  # fmt: skip
    command = [str(Path(sys.executable).parent / "wandb"), "sync", *(str(file.parent) for file in files)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Finished syncing" in done.stderr, done.stderr


def test_wandb_sync_uploads_every_point(tracker: WandbTracker, tmp_path: Path, server: WandbServer) -> None:
    envelopes = edge_case_envelopes(HOSTILE_RUN_ID)
    state = deliver_all(tracker, HOSTILE_RUN_ID, envelopes, 4)

    sync(server, tmp_path, file_of(tmp_path, state))

    name = str(state["id"])
    run: Mapping[str, Any] = server.runs[name]
    config = json.loads(run["config"])
    assert facts_of("r", points_at(server, name), 0) == facts_of("r", points_of(envelopes), 0)
    assert [row["_step"] for row in server.history(name)] == list(range(state["rows"]))
    assert (run["displayName"], run["project"], run["groupName"]) == ("odd one", "odd tag", "sweep")
    assert config["lr"] == {"value": 0.2}
    assert config["gw.run_id"] == {"value": HOSTILE_RUN_ID}
    assert server.exit_codes[name] == 1
    assert server.summaries[name]["falling"] == 2.0
    assert math.isnan(next(row["loss"] for row in server.history(name) if row[STEP_KEY] == 1 and "loss" in row))


def test_wandb_sync_uploads_late_points_the_next_time(
    tracker: WandbTracker, tmp_path: Path, server: WandbServer
) -> None:
    author = Author("late-run")
    envelopes = [author.start(), author.metrics("loss", [3.0, 2.0]), author.finish()]
    state = deliver_all(tracker, "late-run", envelopes, 3)
    sync(server, tmp_path, file_of(tmp_path, state))
    late = author.metrics("loss", [1.0], first_step=2)

    state = tracker.deliver("late-run", [late], state)
    sync(server, tmp_path, file_of(tmp_path, state))

    assert facts_of("r", points_at(server, "late-run"), 0) == facts_of("r", points_of([*envelopes, late]), 0)
