"""
The web server around an application, that of ingest or that of a door: its socket, its limits, its start and its end.
"""

from __future__ import annotations

import asyncio
import logging
import re
import resource
import socket
from collections.abc import Callable
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.server.app import create_app
from gateway.server.ingest.bodies import Budget
from gateway.server.log_writer import LogWriter
from gateway.server.metrics import Metrics
from schemas.errors import BadSettings
from schemas.runtime import listener
from schemas.runtime.access.guard import require_token
from schemas.runtime.probes import Probes, serve_probes
from schemas.runtime.settings import Settings

STOP_TIMEOUT_S = 15  # for requests under way; longer than the wait for an acknowledgement
HEAD_TIMEOUT_S = 10.0  # from the first byte of a request, or from the connection, to the end of its headers
KEEP_ALIVE_S = 75  # longest pause between two requests of a client
MAX_HEAD = 32_768  # bytes of a request's line and headers
MAX_CONNECTIONS = 16_384
SPARE_FILES = 64  # of the process's limit, for everything but connections
BACKLOG = 2_048
READY_POLL_S = 0.05

log = logging.getLogger("gateway.server")


class Protocol(HttpToolsProtocol):
    """
    HTTP/1.1 with a deadline and a limit for the headers of a request; uvicorn itself waits for them forever.

    Its parser takes a third of the time of uvicorn's other one, which is in Python.
    """

    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = False
    _head = 0  # bytes of headers that have not ended yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline for the first request."""
        super().connection_made(transport)
        self._update_deadline()

    def data_received(self, data: bytes) -> None:
        """Process bytes; cancel or start the deadline."""
        if b"pgrade:" in data and (self._is_in_head or self._is_waiting()):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = re.sub(rb"(?<=\r\n)[Uu]pgrade:", b"Ignored:", head) + end + rest
        super().data_received(data)
        self._head = self._head + len(data) if self._is_in_head else 0
        if self._head > MAX_HEAD:
            self.send_400_response("The headers are too long.")
        self._update_deadline()

    def on_message_begin(self) -> None:
        """Note that the headers of a request begin."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """
        Note that they have ended.

        A server may ignore that a client offers another protocol (RFC 9110, 7.8), as Java's does with HTTP/2. The
        parser would take no body after such an offer, so `data_received` renames the header.
        """
        self._is_in_head = False
        if self.parser.should_upgrade():
            raise ValueError("the name of the header came in pieces")  # answered with 400
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _update_deadline(self) -> None:
        if not self._is_waiting():
            self._cancel_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Place(NamedTuple):
    """Where an application listens, and the beginning of the names of the settings that say so."""

    host: str
    port: int
    setting: str  # of <setting>_HOST and <setting>_PORT
    address: str  # as its own machine reaches it


class Server(uvicorn.Server):
    """A server of an application that writes to the log."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.metrics: Metrics = app.state.metrics
        self.writer: LogWriter = app.state.writer
        self.budget: Budget = app.state.budget
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                log_config=None,  # the process has configured logging
                log_level="error",  # a line for each request that is not HTTP would let anyone fill the disk
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
                limit_concurrency=_raise_connection_limit(),
                ssl_certfile=settings.ingest_cert,
                ssl_keyfile=settings.ingest_key,
            )
        )

    def probes(self) -> Probes:
        """Return what this process answers on /metrics, /healthz and /readyz."""

        def render() -> bytes:
            self.metrics.set_state(self.budget.held, is_connected=not self.writer.problem)
            return self.metrics.render()

        return Probes(render, unready=lambda: self.writer.problem and f"Kafka: {self.writer.problem}")


def _raise_connection_limit() -> int:
    """Raise the limit of open files as far as the machine allows; return how many connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MAX_CONNECTIONS + SPARE_FILES:
        soft = (
            MAX_CONNECTIONS + SPARE_FILES
            if hard == resource.RLIM_INFINITY
            else min(hard, MAX_CONNECTIONS + SPARE_FILES)
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(soft - SPARE_FILES, MAX_CONNECTIONS), 1)


def listen(place: Place) -> socket.socket:
    """Return a listening socket. Raises StackError naming the settings of its host and port."""
    return listener.listen(place.host, place.port, setting=place.setting, backlog=BACKLOG)


async def serve(settings: Settings) -> None:
    """Serve ingest until a signal, then answer the requests under way. Raises BadSettings and StackError."""
    await serve_app(settings, create_app, ingest_place(settings))


def ingest_place(settings: Settings) -> Place:
    """Return where ingest listens."""
    return Place(settings.ingest_host, settings.ingest_port, "GATEWAY_INGEST", settings.ingest)


async def serve_app(settings: Settings, create: Callable[[Settings], FastAPI], place: Place) -> None:
    """
    Serve an application until a signal, then answer the requests under way. Raises BadSettings and StackError.

    Its `state` has the `writer`, the `budget` and the `metrics`.
    """
    name = place.setting.removeprefix("GATEWAY_").lower()
    require_token(f"{name}_host", place.host, settings)
    with listen(place) as listening:
        server = _server(create, settings)
        async with serve_probes(settings, server.probes()):
            announcing = asyncio.create_task(_announce_ready(server.writer, settings, place.address))
            try:
                await server.serve(sockets=[listening])
            finally:
                announcing.cancel()


def _server(create: Callable[[Settings], FastAPI], settings: Settings) -> Server:
    try:
        server = Server(create(settings), settings)
        server.config.load()
    except OSError as error:  # ssl.SSLError is one
        raise BadSettings(
            f"ingest_cert {settings.ingest_cert} and ingest_key {settings.ingest_key} cannot be used ({error}): "
            "name PEM files that belong together"
        ) from error
    return server


async def _announce_ready(writer: LogWriter, settings: Settings, address: str) -> None:
    while writer.problem:  # noqa: ASYNC110 - twenty polls a second, only at the start
        await asyncio.sleep(READY_POLL_S)
    listener.report_ready(settings, address, log)
