"""
MLflow's own server as a child of the door, started by the first request that needs it: it takes 3 s and 260 MB.

It listens on a socket file that only this user can reach, so it needs no port and no token of its own. Its store is the
plug-in (gateway/dialects/mlflow), pointed at this door. It ends with the door, even by SIGKILL.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from time import monotonic

from gateway.local.command import Command
from gateway.local.servers import mlflow_server
from gateway.local.supervision.process import end, spawn
from schemas.runtime.settings import PREFIX, Settings

START_S = 90.0
POLL_S = 0.05
AGAIN_S = 30.0  # after a start that failed
STOP_S = 5.0
STDERR = 2  # of the door: its log
_NOT_INHERITED = (PREFIX, "MLFLOW_", "_MLFLOW_")

log = logging.getLogger("gateway.server")


class NotRunning(Exception):
    """MLflow's server does not run; the text says why."""


def is_installed() -> bool:
    """Tell whether MLflow is installed with its server: the extra `mlflow-server`."""
    return importlib.util.find_spec("flask") is not None and importlib.util.find_spec("mlflow.server") is not None


def store_command(settings: Settings, folder: Path, socket: Path) -> Command:
    """Return the command of a stock server over this door, which listens on a socket file."""
    url = settings.mlflow_door
    store = url.replace("http", "gateway", 1)  # gateway://, gateways://
    variables = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{url}/store/api/2.0/mlflow-artifacts/artifacts",
        "MLFLOW_TRACKING_TOKEN": settings.token.get_secret_value(),
        # The door is this server's parent: where it does not answer at once, trying again for minutes is of no use.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        # The certificate is for the name that clients use, not for the address by which the door reaches itself.
        "MLFLOW_TRACKING_INSECURE_TLS": "true" if url.startswith("https:") else "false",
    }
    return mlflow_server.command(variables, ["--uds", str(socket)], folder)


class UiServer:
    """A stock server that is started when it is needed, and again after it died."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._starting = asyncio.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._failed_at: float | None = None
        self._folder: Path | None = None

    async def socket(self) -> str:
        """Return the path of the socket on which it serves, having started it if need be. Raises NotRunning."""
        async with self._starting:
            if self._child is None or self._child.poll() is not None:
                await self._start()
            assert self._folder is not None
            return str(self._folder / "socket")

    async def close(self) -> None:
        """End it."""
        if self._child is not None:
            await asyncio.to_thread(end, self._child, timeout_s=STOP_S)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _start(self) -> None:
        if self._failed_at is not None and monotonic() < self._failed_at + AGAIN_S:
            raise NotRunning("MLflow's server did not start, see the log of the door")
        # Short, whatever the home is called: the path of a socket has at most 107 bytes (unix(7)).
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="gateway-mlflow-"))
        socket = self._folder / "socket"
        socket.unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        started = monotonic()
        self._child = spawn(store_command(self._settings, self._folder, socket), STDERR, environment=environment)
        while not await _serves(socket):
            if self._child.poll() is not None or monotonic() > started + START_S:
                self._failed_at = monotonic()
                await asyncio.to_thread(end, self._child, timeout_s=STOP_S)
                raise NotRunning("MLflow's server did not start, see the log of the door")
            await asyncio.sleep(POLL_S)
        self._failed_at = None
        log.info("MLflow's server behind the door serves after %.1f s", monotonic() - started)


async def _serves(path: Path) -> bool:
    """
    Tell whether a server accepts connections on a socket file.

    uvicorn creates the file when the application is loaded, and listens after it: a moment in which a connection is
    refused, and which a busy disk makes long.
    """
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
