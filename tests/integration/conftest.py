"""Fixtures of the tests that talk to trackers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_parts import MlflowServer, running_mlflow


@pytest.fixture(scope="session")
def mlflow_server(session_folder: Path) -> Iterator[MlflowServer]:
    """A real MLflow server, one for all tests; runs and experiments of a test have names of their own."""
    with running_mlflow(session_folder / "mlflow") as server:
        yield server
