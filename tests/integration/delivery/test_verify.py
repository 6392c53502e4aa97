"""`gateway verify` with real services: equal, different, not delivered yet, not readable."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.delivery_process import Place, delivery, progress, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes, points_of
from tests.support.gateway_command import gateway_with
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until_folded
from tests.support.mlflow_service import MlflowServer

FAILED_RUN, ODD_RUN = "second", "odd 😀/run"


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path, mlflow_server: MlflowServer) -> Place:
    return Place(kafka, topic, database, tmp_path, mlflow_server.url)


async def verify(place: Place, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(gateway_with, place.variables() | variables, "verify", *arguments)


async def test_equal_places_are_verified_and_damage_is_named(place: Place) -> None:
    author = Author(FAILED_RUN)
    second = [author.start(group="sweep"), author.metrics("loss", [3.0, 2.0, 1.0]), author.finish()]
    envelopes = [*edge_case_envelopes(ODD_RUN), *second]
    await write(place.kafka, place.topic, envelopes)
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(envelopes))
        with delivery(place, "wandb"), delivery(place, "mlflow"):
            waited = await verify(place, "--wait", "60", "--json")
    assert waited.returncode == 0, waited.stdout + waited.stderr
    facts: dict[str, Any] = json.loads(waited.stdout)
    assert facts["differences"] == []
    assert facts["places"]["postgresql"] == facts["places"]["wandb"]
    assert (facts["trackers"]["mlflow"]["different"], facts["proved"], facts["unproved"]) == (0, True, [])
    assert facts["places"]["postgresql"] | {"checksum": ""} == {
        "runs": 2, "points": len(points_of(envelopes)), "params": 3, "checksum": "",
    }  # fmt: skip

    # Kafka is not needed to compare, but it may hold what no place has.
    one = await verify(place, "--run", FAILED_RUN, "--to", "wandb", GATEWAY_KAFKA="127.0.0.1:1")
    assert (one.returncode, "Every place holds the same." in one.stdout) == (3, False)
    assert "Kafka did not answer" in one.stdout
    unknown = await verify(place, "--run", "nope", "--to", "wandb")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no run has the id 'nope'" in unknown.stderr

    state = (await progress(place, "wandb"))[FAILED_RUN].state
    file = place.folder / "wandb" / state["file"]
    os.truncate(file, 100)
    damaged = await verify(place, "--to", "wandb", "--json")
    assert damaged.returncode == 1
    (difference,) = json.loads(damaged.stdout)["differences"]
    assert (difference["run_id"], difference["what"], difference["found"]) == (FAILED_RUN, "run", "missing")
    assert str(file) in difference["reason"]

    unreachable = await verify(place, "--to", "mlflow", "--json", GATEWAY_MLFLOW_URL="http://127.0.0.1:1")
    assert unreachable.returncode == 2
    assert unreachable.stderr.splitlines()[-1].startswith("gateway: MLflow at http://127.0.0.1:1"), unreachable.stderr


async def test_what_is_not_delivered_yet_is_a_difference(place: Place) -> None:
    author = Author("run-1")
    await write(place.kafka, place.topic, [author.start(), author.metrics("loss", [1.0])])
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, 2)
        found = await verify(place, "--to", "wandb", "--wait", "0.2")
        with delivery(place, "wandb") as running:
            await until_caught_up(place, running, "wandb")
            after = await verify(place, "--to", "wandb", "--wait", "60")

    assert found.returncode == 1
    assert "nothing of it was delivered yet" in found.stdout
    assert "not all of the log is delivered yet" in found.stderr
    assert after.returncode == 0, after.stdout
