"""
Summaries of groups of chunks, from which charts of long series are made.

PostgreSQL makes them from the rows of the chunks, once for 64,000 points of a series, so the fold keeps no state for
them.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.store.pool import PooledConnection
from consumers.store.rows import LEVEL_FACTOR, FullGroup
from consumers.store.statements import sql


async def save_groups(connection: PooledConnection, full: Sequence[FullGroup]) -> None:
    """Write the rows of these groups, and of the groups of groups that became full with them."""
    await connection.execute(sql("group_chunks"), *map(list, zip(*full, strict=True)))
    level = 0
    while full := full_above(full):
        level += 1
        await connection.execute(sql("group_groups"), *map(list, zip(*full, strict=True)), level)


def full_above(full: Sequence[FullGroup]) -> list[FullGroup]:
    """Return the groups of the next level that end with one of these."""
    return [one._replace(number=one.number // LEVEL_FACTOR) for one in full if (one.number + 1) % LEVEL_FACTOR == 0]
