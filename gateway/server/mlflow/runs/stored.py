"""
Metric rows that the log has and this process may not know of: those that an earlier process of the door wrote.

A client repeats a call that was not answered. If the door was killed between the append and the answer, its successor
finds the rows here. Only rows with a time before the run was read can be among them, so this ends a minute later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from urllib.parse import quote

from gateway.server.mlflow.reading import NotThere, Reader
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
    token = None
    path = f"/v1/runs/{quote(run_id, safe='')}/history"
    while True:
        try:
            page = await reader.get(path, name=key, limit=PAGE, page_token=token, min_offsets="end")
        except NotThere:
            return found
        for step, time, value in page["points"]:
            if (time_ms := time // 1_000) >= since_ms:
                number = float(value)
                found.add(Row(key, step, time_ms, None if math.isnan(number) else number))
        token = page["next_page_token"]
        if token is None:
            return found
