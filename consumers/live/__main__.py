"""
`python -m consumers.live`: serve the API and the dashboard until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, a password): starting again will not help.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from types import FrameType

import uvicorn

from consumers.live.app import create_app
from consumers.live.services import Services
from schemas.errors import BadSettings, Refused, StackError, TrackingError
from schemas.settings import Settings

EXIT_REFUSED = 78  # EX_CONFIG of sysexits.h
STOP_TIMEOUT_S = 2  # for requests under way; open streams are ended at once
READY_POLL_S = 0.1
BACKLOG = 1_024


class _Server(uvicorn.Server):
    """A server that ends its streams before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.close_streams()
        await super().shutdown(sockets)


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket on the settings' host and port. Raises StackError naming them."""
    where = f"{settings.live_host}:{settings.live_port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.live_host, settings.live_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StackError(f"cannot listen on {where} ({error}): correct GATEWAY_LIVE_HOST") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"port {settings.live_port} on {settings.live_host} is in use by another program: "
                "end that program, or choose another port with GATEWAY_LIVE_PORT"
            ) from error
        raise StackError(
            f"cannot listen on {where} ({error}): correct GATEWAY_LIVE_HOST or GATEWAY_LIVE_PORT"
        ) from error
    return found


async def serve(settings: Settings) -> None:
    """Serve until stopped. Raises Refused when a part behind the API refuses for good."""
    with listen(settings) as listening:
        app = create_app(settings)
        services: Services = app.state.services
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=STOP_TIMEOUT_S, server_header=False
        )
        server = _Server(config, services)
        watchers = [
            asyncio.create_task(_stop_when_failed(server, services)),
            asyncio.create_task(_tell_ready(services, settings)),
        ]
        try:
            await server.serve(sockets=[listening])
        finally:
            for watcher in watchers:
                watcher.cancel()
    if services.failure is not None:
        raise services.failure


async def _stop_when_failed(server: _Server, services: Services) -> None:
    await services.failed.wait()
    server.should_exit = True


async def _tell_ready(services: Services, settings: Settings) -> None:
    told = ""
    while missing := await services.missing():
        if (now := "; ".join(missing.values())) != told:
            told = now
            _say(f"waiting: {now}")
        await asyncio.sleep(READY_POLL_S)
    _say(f"ready on http://{settings.live_host}:{settings.live_port}")
    if settings.ready_file is not None:
        settings.ready_file.write_text("ready\n", encoding="utf-8")


def _say(line: str) -> None:
    print(f"gateway live: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the log of this process


def main() -> int:
    """Run the process and return its exit code."""
    try:
        asyncio.run(serve(Settings.load()))
    except (BadSettings, Refused) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_REFUSED
    except TrackingError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    # uvicorn handles signals while it serves and raises them again after its orderly stop: that one, and one that
    # comes before it serves, arrive here.
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    sys.exit(main())
