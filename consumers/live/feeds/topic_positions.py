"""
Where a stream of several topics continues, as text: `runs=0:17;series=0:19;alerts=12`.

A stream of one topic that follows the log has the offsets alone, as `as_of` has; these stand for every topic but
alerts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from consumers.live.stream.positions import parse_positions

LOG_TOPICS = ("runs", "series", "saved")
TOPICS = (*LOG_TOPICS, "alerts")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def write_token(positions: Mapping[str, str]) -> str:
    """Return the text of positions by topic."""
    if len(positions) == 1 and (alone := next(iter(positions))) in LOG_TOPICS:
        return positions[alone]
    return ";".join(f"{topic}={text}" for topic, text in positions.items())


def parse_token(text: str) -> tuple[dict[str, dict[int, int]], int | None]:
    """Return offsets by topic, and the number of alerts, None without. Raises ValueError saying what is wrong."""
    if "=" not in text:
        positions = parse_positions(text)
        return {topic: dict(positions) for topic in LOG_TOPICS}, None
    found: dict[str, dict[int, int]] = {}
    number: int | None = None
    for part in text.split(";", len(TOPICS)):
        topic, _, position = part.partition("=")
        if topic not in TOPICS or topic in found or (topic == "alerts" and number is not None):
            raise ValueError(f"{part!r:.60} is not topic=position, each topic once")
        if topic != "alerts":
            found[topic] = parse_positions(position)
        elif _NUMBER.fullmatch(position):
            number = int(position)
        else:
            raise ValueError(f"{position!r:.60} is no number of an alert")
    return found, number
