"""
Endpoint `/v1/runs/{id}/deliveries`: what became of the records of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.content.tracker_pages import page_of
from consumers.live.api.responses import long_response
from consumers.live.api.runs import refuse_impossible, unknown_run
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from schemas.api.content import DeliveriesOfRun, RunDelivery
from schemas.api.points import Position

HISTORY = 2**62  # offsets from here on are places in a history that is delivered


async def deliveries(
    request: Request, run_id: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return how far a run is folded, which of its records are missing, and what each tracker has of it."""
    refuse_impossible(run_id)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        offsets = await now.offsets(CONSUMER, connections.topic)
        folded = await now.content.folded(run_id)
        if folded is None:
            raise unknown_run(run_id)
        rows = {row["tracker"]: row for row in await now.content.deliveries(run_id)}
        missing = (await now.gaps([run_id])).get(run_id, 0)
        letters = sum((await now.open_letters([run_id])).values())
    known = sorted({*rows, *connections.trackers})
    found = [_delivery(name, rows.get(name), folded[1], connections.tracker_urls) for name in known]
    position = Position(partition=folded[0], offset=folded[1])
    answer = DeliveriesOfRun(
        run_id=run_id, as_of=write_positions(offsets), folded=position, missing=missing, dead_letters=letters,
        deliveries=found,
    )  # fmt: skip
    return await long_response(answer, offsets)


def _delivery(tracker: str, row: Any, end: int, urls: Mapping[str, str]) -> RunDelivery:
    if row is None:
        return RunDelivery(tracker=tracker, status="none")
    is_history = row["next_offset"] >= HISTORY
    return RunDelivery(
        tracker=tracker,
        status=row["status"],
        next_offset=None if is_history else row["next_offset"],
        is_complete=None if is_history else row["next_offset"] >= end,
        in_doubt=row["attempt"] > 1,
        skipped=row["skipped"],
        error=row["error"],
        updated=round(row["updated"].timestamp() * 1e6),
        url=page_of(tracker, urls.get(tracker, ""), row["state"]),
    )
