"""
Metric rows that the log has and this process may not know of: those that an earlier process of the door wrote.

A client repeats a call that was not answered. If the door was killed between the append and the answer, its successor
finds the rows here. Only rows with a time before the run was read can be among them, so this ends a minute later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.runs.events import Row
from gateway.server.mlflow.runs.known import CLOCK_SKEW_MS, KnownRun

PAGE = 100_000  # points


async def stored_rows(reader: Reader, run: KnownRun, rows: Sequence[Row]) -> set[Row]:
    """Return those of the rows that the log has, as far as their time is before what this process knows of the run."""
    old = [row for row in rows if row.time_ms <= run.written_before]
    for key in {row.key for row in old}:
        since = min(row.time_ms for row in old if row.key == key)
        known = run.stored.get(key)
        if known is None or known[0] > since:
            run.stored[key] = (since - CLOCK_SKEW_MS, await _read(reader, run.run_id, key, since - CLOCK_SKEW_MS))
    return {row for row in old if row in run.stored[row.key][1]}


async def _read(reader: Reader, run_id: str, key: str, since_ms: int) -> set[Row]:
    found: set[Row] = set()
    asked = {"run_id": run_id, "name": key, "since_ms": max(since_ms, 0), "limit": PAGE, "min_offsets": "end"}
    token = None
    while True:
        page = await reader.get("/v1/points", page_token=token, **asked)
        for run in page["runs"]:
            numbers = map(float, run["values"])
            found.update(
                Row(key, step, time_ms, None if math.isnan(value) else value)
                for step, time_ms, value in zip(run["steps"], run["times_ms"], numbers, strict=True)
            )
        token = page["next_page_token"]
        if token is None:
            return found
