"""
The month that a run's points are kept under.

Pure. It is the month, UTC, of the first event of the run that was folded: a fact of the log, the same after every
rebuild. All points of a run are in the partition of that month, however long it trains.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from schemas.errors import BadSettings

UNKNOWN = 0  # of runs whose clock said nothing believable: retention never drops them
_FIRST, _AFTER_LAST = 946_684_800_000_000, 4_102_444_800_000_000  # µs: 2000-01-01 and 2100-01-01
_WRITTEN = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)


def month_of(time: int) -> int:
    """
    Return the month of a time in µs as the number YYYYMM, UNKNOWN outside this century.

    Clocks that are wrong by decades so make one partition and not one for each month of history, and a machine whose
    clock fell back to 1970 does not lose its points to the next `gateway retention drop`.
    """
    if not _FIRST <= time < _AFTER_LAST:
        return UNKNOWN
    day = datetime.fromtimestamp(time // 1_000_000, UTC)
    return day.year * 100 + day.month


def month_text(month: int) -> str:
    """Return a month as people write it: 2026-08, or `unknown`."""
    return f"{month // 100}-{month % 100:02}" if month else "unknown"


def parse_month(text: str) -> int:
    """Return the number of a month that somebody wrote. Raises BadSettings."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise BadSettings(f"{text[:40]!r} is no month: write year and month, such as 2026-08")
    return int(found[1]) * 100 + int(found[2])
