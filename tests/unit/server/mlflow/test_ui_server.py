"""How MLflow's server behind the door is started."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.local.command import Command
from gateway.server.mlflow.forwarding import catch_all, ui_server
from gateway.server.mlflow.forwarding.proxy import Proxy
from gateway.server.mlflow.forwarding.ui_server import UiServer
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

LISTENS_LATE = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
time.sleep(0.5)
server.listen()
while True:
    server.accept()
"""


def variables(**settings: object) -> dict[str, str]:
    return ui_server.store_command(Settings(**settings), Path("/f"), Path("/f/socket")).env  # type: ignore[arg-type]


def test_its_store_and_its_artifacts_are_those_of_this_door() -> None:
    found = variables(mlflow_door_port=5999, token="hunter2")

    assert found["_MLFLOW_SERVER_FILE_STORE"] == found["_MLFLOW_SERVER_REGISTRY_STORE"] == "gateway://127.0.0.1:5999"
    assert found["_MLFLOW_SERVER_ARTIFACT_DESTINATION"].startswith("http://127.0.0.1:5999/store/api/")
    assert (found["MLFLOW_TRACKING_TOKEN"], found["MLFLOW_TRACKING_INSECURE_TLS"]) == ("hunter2", "false")


def test_it_speaks_https_with_a_door_that_does(tmp_path: Path) -> None:
    found = variables(ingest_cert=tmp_path / "c.pem", ingest_key=tmp_path / "k.pem")

    assert found["_MLFLOW_SERVER_FILE_STORE"] == "gateways://127.0.0.1:5001"
    assert found["MLFLOW_TRACKING_INSECURE_TLS"] == "true"


def test_where_requests_are_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert catch_all.open_proxy(Settings(mlflow_ui="none")) is None
    assert isinstance(catch_all.open_proxy(Settings(mlflow_ui="http://127.0.0.1:5000")), Proxy)
    assert isinstance(catch_all.open_proxy(Settings()), Proxy)
    monkeypatch.setattr(ui_server, "is_installed", lambda: False)
    assert catch_all.open_proxy(Settings()) is None


def test_another_word_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_MLFLOW_UI", "on")
    with pytest.raises(BadSettings, match=r"mlflow_ui .*host:port or auto or none"):
        Settings.load(tmp_path)


async def test_a_socket_that_exists_but_is_not_listened_to_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def listens_late(settings: Settings, folder: Path, socket: Path) -> Command:
        return Command([sys.executable, "-c", LISTENS_LATE, str(socket)], {}, folder=folder)

    monkeypatch.setattr(ui_server, "store_command", listens_late)
    server = UiServer(Settings())
    try:
        _, writer = await asyncio.open_unix_connection(await server.socket())
        writer.close()
    finally:
        await server.close()
