"""Fixtures of the tests of the MLflow door: one stack with a door, and one stock MLflow server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dialect_stack import DialectStack, dialect_stack
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.mlflow_service import MlflowServer, running_mlflow


@pytest.fixture(scope="session")
def stack(kafka: str, postgres_server: str, session_folder: Path) -> Iterator[DialectStack]:
    """A log, a materialiser and an API that all cases share; each uses experiments and runs of its own."""
    with dialect_stack(kafka, postgres_server, session_folder / "mlflow-door") as made:
        yield made


@pytest.fixture(scope="session")
def door(stack: DialectStack) -> Iterator[MlflowDoor]:
    """The door of this stack."""
    with mlflow_door(stack) as made:
        yield made


@pytest.fixture(scope="session")
def stock(session_folder: Path) -> Iterator[MlflowServer]:
    """A stock MLflow server, to compare with."""
    folder = session_folder / "stock-mlflow"
    folder.mkdir()
    with running_mlflow(folder) as made:
        yield made
