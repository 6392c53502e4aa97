"""Fixtures of the tests of dialects: one stack for all of them in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dialect_stack import DialectStack, dialect_stack


@pytest.fixture(scope="session")
def stack(kafka: str, postgres_server: str, session_folder: Path) -> Iterator[DialectStack]:
    """A log, a materialiser and an API that all cases share; each uses runs of its own."""
    with dialect_stack(kafka, postgres_server, session_folder / "dialects") as made:
        yield made
