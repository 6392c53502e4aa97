"""
Metric rows that the log has and this process may not know of: those that an earlier process of the door wrote.

A client repeats a call that was not answered. If the door was killed between the append and the answer, its successor
finds the rows here. Only rows with a time before the run was read can be among them, so this ends a minute later; rows
that this process wrote and has forgotten (recent.py) are kept with them. A row is kept as its fingerprint of 64 bits,
70 bytes in memory.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.runs.events import Row
from gateway.server.mlflow.runs.known import CLOCK_SKEW_MS, MAX_STORED, KnownRun

PAGE = 100_000  # points


async def stored_rows(reader: Reader, run: KnownRun, rows: Sequence[Row]) -> set[Row]:
    """Return those of the rows that the log has, as far as their time is before what this process knows of the run."""
    old = [row for row in rows if row.time_ms <= run.written_before]
    since: dict[str, int] = {}
    for row in old:
        since[row.key] = min(row.time_ms, since.get(row.key, row.time_ms))
    unread = {key: ms - CLOCK_SKEW_MS for key, ms in since.items() if key not in run.stored or run.stored[key][0] > ms}
    found = await asyncio.gather(*(_read(reader, run.run_id, key, ms) for key, ms in unread.items()))
    run.stored |= {key: (ms, hashes) for (key, ms), hashes in zip(unread.items(), found, strict=True)}
    return {row for row in old if row.fingerprint in run.stored[row.key][1]}


async def _read(reader: Reader, run_id: str, key: str, since_ms: int) -> set[int]:
    found: set[int] = set()
    asked = {"run_id": run_id, "name": key, "since_ms": max(since_ms, 0), "limit": PAGE, "min_offsets": "end"}
    token = None
    while True:
        page = await reader.get("/v1/points", page_token=token, **asked)
        for run in page["runs"]:
            numbers = map(float, run["values"])
            found.update(
                Row(key, step, time_ms, None if math.isnan(value) else value).fingerprint
                for step, time_ms, value in zip(run["steps"], run["times_ms"], numbers, strict=True)
            )
        token = page["next_page_token"]
        if token is None or len(found) >= MAX_STORED:
            return found
