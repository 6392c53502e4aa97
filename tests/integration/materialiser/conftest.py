"""Fixtures of the tests of the materialiser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumers.store.migrations import migrate
from consumers.store.pool import Database, open_database


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    """An open database with the present schema."""
    opened = await open_database(database)
    await migrate(opened)
    yield opened
    await opened.close()
