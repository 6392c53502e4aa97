"""Deliveries with a real broker, PostgreSQL and MLflow: killed, doubled, refused, disconnected, and then counted."""

from __future__ import annotations

import random
import signal
import time
import uuid
from pathlib import Path

import asyncpg
import pytest
from mlflow import MlflowClient

from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.protocol import Tracker
from consumers.trackers.wandb.tracker import WandbTracker
from schemas.facts import Facts
from schemas.runtime.settings import Settings
from schemas.wire import EncodedRecord, encode
from tests.support.delivery_process import Delivery, Place, Watch, delivery, held, progress, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.log_author import write, write_records
from tests.support.machine import allowed
from tests.support.mlflow_service import MlflowServer, running_mlflow
from tests.support.sample_sweeps import emitted, sweep


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path, mlflow_server: MlflowServer) -> Place:
    return Place(kafka, topic, database, tmp_path, mlflow_server.url)


def reader_of(place: Place, name: str) -> Tracker:
    tracker: Tracker = WandbTracker() if name == "wandb" else MlflowTracker()
    tracker.open(Settings(wandb_dir=place.folder, mlflow_url=place.mlflow_url))
    return tracker


@pytest.mark.parametrize(
    ("tracker", "runs", "envelopes"), [("wandb", 16, 40), pytest.param("mlflow", 8, 12, marks=pytest.mark.slow)]
)
async def test_killed_at_any_moment_nothing_is_missing_and_nothing_is_there_twice(
    place: Place, tracker: str, runs: int, envelopes: int
) -> None:
    everything = sweep(runs, envelopes=envelopes)
    half = len(everything) // 2
    await write(place.kafka, place.topic, everything[:half])
    dice = random.Random(7)
    async with Watch(place, tracker) as watch:
        for number in range(6):
            if number == 3:
                await write(place.kafka, place.topic, everything[half:])
            running = Delivery(place, tracker)
            goal = await watch.records() + dice.randint(1, half // 4)

            async def is_far_enough(goal: int = goal) -> bool:
                return await watch.records() >= goal or await watch.is_caught_up()

            await watch.until(is_far_enough, running, f"{goal} records")
            running.kill(signal.SIGKILL)

    with delivery(place, tracker) as running:
        await until_caught_up(place, running, tracker)

    assert await held(place, reader_of(place, tracker)) == emitted(everything)


async def test_a_duplicated_log_changes_nothing(place: Place) -> None:
    envelopes = [*sweep(3), *edge_case_envelopes(f"odd-{uuid.uuid4().hex}")]  # MLflow is shared with other tests
    await write(place.kafka, place.topic, envelopes)
    await write(place.kafka, place.topic, envelopes[::-1])
    await write(place.kafka, place.topic, envelopes)

    with delivery(place, "wandb") as wandb, delivery(place, "mlflow") as mlflow:
        await until_caught_up(place, wandb, "wandb")
        await until_caught_up(place, mlflow, "mlflow")

    assert await held(place, reader_of(place, "wandb")) == emitted(envelopes)
    assert await held(place, reader_of(place, "mlflow")) == emitted(envelopes, MlflowTracker.capabilities)
    refused = [run.ledgers["p1"].refused for run in (await progress(place, "wandb")).values()]
    assert sum(refused) == 2 * len(envelopes)


async def test_an_outage_of_mlflow_delays_no_other_tracker_and_is_caught_up(place: Place) -> None:
    first, second = sweep(4), sweep(4)
    with running_mlflow(place.folder / "own-mlflow") as server:
        place = place._replace(mlflow_url=server.url)
        with delivery(place, "wandb") as wandb, delivery(place, "mlflow") as mlflow:
            await write(place.kafka, place.topic, first)
            await until_caught_up(place, mlflow, "mlflow")
            server.stop()
            await write(place.kafka, place.topic, second)
            await until_caught_up(place, wandb, "wandb")
            async with Watch(place, "mlflow") as watch:

                async def waits() -> bool:
                    return await watch.status(second[0].run_id) == "waiting"

                await watch.until(waits, mlflow, "a run that waits")
                assert not await watch.is_caught_up()
            server.start()
            await until_caught_up(place, mlflow, "mlflow")

        assert await held(place, reader_of(place, "wandb")) == emitted([*first, *second])
        assert await held(place, reader_of(place, "mlflow")) == emitted([*first, *second])
        assert [run.status for run in (await progress(place, "mlflow")).values()] == ["delivering"] * 8


async def test_a_run_that_mlflow_refuses_is_parked_with_its_reason_and_the_others_continue(place: Place) -> None:
    envelopes = sweep(3)
    half = len(envelopes) // 2
    refused = envelopes[0].run_id
    with delivery(place, "mlflow") as running:
        await write(place.kafka, place.topic, envelopes[:half])
        await until_caught_up(place, running, "mlflow")
        MlflowClient(place.mlflow_url).delete_run((await progress(place, "mlflow"))[refused].state["run"])
        await write(place.kafka, place.topic, envelopes[half:])
        await until_caught_up(place, running, "mlflow")
    with delivery(place, "mlflow") as again:  # parked stays parked
        await until_caught_up(place, again, "mlflow")

    kept = await progress(place, "mlflow")
    others = [envelope for envelope in envelopes if envelope.run_id != refused]
    assert {run_id for run_id, run in kept.items() if run.status == "parked"} == {refused}
    assert "active" in kept[refused].error
    facts = Facts()
    for run_id in {envelope.run_id for envelope in others}:
        found = reader_of(place, "mlflow").read_back(run_id, kept[run_id].state)
        facts.add_run(run_id, found.points, len(found.params))
    assert facts == emitted(others)


async def test_sixty_four_runs_at_once(place: Place) -> None:
    envelopes = sweep(64, envelopes=3, points=10)
    with delivery(place, "wandb") as wandb, delivery(place, "mlflow") as mlflow:
        await write(place.kafka, place.topic, envelopes)
        await until_caught_up(place, wandb, "wandb")
        await until_caught_up(place, mlflow, "mlflow")

    assert await held(place, reader_of(place, "wandb")) == emitted(envelopes)
    assert await held(place, reader_of(place, "mlflow")) == emitted(envelopes)


async def test_records_that_are_no_events_are_skipped(place: Place) -> None:
    envelopes = sweep(1)
    records = [encode(envelope) for envelope in envelopes]
    broken = records[4]._replace(value=b"{}")
    await write_records(place.kafka, place.topic, [*records[:4], broken, EncodedRecord(b"x", b"y", ()), *records[5:]])

    with delivery(place, "wandb") as running:
        await until_caught_up(place, running, "wandb")

    (known,) = (await progress(place, "wandb")).values()
    assert (known.skipped, known.ledgers["p1"].lost) == (1, 1)
    assert await held(place, reader_of(place, "wandb")) == emitted([*envelopes[:4], *envelopes[5:]])


async def test_interrupted_connections_to_postgresql_change_nothing(place: Place) -> None:
    envelopes = sweep(8, envelopes=30)
    await write(place.kafka, place.topic, envelopes)
    admin = await asyncpg.connect(place.database)
    named = {"GATEWAY_POSTGRES": f"{place.database}?application_name=delivery"}
    try:
        with delivery(place, "wandb", named) as running:
            async with Watch(place, "wandb") as watch:
                for cut in (1, 40, 90):

                    async def is_far_enough(cut: int = cut) -> bool:
                        return await watch.records() >= cut

                    await watch.until(is_far_enough, running, f"{cut} records")
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'delivery'"
                    )
            await until_caught_up(place, running, "wandb")
    finally:
        await admin.close()

    assert await held(place, reader_of(place, "wandb")) == emitted(envelopes)


async def test_one_process_a_tracker_the_second_takes_over(place: Place) -> None:
    envelopes = sweep(4)
    half = len(envelopes) // 2
    with delivery(place, "wandb") as first:
        await write(place.kafka, place.topic, envelopes[:half])
        await until_caught_up(place, first, "wandb")
        second = Delivery(place, "wandb")
        second.until(lambda: "another process delivers to wandb" in second.text(), "it waits for the first")
        first.kill(signal.SIGKILL)
    second.until_ready()
    await write(place.kafka, place.topic, envelopes[half:])
    await until_caught_up(place, second, "wandb")
    second.kill(signal.SIGTERM)

    assert await held(place, reader_of(place, "wandb")) == emitted(envelopes)


async def test_sigterm_ends_it_within_five_seconds(place: Place) -> None:
    await write(place.kafka, place.topic, sweep(8, envelopes=40))
    with delivery(place, "mlflow") as running:
        started = time.monotonic()

        assert running.kill(signal.SIGTERM) == 0
        assert time.monotonic() - started < allowed(5.0)
