"""A real delivery to `wandb-live`, killed at any moment; then every line of every run is counted at the server."""

from __future__ import annotations

import asyncio
import functools
import random
import signal
from collections.abc import Iterator, Sequence

import psutil
import pytest

from consumers.trackers.wandb.live.tracker import WandbLiveTracker
from schemas.facts import Facts
from schemas.mapping.names import wandb_id
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.delivery_process import Delivery, Place, Watch, delivery, held, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.log_author import write
from tests.support.process_tree import until
from tests.support.sample_sweeps import emitted, sweep
from tests.support.wandb_points import points_at
from tests.support.wandb_server import WandbServer, wandb_server

NAME = "wandb-live"
KEY = "0123456789" * 4


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as one:
        yield one


def settings(server: WandbServer) -> dict[str, str]:
    # A bound of 30 s: a run in which a process was killed three times waits 5 s, not 20.
    return {"GATEWAY_WANDB_URL": server.url, "GATEWAY_WANDB_API_KEY": KEY, "GATEWAY_TRACKER_CALL_S": "30"}


def counted(server: WandbServer, envelopes: Sequence[Envelope]) -> Facts:
    """Return the totals of the lines that the server has; a line that is there twice counts twice."""
    facts = Facts()
    for run_id in sorted({envelope.run_id for envelope in envelopes}):
        run = server.stored[wandb_id(run_id)]
        params = [key for key in run.config if key != "_wandb" and not key.startswith("gw.")]
        facts.add_run(run_id, points_at(server, run.name), len(params))
    return facts


def assert_all_once(server: WandbServer, envelopes: Sequence[Envelope]) -> None:
    assert counted(server, envelopes) == emitted(envelopes)
    for run in server.stored.values():
        assert (run.changed_lines, run.gaps, run.state in ("finished", "failed")) == (0, 0, True)
        assert [row["_step"] for row in run.rows()] == list(range(len(run.lines)))


def cores_of(one: Delivery) -> list[psutil.Process]:
    children = psutil.Process(one.process.pid).children(recursive=True)
    return [child for child in children if child.name() == "wandb-core"]


def has_received(server: WandbServer, requests: int) -> bool:
    return sum(server.posts.values()) >= requests


def until_ended(cores: list[psutil.Process]) -> None:
    assert len(cores) == 1
    until(lambda: not any(core.is_running() for core in cores), "wandb-core ended too")


async def test_killed_at_any_moment_nothing_is_missing_and_nothing_is_there_twice(
    place: Place, server: WandbServer
) -> None:
    everything = [*sweep(6, envelopes=20), *edge_case_envelopes("odd")]
    dice, part = random.Random(7), len(everything) // 3 + 1
    for first in range(0, len(everything), part):
        await write(place.kafka, place.topic, everything[first : first + part])
        server.fail(dice.choice(["file_stream", "UpsertBucket", "GatewayRun"]), 2, cut="after")
        goal = sum(server.posts.values()) + dice.randint(1, 5)
        running = Delivery(place, NAME, settings(server))
        await asyncio.to_thread(running.until, functools.partial(has_received, server, goal), f"{goal} requests")
        cores = cores_of(running)
        running.kill(signal.SIGKILL)
        until_ended(cores)

    server.heal()
    with delivery(place, NAME, settings(server)) as running:
        await until_caught_up(place, running, NAME)
        assert KEY not in running.text()

    assert_all_once(server, everything)
    reader = WandbLiveTracker(url=server.url, api_key=KEY)
    reader.open(Settings())
    assert await held(place, reader) == emitted(everything)


async def test_killed_while_a_request_is_on_its_way_its_rows_take_their_own_lines(
    place: Place, server: WandbServer
) -> None:
    everything = sweep(1, envelopes=20)
    await write(place.kafka, place.topic, everything)
    server.fail("file_stream", delay_s=4.0)
    first = Delivery(place, NAME, settings(server))
    first.until(lambda: len(server.met) == 1, "a request is on its way")
    first.kill(signal.SIGKILL)

    with delivery(place, NAME, settings(server)) as second:
        await until_caught_up(place, second, NAME)
    until(lambda: server.done == 1, "the late request took effect")

    assert_all_once(server, everything)


async def test_a_server_that_stops_and_starts_again_gets_everything(place: Place, server: WandbServer) -> None:
    first, second = sweep(4, envelopes=5), sweep(4, envelopes=5)
    with delivery(place, NAME, settings(server)) as running:
        await write(place.kafka, place.topic, first)
        await until_caught_up(place, running, NAME)
        server.stop()
        await write(place.kafka, place.topic, second)
        async with Watch(place, NAME) as watch:

            async def waits() -> bool:
                return await watch.status(second[0].run_id) == "waiting"

            await watch.until(waits, running, "a run that waits")
        server.start()
        await until_caught_up(place, running, NAME)

    assert_all_once(server, [*first, *second])


async def test_sigterm_ends_it_and_wandb_core(place: Place, server: WandbServer) -> None:
    await write(place.kafka, place.topic, sweep(4, envelopes=5))
    with delivery(place, NAME, settings(server)) as running:
        await until_caught_up(place, running, NAME)
        cores = cores_of(running)

        assert running.kill(signal.SIGTERM) == 0
    until_ended(cores)
