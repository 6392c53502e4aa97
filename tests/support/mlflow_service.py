"""
A real MLflow server for tests, with its own SQLite database and folder; tests stop it and start it again.

It runs the command of the stack in a fork of a process that has imported MLflow's server (python_process.py): that
takes 3 s of a core, and the tests start dozens of servers. The tests of the stack start it as the stack does.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gateway.local.command import Command
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import mlflow_server
from gateway.local.supervision.process import end, spawn, wait_until
from tests.support.python_process import PythonProcess
from tests.support.server_data import fill_mlflow, keep_mlflow

START_TIMEOUT_S = 150


class MlflowServer:
    """A server that keeps its address when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        self._child: Any = None  # a Popen, or a PythonProcess, which has its methods
        self.url = f"http://{HOST}:{self._port}"

    @property
    def database(self) -> Path:
        """Path of its SQLite database."""
        return self._folder / "mlflow.db"

    def start(self) -> None:
        fill_mlflow(self._folder)
        self.launch()
        keep_mlflow(self._folder)

    def launch(self) -> None:
        """Start it on what its folder holds, and wait until it serves."""
        command = self.command(self._folder, self._port)
        with (self._folder / "mlflow.log").open("ab") as log:
            self._child = self.begin(command, log)
        ready = wait_until(self.serves, self._child, START_TIMEOUT_S)
        assert ready, (self._folder / "mlflow.log").read_text()

    def command(self, folder: Path, port: int) -> Command:
        return mlflow_server.prepare(folder, port=port)

    def begin(self, command: Command, log: IO[bytes]) -> subprocess.Popen[bytes] | PythonProcess:
        """Start the process."""
        module = command.argv.index("-m")  # before it are options for the interpreter, which a fork has already
        argv = [sys.executable, *command.argv[module:]]
        return PythonProcess(argv, env=os.environ | command.env, stdout=log, stderr=log, cwd=command.folder)

    def serves(self) -> bool:
        return mlflow_server.serves(HOST, self._port)

    def stop(self) -> None:
        if self._child is not None:
            end(self._child, timeout_s=5)
            self._child = None


@contextmanager
def running_mlflow(folder: Path) -> Iterator[MlflowServer]:
    """Yield a server that runs until the block ends."""
    server = MlflowServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


USER, PASSWORD, TOKEN = "admin", "s3cret /@:%#?", "t0ken-of-a-proxy"
_AUTHORIZATION = f"""
from flask import request
from mlflow.server.auth import authenticate_request_basic_auth
from werkzeug.datastructures import Authorization


def authenticate():
    if request.headers.get("Authorization") == "Bearer {TOKEN}":
        return Authorization("basic", {{"username": "{USER}", "password": ""}})
    return authenticate_request_basic_auth()
"""


class AuthenticatedServer(MlflowServer):
    """A server that requires user and password or a token, as `mlflow server --app-name basic-auth` does."""

    def command(self, folder: Path, port: int) -> Command:
        (folder / "token_or_password.py").write_text(_AUTHORIZATION)
        config = folder / "basic_auth.ini"
        config.write_text(
            "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///basic_auth.db\n"
            f"admin_username = {USER}\nauthorization_function = token_or_password:authenticate\n"
            "auth_cache_ttl_seconds = 600\n"  # the check of a password takes 0.2 s of CPU in each call
        )
        variables = {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONPATH": str(folder),
        }
        server = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", HOST]
        server += ["--port", str(port), "--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
        return Command([*server, "--artifacts-destination", "./artifacts"], variables, folder=folder)

    def begin(self, command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return spawn(command, log)

    def serves(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
            return connection.getresponse().status == 401
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
