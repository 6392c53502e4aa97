"""
The web server around the application: its socket, its start and its end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from consumers.live.api.connections import Connections
from consumers.live.api.streams.sending import TRANSPORT
from consumers.live.app import create_app
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry
from schemas.runtime import listener
from schemas.runtime.access.guard import require_token
from schemas.runtime.probes import Probes, serve_probes
from schemas.runtime.settings import Settings

STOP_TIMEOUT_S = 2  # for requests in progress; open streams end at once
READY_POLL_S = 0.1
READY_AGAIN_S = 2.0  # between two checks of the services behind the API, for /readyz
WARN_AFTER_S = 1.0  # before a missing service is logged: most starts take less
BACKLOG = 1_024

log = logging.getLogger("consumers.live")


class Protocol(H11Protocol):
    """HTTP whose requests know their connection: a stream whose client does not read is ended there."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Pass the connection on, in the state that each request gets."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}


class Server(uvicorn.Server):
    """A server that ends its streams before it waits for its connections."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self.connections: Connections = app.state.connections
        self.metrics: MetricsRegistry = app.state.metrics
        self.counts: LiveMetrics = app.state.counts
        self.problem = "it is starting"
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # the process has configured logging already
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # anyone at this machine could name another address, such as a trusted proxy's
                http=Protocol,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )

    def probes(self) -> Probes:
        """Return the metrics and health probes of this process."""

        def render() -> bytes:
            subscribers = self.connections.subscribers
            self.counts.watching(len(subscribers), subscribers.overruns)
            return self.metrics.render()

        return Probes(render, unready=lambda: self.problem)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then stop like any server."""
        self.connections.close_streams()
        await super().shutdown(sockets)


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket on the settings' host and port. Raises StackError naming them."""
    return listener.listen(settings.live_host, settings.live_port, setting="GATEWAY_LIVE", backlog=BACKLOG)


async def serve(settings: Settings) -> None:
    """Serve until stopped by a signal. Raises the error of a service behind the API that waiting cannot heal."""
    require_token("live_host", settings.live_host, settings)
    with listen(settings) as listening:
        server = Server(settings)
        async with serve_probes(settings, server.probes()):
            watchers = [
                asyncio.create_task(_stop_when_failed(server)),
                asyncio.create_task(_announce_ready(server, settings)),
            ]
            try:
                await server.serve(sockets=[listening])
            finally:
                for watcher in watchers:
                    watcher.cancel()
    if server.connections.failure is not None:
        raise server.connections.failure


async def _stop_when_failed(server: Server) -> None:
    await server.connections.failed.wait()
    server.should_exit = True


async def _announce_ready(server: Server, settings: Settings) -> None:
    reported = ""
    started = time.monotonic()
    while missing := await server.connections.missing():
        now = server.problem = "; ".join(missing.values())
        if now != reported and time.monotonic() - started > WARN_AFTER_S:
            reported = now
            log.warning("%s: waiting for it", now)
        await asyncio.sleep(READY_POLL_S)
    server.problem = ""
    listener.report_ready(settings, settings.model_copy(update={"live_url": ""}).api, log)
    while settings.metrics_port:  # then /readyz is served, and must stay up to date
        await asyncio.sleep(READY_AGAIN_S)
        server.problem = "; ".join((await server.connections.missing()).values())
