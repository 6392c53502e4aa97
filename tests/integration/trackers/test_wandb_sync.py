"""Run files that the tracker `wandb` writes, uploaded by the real `wandb sync` to a server on loopback."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.trackers.protocol import State
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.translate import STEP_KEY
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.support.edge_case_runs import HOSTILE_RUN_ID, edge_case_envelopes, facts_of, points_of
from tests.support.log_author import Author
from tests.support.wandb_points import points_at
from tests.support.wandb_server import WandbServer, wandb_server

KEY = "0" * 40


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as one:
        yield one


@pytest.fixture
def tracker(tmp_path: Path) -> WandbTracker:
    tracker = WandbTracker()
    tracker.open(Settings(wandb_dir=tmp_path))
    return tracker


def sync(server: WandbServer, folder: Path, state: State, *options: str) -> None:
    environment = os.environ | {
        "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false", "HOME": str(folder),
    }  # fmt: skip
    file = folder / "wandb" / str(state["file"])
    command = [str(Path(sys.executable).parent / "wandb"), "sync", *options, str(file.parent)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def lines(server: WandbServer, name: str) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in server.history(name)]  # Go writes the keys in random order


def test_a_file_arrives_complete(tracker: WandbTracker, tmp_path: Path, server: WandbServer) -> None:
    envelopes = edge_case_envelopes(HOSTILE_RUN_ID)
    defined = ev.MetricDefined(time=0, name="loss", goal="min", x="epoch")
    begun = envelopes[0]._replace(seq=10**6, event=defined)
    state = tracker.deliver(HOSTILE_RUN_ID, [envelopes[0], begun, *envelopes[1:]], {})
    name = str(state["id"])

    sync(server, tmp_path, state)

    run = server.stored[name]
    config = {key: part["value"] for key, part in run.config.items()}
    assert facts_of("r", points_at(server, name), 0) == facts_of("r", points_of(envelopes), 0)
    assert [row["_step"] for row in run.rows()] == list(range(state["rows"]))
    assert (run.project, run.facts["displayName"], run.facts["group"]) == ("odd tag", "odd one", "sweep")
    assert (run.facts["notes"], len(run.facts["tags"])) == ("looks odd", 2)
    assert (config["lr"], config["gw.run_id"], config["gw.status"]) == (0.2, HOSTILE_RUN_ID, "failed")
    assert (run.state, run.exit_code, run.summary["gw/message"]) == ("failed", 1, "ValueError: odd")
    metrics = {metric.get("1") or metric.get("2"): metric for metric in config["_wandb"]["m"]}
    assert config["_wandb"]["m"][metrics["loss"]["5"] - 1]["1"] == "epoch"
    assert run.summary["loss.min"] == min(
        one.value for one in points_of(envelopes) if one.series == "loss" and math.isfinite(one.value)
    )


@pytest.mark.parametrize("options", [[], ["--include-synced"]])
def test_uploading_again_changes_nothing(
    tracker: WandbTracker, tmp_path: Path, server: WandbServer, options: list[str]
) -> None:
    state = tracker.deliver("run-1", edge_case_envelopes("run-1"), {})
    sync(server, tmp_path, state)
    before, config = lines(server, "run-1"), dict(server.stored["run-1"].config)

    sync(server, tmp_path, state, *options)

    run = server.stored["run-1"]
    assert lines(server, "run-1") == before
    assert (run.changed_lines, run.gaps, run.exit_code) == (0, 0, 1)
    assert {key: run.config[key] for key in run.config if key != "_wandb"} == {
        key: config[key] for key in config if key != "_wandb"
    }


def test_late_points_have_their_own_x(tracker: WandbTracker, tmp_path: Path, server: WandbServer) -> None:
    author = Author("late")
    envelopes: list[Envelope] = [author.start(), author.metrics("loss", [3.0, 2.0], first_step=10), author.finish()]
    state = tracker.deliver("late", envelopes, {})
    sync(server, tmp_path, state)
    late = author.metrics("loss", [9.0], first_step=4)

    sync(server, tmp_path, tracker.deliver("late", [late], state))

    run = server.stored["late"]
    declared: list[dict[str, Any]] = run.config["_wandb"]["value"]["m"]
    assert [(row[STEP_KEY], row["loss"]) for row in run.rows()] == [(10, 3.0), (11, 2.0), (4, 9.0)]
    assert [row["_step"] for row in run.rows()] == [0, 1, 2]
    assert {"1": STEP_KEY}.items() <= declared[0].items()
    assert any(metric.get("2") == "*" and metric.get("5") == 1 for metric in declared)  # "*" has the first metric as x
    assert (run.changed_lines, run.gaps) == (0, 0)


def test_an_upload_with_faults_arrives_complete(tracker: WandbTracker, tmp_path: Path, server: WandbServer) -> None:
    author = Author("run-1")
    params = ev.Params(time=author.now(), params={"lr": FloatValue(value=0.5)})
    envelopes = [author.start(), author.envelope(params), author.metrics("loss", [0.25] * 300), author.finish()]
    state = tracker.deliver("run-1", envelopes, {})
    server.fail("file_stream", cut="after")
    server.fail("file_stream", status=429, headers={"Retry-After": "1"})
    server.fail("UpsertBucket", cut="after")

    sync(server, tmp_path, state)

    run = server.stored["run-1"]
    assert len(run.rows()) == 300
    assert (run.changed_lines, run.gaps, run.exit_code) == (0, 0, 0)
