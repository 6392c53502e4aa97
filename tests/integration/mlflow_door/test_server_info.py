"""What a client asks about the door itself."""

from __future__ import annotations

from mlflow.version import VERSION

from tests.support.mlflow_door import MlflowDoor
from tests.support.server_process import request


def test_it_says_that_it_serves_and_which_mlflow_it_speaks(door: MlflowDoor) -> None:
    assert request(door.port, "GET", "/health")[::2] == (200, b"OK")
    assert request(door.port, "GET", "/version")[::2] == (200, VERSION.encode())
