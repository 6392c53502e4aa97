"""The connection to PostgreSQL breaks while a materialiser migrates the tables: it waits and continues."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from consumers.store.migrations import migrate, released
from consumers.store.pool import open_database
from schemas.errors import StoreUnavailable
from tests.support.tcp_proxy import proxy_to


async def test_a_line_that_breaks_while_tables_are_made_is_an_outage_and_doing_it_again_goes_on(
    empty_database: str,
) -> None:
    port = urlsplit(empty_database).port
    assert port is not None
    holder = await asyncpg.connect(empty_database)
    with proxy_to(port) as line:
        db = await open_database(empty_database.replace(f":{port}/", f":{line.port}/"))
        async with holder.transaction():
            await holder.execute("CREATE TABLE runs (unfinished int)")  # the first migration waits for its name
            making = asyncio.create_task(migrate(db))
            while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            line.drop()
            with pytest.raises(StoreUnavailable, match=f":{line.port}/"):
                await making
            await holder.execute("DROP TABLE runs")
        await migrate(db)
        await db.close()

    assert len(released()) == await holder.fetchval("SELECT count(*) FROM _pogo_migration")
    await holder.close()
