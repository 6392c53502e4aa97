"""
The web server around the application: its socket, its bounds, its start and its end.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.server.app import create_app
from gateway.server.ingest.bodies import Budget
from gateway.server.log_writer import LogWriter
from gateway.server.metrics import Metrics
from schemas.errors import BadSettings
from schemas.runtime import listener
from schemas.runtime.probes import Probes, answering
from schemas.runtime.settings import Settings

STOP_TIMEOUT_S = 15  # for requests under way; longer than the wait for an acknowledgement
HEAD_TIMEOUT_S = 10.0  # from the first byte of a request, or from the connection, to the end of its headers
KEEP_ALIVE_S = 75  # between two requests of a client
MAX_HEAD = 32_768  # bytes of a request's line and headers
MAX_CONNECTIONS = 16_384
SPARE_FILES = 64  # of the process's limit, for everything but connections
BACKLOG = 2_048
READY_POLL_S = 0.05

log = logging.getLogger("gateway.server")


class Protocol(H11Protocol):
    """HTTP/1.1 that ends a connection whose headers do not come; uvicorn itself waits for them for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_waiting = self.cycle is None or self.cycle.response_complete
        if not is_waiting:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """The server of POST /v1/events."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self.metrics: Metrics = app.state.metrics
        self.writer: LogWriter = app.state.writer
        self.budget: Budget = app.state.budget
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                log_config=None,  # the process has said how to log
                log_level="error",  # a line for each request that is not HTTP would let strangers fill the disk
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
                limit_concurrency=_connections(),
                h11_max_incomplete_event_size=MAX_HEAD,
                ssl_certfile=settings.ingest_cert,
                ssl_keyfile=settings.ingest_key,
            )
        )

    def probes(self) -> Probes:
        """Return what this process answers whoever operates it."""

        def render() -> bytes:
            self.metrics.holding(self.budget.held, is_connected=not self.writer.problem)
            return self.metrics.render()

        return Probes(render, unready=lambda: self.writer.problem and f"Kafka: {self.writer.problem}")


def _connections() -> int:
    """Return how many connections this process can hold, having asked for as many as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MAX_CONNECTIONS + SPARE_FILES:
        soft = (
            MAX_CONNECTIONS + SPARE_FILES
            if hard == resource.RLIM_INFINITY
            else min(hard, MAX_CONNECTIONS + SPARE_FILES)
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(soft - SPARE_FILES, MAX_CONNECTIONS), 1)


def refuse_open_door(settings: Settings) -> None:
    """Raise BadSettings when anybody on the network could write: another address than loopback, and no token."""
    if settings.token.get_secret_value() or _is_loopback(settings.ingest_host):
        return
    raise BadSettings(
        f"ingest_host {settings.ingest_host} can be reached from other machines and there is no token: "
        "set GATEWAY_TOKEN, or listen on 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket on the settings' host and port. Raises StackError naming them."""
    return listener.listen(settings.ingest_host, settings.ingest_port, setting="GATEWAY_INGEST", backlog=BACKLOG)


async def serve(settings: Settings) -> None:
    """Serve until stopped by a signal; requests under way are answered first. Raises BadSettings and StackError."""
    refuse_open_door(settings)
    with listen(settings) as listening:
        server = _server(settings)
        async with answering(settings, server.probes()):
            telling = asyncio.create_task(_tell_ready(server.writer, settings))
            try:
                await server.serve(sockets=[listening])
            finally:
                telling.cancel()


def _server(settings: Settings) -> Server:
    try:
        server = Server(settings)
        server.config.load()
    except OSError as error:  # ssl.SSLError is one
        raise BadSettings(
            f"ingest_cert {settings.ingest_cert} and ingest_key {settings.ingest_key} cannot be used ({error}): "
            "name PEM files that belong together"
        ) from error
    return server


async def _tell_ready(writer: LogWriter, settings: Settings) -> None:
    while writer.problem:  # noqa: ASYNC110 - asked for twenty times a second, at the start only
        await asyncio.sleep(READY_POLL_S)
    listener.report_ready(settings, settings.ingest, log)
