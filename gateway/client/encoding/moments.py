"""
Datetimes of the standard library, pandas and numpy as instants that the contract reads.

RFC 3339 writes an offset from UTC in hours and minutes. Local times before standard time have seconds in it (1900 in
Paris: +00:09:21), so these are written in UTC. A datetime without a zone is local time; numpy's datetime64, which
counts from 1970-01-01 UTC, is UTC. datetime is imported only for values that have imported it already.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


def is_datetime(value: Any) -> bool:
    """Return whether the value is a datetime, of which no part may be missing: pandas.NaT is one too."""
    # By base class, for pandas.Timestamp.
    return any(base.__module__ == "datetime" and base.__name__ == "datetime" for base in type(value).__mro__)


def is_datetime64(value: Any) -> bool:
    """Return whether the value is a scalar datetime64 of numpy."""
    return type(value).__name__ == "datetime64" and type(value).__module__ == "numpy"


def instant(value: Any) -> datetime | None:
    """
    Return a datetime, Timestamp or datetime64 with its offset from UTC in whole minutes; None if it is none of these.

    Raises an error (OverflowError, ValueError, OSError, or that of the caller's tzinfo) if no instant can be found,
    as for datetime.min in a zone east of UTC.
    """
    if is_datetime64(value):
        found = value.astype("datetime64[us]").item()
        if not is_datetime(found):
            return None  # NaT, or not within the years 1 to 9999
        from datetime import UTC

        return found.replace(tzinfo=UTC)  # type: ignore[no-any-return]  # what numpy returns is a datetime
    if not is_datetime(value):
        return None
    if hasattr(value, "to_pydatetime"):  # pandas writes nanoseconds, which the contract does not accept
        value = value.to_pydatetime(warn=False)
    from datetime import UTC, datetime

    moment = value if value.utcoffset() is not None else value.replace(tzinfo=None).astimezone()
    offset = moment.utcoffset()
    if offset.seconds % 60 or offset.microseconds:
        moment = moment.astimezone(UTC)
    return datetime.combine(moment.date(), moment.time(), moment.tzinfo)  # of a subclass, the datetime itself


def micros_of(moment: datetime) -> int:
    """Return an instant as µs since 1970."""
    from datetime import UTC, datetime, timedelta

    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
