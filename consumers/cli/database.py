"""
One short-lived connection to PostgreSQL for a command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.store.pool import Database
    from schemas.runtime.settings import Settings


@asynccontextmanager
async def connected_database(settings: Settings, application_name: str = "gateway") -> AsyncIterator[Database]:
    """
    Give the database of the settings with one connection, which ends without waiting when the block ends.

    Raises BadSettings when no PostgreSQL is set, StoreUnavailable and StoreRefused.
    """
    from consumers.store.pool import open_database

    database = await open_database(settings.need("postgres").strip(), size=1, application_name=application_name)
    try:
        yield database
    finally:
        database.terminate()
