"""
The status of everything that reads the log: lag of each consumer, dead letters, trackers.

A part that PostgreSQL or Kafka does not answer in time is left out and named, so a locked table or a dead broker delays
the others by ANSWER_S at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from consumers.log.reader import shorter_log
from consumers.log.watermarks import Bounds, LogBounds
from consumers.store.alerts.states import ALERTS
from consumers.store.dead_letters import newest_dead_letter
from consumers.store.delivery.orders import Trackers
from consumers.store.offsets import CONSUMER, all_offsets, consumer_name
from consumers.store.pool import Database
from schemas.api import DeliveryStatus, PartitionLag, Status
from schemas.errors import LogUnavailable, StoreUnavailable, TrackingError

T = TypeVar("T")
ANSWER_S = 3.0  # for each question; all are asked at once

Offsets = Mapping[str, Mapping[int, int]]  # by consumer, then by partition


class Sources(NamedTuple):
    """What the status is read from."""

    database: Database
    bounds: LogBounds
    topic: str
    trackers: Sequence[str]  # that this stack delivers to


async def read_status(sources: Sources) -> Status:
    """Return the status, with what is missing in it named. Raises StoreUnavailable if nothing could be read."""
    database, topic = sources.database, sources.topic
    offsets, deliveries, letters, bounds = await asyncio.gather(
        _in_time(all_offsets(database, topic), "the offsets of the consumers"),
        _in_time(Trackers(database).overview(live=sources.trackers), "the state of the trackers"),
        _in_time(newest_dead_letter(database), "the dead letters"),
        _in_time(sources.bounds.ask(), "the end of the log"),
    )
    answers = (offsets, deliveries, letters, bounds)
    problems = [str(one) for one in answers if isinstance(one, TrackingError)]
    if all(isinstance(one, StoreUnavailable) for one in answers[:3]):
        raise StoreUnavailable(problems[0])
    if not isinstance(offsets, TrackingError) and not isinstance(bounds, TrackingError):
        problems += _shorter(topic, offsets, bounds)
    count, newest = (None, None) if isinstance(letters, TrackingError) else letters
    known = [] if isinstance(deliveries, TrackingError) else _shown(deliveries, sources.trackers)
    return Status(
        lag=[] if isinstance(offsets, TrackingError) else lags(offsets, bounds, known),
        dead_letters=count,
        newest_dead_letter=newest,
        deliveries=known,
        problems=problems,
    )


def lags(offsets: Offsets, bounds: Bounds | TrackingError, deliveries: Sequence[DeliveryStatus]) -> list[PartitionLag]:
    """Return how far each consumer of the whole log is behind, in every partition."""
    alerts = [ALERTS] if ALERTS in offsets else []  # a process that not every stack has
    names = [CONSUMER, *alerts, *(consumer_name(one.tracker) for one in deliveries if one.follows)]
    if isinstance(bounds, TrackingError):
        return [
            PartitionLag(consumer=name, partition=part, offset=at)
            for name in names
            for part, at in sorted(offsets.get(name, {}).items())
        ]
    return [
        PartitionLag(
            consumer=name,
            partition=part,
            offset=offsets.get(name, {}).get(part, bounds.first.get(part, 0)),
            end=bounds.end[part],
            lag=lag,
        )
        for name in names
        for part, lag in sorted(bounds.behind(offsets.get(name, {})).items())
    ]


def _shorter(topic: str, offsets: Offsets, bounds: Bounds) -> list[str]:
    """Return the consumers whose offsets the log does not reach: they stop, and nothing new is applied."""
    found = [shorter_log(topic, read, bounds.end, name) for name, read in sorted(offsets.items())]
    return [problem for problem in found if problem]


def _shown(known: Sequence[DeliveryStatus], configured: Sequence[str]) -> list[DeliveryStatus]:
    """Leave out trackers that are not configured in this stack and have received no run."""
    return [one for one in known if one.runs or one.tracker in configured]


async def _in_time(answer: Awaitable[T], what: str) -> T | TrackingError:
    """Return the answer, or the error that says why there is none."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        return StoreUnavailable(
            f"{what}: PostgreSQL did not answer within {ANSWER_S:g} s: look for locks in its pg_stat_activity"
        )
    except (StoreUnavailable, LogUnavailable) as error:
        return type(error)(f"{what}: {error}")
