"""
The status of each tracker: what PostgreSQL has recorded, and how far the log is ahead of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from consumers.delivery.plugins.config import read_definitions
from consumers.delivery.plugins.loader import GROUP
from consumers.log.reader import LogReader
from consumers.log.security import security_arguments
from consumers.log.watermarks import Bounds
from consumers.store.delivery.checkpoints import Deliveries
from consumers.store.delivery.orders import Trackers
from consumers.store.pool import Database
from schemas.api import DeliveryStatus
from schemas.errors import BadSettings, LogGap, LogUnavailable
from schemas.runtime.settings import Settings

FETCH_MS, FETCHES = 300, 10  # limits of the search for the oldest record that waits


class TrackerLag(NamedTuple):
    """How far a tracker is behind the log."""

    records: int
    seconds: float | None  # age of the oldest record that waits; None when it was not found in time


class TrackerStatus(NamedTuple):
    """Status of one tracker."""

    status: DeliveryStatus
    lag: TrackerLag | None  # None while Kafka is away, and for a tracker that does not follow the log

    def to_json(self) -> dict[str, Any]:
        """Return the status as `--json` prints it."""
        facts = self.status.model_dump(mode="json")
        return facts | {
            "lag_records": self.lag.records if self.lag else None,
            "lag_seconds": None if self.lag is None or self.lag.seconds is None else round(self.lag.seconds, 3),
        }


def known_names(settings: Settings) -> list[str]:
    """Return every tracker name that can be used here: from the settings, the trackers file and the entry points."""
    defined: list[str] = []
    if settings.trackers_file:
        with suppress(BadSettings):
            defined = list(read_definitions(settings.trackers_file))
    return sorted({*settings.trackers, *defined, *(entry.name for entry in entry_points(group=GROUP))})


async def tracker_statuses(settings: Settings, database: Database, only: str | None = None) -> list[TrackerStatus]:
    """Return the status of each tracker, or of one. Raises StoreUnavailable."""
    known = await Trackers(database).overview([only] if only else [], live=settings.trackers)
    found = [one for one in known if only in (None, one.tracker)]
    names = [one.tracker for one in found if one.follows]
    offsets = {name: await Deliveries(database, name, settings.topic).offsets() for name in names}
    lags: Mapping[str, TrackerLag | None] = {}
    with suppress(LogUnavailable, BadSettings):
        lags = await _lags(settings, offsets)
    return [TrackerStatus(one, lags.get(one.tracker)) for one in found]


async def _lags(settings: Settings, offsets: Mapping[str, Mapping[int, int]]) -> dict[str, TrackerLag | None]:
    reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
    try:
        await reader.open()
        bounds = Bounds(await reader.beginning_offsets(), await reader.end_offsets())
        lags: dict[str, TrackerLag | None] = {}
        for name, known in offsets.items():
            behind = {part: records for part, records in bounds.behind(known).items() if records}
            waits = {part: bounds.end[part] - records for part, records in behind.items()}
            lags[name] = TrackerLag(sum(behind.values()), await _age(reader, waits) if waits else 0.0)
        return lags
    finally:
        await reader.close()


async def _age(reader: LogReader, waits: Mapping[int, int]) -> float | None:
    """Return the age of the oldest record at these offsets, in seconds; None when it was not found in time."""
    times: dict[int, int] = {}
    try:
        await reader.assign(waits)
        for _ in range(FETCHES):
            for record in await reader.fetch(timeout_ms=FETCH_MS, max_records=len(waits) * 100):
                times.setdefault(record.partition, record.time_ms)
            if len(times) == len(waits):
                break
    except LogGap:
        return None
    return max(0.0, time.time() - min(times.values()) / 1_000) if times else None


def state_text(status: DeliveryStatus) -> str:
    """Return the state as people read it, including that a stopped tracker will be paused when it starts."""
    return "stopped, paused" if status.state == "stopped" and status.paused else status.state


def lag_text(found: TrackerStatus) -> Sequence[str]:
    """Return records and seconds behind, for a table."""
    lag = found.lag
    if lag is None:
        return ("?", "?") if found.status.follows else ("-", "")
    seconds = "?" if lag.seconds is None else f"{lag.seconds:,.0f} s" if lag.records else ""
    return f"{lag.records:,}", seconds
