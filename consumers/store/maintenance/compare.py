"""
Compare the live tables with the rebuilt ones, byte for byte, inside PostgreSQL.

Tables and rows have a fixed order, so the first difference is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from consumers.store.maintenance.rebuild import KEPT
from consumers.store.pool import PooledConnection
from consumers.store.statements import sql

SHOWN = 60  # characters shown of a value


@dataclass(frozen=True, kw_only=True)
class TableCounts:
    """Numbers of rows of one table on both sides."""

    live: int
    rebuilt: int
    different: int  # rows that differ or are missing on one side


@dataclass(frozen=True, kw_only=True)
class TableDifference:
    """A row in which the live tables differ from the log."""

    table: str
    key: dict[str, str]
    column: str | None  # None: the whole row is missing on one side
    live: str | None  # None: NULL, or the row is missing
    rebuilt: str | None

    def __str__(self) -> str:
        row = ", ".join(f"{name}={value}" for name, value in self.key.items())
        if self.column is None:
            missing = "the live table has no such row" if self.live is None else "the log has no such row"
            return f"{self.table}, row {row}: {missing}"
        live, rebuilt = _excerpts(self.live, self.rebuilt)
        return f"{self.table}, row {row}, column {self.column}: live {live}, rebuilt {rebuilt}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Result of a comparison: all tables, and the first difference."""

    tables: dict[str, TableCounts] = field(default_factory=dict)
    first_difference: TableDifference | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {"equal": self.first_difference is None, **asdict(self)}


async def compare(
    connection: PooledConnection, live_schema: str, progress: Callable[[str, int, int], None]
) -> Comparison:
    """Compare all tables that are folded from the log, in the snapshot of the caller's transaction."""
    plan = await connection.fetch(sql("comparison_plan"), live_schema, list(KEPT))
    tables: dict[str, TableCounts] = {}
    first: TableDifference | None = None
    for number, row in enumerate(plan):
        progress(f"comparing {row['table_name']}", number, len(plan))
        counted = await connection.fetchrow(row["counting"])
        assert counted is not None  # an aggregate returns one row
        counts = tables[row["table_name"]] = TableCounts(**counted)
        if counts.different and first is None:
            first = await _first(connection, row)
    return Comparison(tables=tables, first_difference=first)


async def _first(connection: PooledConnection, plan: Any) -> TableDifference:
    row = await connection.fetchrow(plan["finding"])
    assert row is not None  # it was counted in the same snapshot
    key = dict(zip(plan["keys"], row["key"], strict=True))
    if not (row["in_live"] and row["in_rebuilt"]):
        side = "live" if row["in_live"] else "rebuilt"
        values: dict[str, str | None] = {"live": None, "rebuilt": None} | {side: "row"}
        return TableDifference(table=plan["table_name"], key=key, column=None, **values)
    at = row["differs"].index(True)
    live, rebuilt = row["live"][at], row["rebuilt"][at]
    return TableDifference(table=plan["table_name"], key=key, column=plan["names"][at], live=live, rebuilt=rebuilt)


def _excerpts(live: str | None, rebuilt: str | None) -> tuple[str, str]:
    """Return both values, long ones only around the first character that differs."""
    if live is None or rebuilt is None:
        return tuple("NULL" if text is None else _cut(text, 0) for text in (live, rebuilt))  # type: ignore[return-value]  # two in, two out
    same = next((i for i, pair in enumerate(zip(live, rebuilt, strict=False)) if pair[0] != pair[1]), SHOWN)
    return _cut(live, same), _cut(rebuilt, same)


def _cut(text: str, at: int) -> str:
    start = max(0, at - SHOWN // 3) if len(text) > SHOWN else 0
    piece = text[start : start + SHOWN]
    return ("..." if start else "") + piece + ("..." if start + SHOWN < len(text) else "")
