"""
The month under which the points of a run are stored.

Pure. It is the month, in UTC, of the run's first folded event: a fact of the log, the same after every rebuild. All
points of a run are in the partition of that month, however long it trains.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from schemas.errors import BadSettings

UNKNOWN = 0  # for runs with an implausible clock: retention never drops them
_FIRST, _AFTER_LAST = 946_684_800_000_000, 4_102_444_800_000_000  # µs: 2000-01-01 and 2100-01-01
_WRITTEN = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)


def month_of(time: int) -> int:
    """
    Return the month of a time in µs as the number YYYYMM, UNKNOWN outside this century.

    So clocks that are wrong by decades create one partition instead of one for each month of history, and a machine
    whose clock was reset to 1970 does not lose its points to the next `gateway retention drop`.
    """
    if not _FIRST <= time < _AFTER_LAST:
        return UNKNOWN
    day = datetime.fromtimestamp(time // 1_000_000, UTC)
    return day.year * 100 + day.month


def month_text(month: int) -> str:
    """Return a month as text: 2026-08, or `unknown`."""
    return f"{month // 100}-{month % 100:02}" if month else "unknown"


def parse_month(text: str) -> int:
    """Return the number YYYYMM of a month in text. Raises BadSettings."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise BadSettings(f"{text[:40]!r} is not a month: write year and month, such as 2026-08")
    return int(found[1]) * 100 + int(found[2])
