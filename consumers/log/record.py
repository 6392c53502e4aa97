"""
One record of the log, as consumers read it.
"""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One Kafka record with its position in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    time_ms: int  # the record's Kafka timestamp, ms since 1970-01-01 UTC
