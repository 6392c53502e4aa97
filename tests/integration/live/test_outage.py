"""The event stream over a broker that is killed and comes back."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.local.ports import HOST, free_ports
from gateway.local.supervision.process import end, spawn, wait_until
from tests.support import services
from tests.support.live_server import serving, settings_for, stream
from tests.support.log_author import Author
from tests.support.server_data import prepare_kafka


class Broker:
    """One broker that a test kills and starts again, on the same port with the same data."""

    def __init__(self, folder: Path) -> None:
        self._port, self._controller_port = free_ports(2)
        self._folder = folder
        self.address = f"{HOST}:{self._port}"
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. Call this in the main thread: the broker ends with it."""
        command = prepare_kafka(self._folder, port=self._port, controller_port=self._controller_port)
        with (self._folder / "kafka.log").open("ab") as log:
            self.child = spawn(command, log)

    def wait(self) -> None:
        """Return once it serves."""
        assert self.child is not None
        assert wait_until(lambda: services.answers(self.address), self.child, services.START_TIMEOUT_S)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()


@contextmanager
def own_broker(folder: Path) -> Iterator[Broker]:
    """Yield a broker for this test, and stop it afterwards."""
    broker = Broker(folder)
    broker.start()
    try:
        broker.wait()
        yield broker
    finally:
        if broker.child is not None:
            end(broker.child, timeout_s=10)


async def test_streams_outlive_the_broker_and_miss_nothing(database: str, tmp_path: Path) -> None:
    with own_broker(tmp_path / "kafka") as broker:
        await services.create_topic(broker.address, "log", partitions=2)
        async with serving(settings_for(broker.address, "log", database, tmp_path)) as live:
            author = Author("run")
            async with stream(live, run="run") as frames:
                await live.publish_unfolded([author.start(), author.metrics("loss", [1.0])])
                before = await frames.take(2)
                await asyncio.to_thread(broker.kill)

                health = await live.get("/healthz")
                assert (health.status_code, list(health.json()["missing"])) == (503, ["kafka"])
                assert (await live.get("/v1/status")).json()["lag"] is not None
                assert (await live.get("/v1/runs")).status_code == 200

                broker.start()
                await asyncio.to_thread(broker.wait)
                await live.publish_unfolded([author.metrics("loss", [2.0]), author.finish()])
                after = await frames.take(2)

    assert [event["seq"] for event in before + after] == [0, 1, 2, 3]
