"""Runs whose records the log has lost reach trackers whole all the same: from PostgreSQL, then from the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.log import LogReader
from schemas.wire import Batch
from tests.delivery_process import Place, delivery, until_caught_up
from tests.gateway_command import gateway_with
from tests.log_writing import Author, write
from tests.materialiser_process import Materialiser, until_folded
from tests.odd_runs import odd_batches
from tests.shortened_log import shorten


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path) -> Place:
    return Place(kafka, topic, database, tmp_path)


@pytest.fixture
def materialiser(place: Place) -> Iterator[Materialiser]:
    one = Materialiser(place.folder, place.variables()).until_ready()
    yield one
    one.kill()


def training(run_id: str, *, records: int = 12) -> list[Batch]:
    """A run of two series, told in so many records between its start and its end."""
    author = Author(run_id)
    middle = [author.metrics(f"loss{i % 2}", [i + 0.1, float("nan")], first_step=2 * i) for i in range(records)]
    first = author.batch  # numbers follow the order of writing
    del first
    return [*middle]


async def test_a_new_tracker_gets_the_beginning_of_a_run_that_the_log_has_lost(
    place: Place, materialiser: Materialiser
) -> None:
    author = Author("r1")
    await write(place.kafka, place.topic, [author.start(), author.metrics("loss", [1.0, 2.0])])
    await until_folded(place.database, place.topic, 2)
    await shorten(place.kafka, place.topic)
    await write(place.kafka, place.topic, [author.metrics("loss", [3.0], first_step=2), author.finish()])
    await until_folded(place.database, place.topic, 4)
    variables = place.variables() | {"GATEWAY_PARQUET_DIR": str(place.folder / "parquet")}
    with delivery(place, "parquet", variables) as running:
        await until_caught_up(place, running, "parquet")
        done = await asyncio.to_thread(gateway_with, variables, "verify", "--to", "parquet", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
