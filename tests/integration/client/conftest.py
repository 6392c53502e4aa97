"""Fixtures of the tests of the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.local.ports import HOST, free_ports
from tests.support.materialiser_process import environment


@pytest.fixture
def client_variables(kafka: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a client, for a log and an API at a free port; they are also set in this process."""
    (port,) = free_ports(1)
    found = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_LIVE_URL": f"http://{HOST}:{port}",
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def servers(kafka: str, topic: str, database: str, client_variables: dict[str, str]) -> dict[str, str]:
    """Settings of the materialiser and of the API that this client asks."""
    return environment(kafka, topic, database, live_port=client_variables["GATEWAY_LIVE_URL"].rpartition(":")[2])
