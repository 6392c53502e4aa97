"""`gateway verify` reads live W&B runs back from the server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from schemas.mapping.names import wandb_id
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.edge_case_runs import HOSTILE_RUN_ID, edge_case_envelopes, points_of
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until_folded
from tests.support.wandb_server import wandb_server


async def test_verify_proves_live_runs_and_names_a_missing_row(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    place = Place(kafka, topic, database, tmp_path)
    author = Author("second")
    second = [author.start(), author.metrics("loss", [3.0, 2.0, 1.0]), author.finish()]
    envelopes = [*edge_case_envelopes(HOSTILE_RUN_ID), *second]
    await write(kafka, topic, envelopes)
    with wandb_server() as server, materialiser(tmp_path, place.variables()):
        variables = {"GATEWAY_WANDB_URL": server.url, "GATEWAY_WANDB_API_KEY": "0" * 40}
        await until_folded(database, topic, len(envelopes))
        with delivery(place, "wandb-live", variables) as running:
            await until_caught_up(place, running, "wandb-live")

        async def verify() -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "gateway.cli", "verify", "--to", "wandb-live", "--json"]
            environment = place.variables() | variables
            return await asyncio.to_thread(
                subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
            )

        whole = await verify()
        lines = server.stored[wandb_id("second")].lines
        del lines[max(lines)]
        short = await verify()

    assert (whole.returncode, json.loads(whole.stdout)["differences"]) == (0, []), whole.stdout + whole.stderr
    assert json.loads(whole.stdout)["places"]["wandb-live"]["points"] == len(points_of(envelopes))
    (difference,) = json.loads(short.stdout)["differences"]
    assert (difference["run_id"], difference["what"], difference["found"]) == ("second", "points", 2)
