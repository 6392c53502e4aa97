"""
The web server around the application: its socket, its start, its end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import uvicorn

from consumers.live.api.connections import Services
from consumers.live.app import create_app
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry
from schemas.runtime import listener
from schemas.runtime.probes import Probes, answering
from schemas.runtime.settings import Settings

STOP_TIMEOUT_S = 2  # for requests under way; open streams are ended at once
READY_POLL_S = 0.1
READY_AGAIN_S = 2.0  # between two looks at the services behind the API, for /readyz
PATIENCE_S = 1.0  # before it is said that something is missing: most starts take less
BACKLOG = 1_024

log = logging.getLogger("consumers.live")


class Server(uvicorn.Server):
    """A server that ends its streams before it waits for its connections."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self.services: Services = app.state.services
        self.metrics: MetricsRegistry = app.state.metrics
        self.counts: LiveMetrics = app.state.counts
        self.problem = "it is starting"
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # the process has said how to log
                log_level="warning",
                access_log=False,
                server_header=False,
                http="h11",  # of the two that it may find: httptools is there or not as other packages wish
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )

    def probes(self) -> Probes:
        """Return what this process answers whoever operates it."""

        def render() -> bytes:
            subscribers = self.services.subscribers
            self.counts.watching(len(subscribers), subscribers.overruns)
            return self.metrics.render()

        return Probes(render, unready=lambda: self.problem)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then stop as any server."""
        self.services.close_streams()
        await super().shutdown(sockets)


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket on the settings' host and port. Raises StackError naming them."""
    return listener.listen(settings.live_host, settings.live_port, setting="GATEWAY_LIVE", backlog=BACKLOG)


async def serve(settings: Settings) -> None:
    """Serve until stopped by a signal. Raises what a part behind the API failed with for good."""
    with listen(settings) as listening:
        server = Server(settings)
        async with answering(settings, server.probes()):
            watchers = [
                asyncio.create_task(_stop_when_failed(server)),
                asyncio.create_task(_tell_ready(server, settings)),
            ]
            try:
                await server.serve(sockets=[listening])
            finally:
                for watcher in watchers:
                    watcher.cancel()
    if server.services.failure is not None:
        raise server.services.failure


async def _stop_when_failed(server: Server) -> None:
    await server.services.failed.wait()
    server.should_exit = True


async def _tell_ready(server: Server, settings: Settings) -> None:
    told = ""
    started = time.monotonic()
    while missing := await server.services.missing():
        now = server.problem = "; ".join(missing.values())
        if now != told and time.monotonic() - started > PATIENCE_S:
            told = now
            log.warning("%s: waiting for it", now)
        await asyncio.sleep(READY_POLL_S)
    host = f"[{settings.live_host}]" if ":" in settings.live_host else settings.live_host
    server.problem = ""
    listener.tell_ready(settings, f"http://{host}:{settings.live_port}", log)
    while settings.metrics_port:  # somebody may ask /readyz
        await asyncio.sleep(READY_AGAIN_S)
        server.problem = "; ".join((await server.services.missing()).values())
