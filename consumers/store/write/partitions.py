"""
Partitions of months: created when the first point of a month arrives, and never again after its points were dropped.

Both are decided in the transaction that writes the points, after it has locked the offset row. A drop locks all offset
rows (consumers/store/maintenance/retention.py), so the decision cannot change before the commit.
"""

from __future__ import annotations

from collections.abc import Mapping

from consumers.store.pool import PooledConnection
from consumers.store.statements import sql


async def open_months(connection: PooledConnection, new_points: Mapping[int, int]) -> frozenset[int]:
    """
    Create the missing partitions for these new points (by month); return the months whose points were dropped.

    New points of dropped months are counted as late; their chunks must not be written.
    """
    found = await connection.fetch(sql("look_for_months"), list(new_points))
    dropped = frozenset(row["month"] for row in found if row["dropped"])
    missing = sorted(row["month"] for row in found if not row["there"] and not row["dropped"])
    if missing:
        await connection.execute(sql("lock_partitions"))
        for row in await connection.fetch(sql("partition_plan"), missing):
            await connection.execute(row[0])
    if dropped:
        late = sorted((month, new_points[month]) for month in dropped)
        await connection.execute(sql("count_late_points"), *map(list, zip(*late, strict=True)))
    return dropped
