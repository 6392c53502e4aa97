"""
The errors between an event and its destinations.

    TrackingError              everything this project raises on purpose
    +- BadSettings             a setting is unknown, missing or invalid
    +- BadRecord               a Kafka record can never be folded: it is parked, not retried
    |  +- NotAnEvent           headers or value are not in the form of schemas/wire.py
    |  +- UnknownVersion       written by a newer release than this one
    |  +- BadEvent             the event does not match its model
    +- Unavailable             a service cannot be reached now; retrying helps
    |  +- LogUnavailable       Kafka
    |  +- StoreUnavailable     PostgreSQL
    |  +- TrackerUnavailable   a tracker
    +- Refused                 a service refused; retrying does not help
       +- StoreRefused         PostgreSQL: wrong password, missing database, ...
       +- LogGap               the log no longer holds offsets that this reader needs
       |  +- LogShorter        the log ends before offsets that were read, or has other records there
       +- LogDamaged           the log cannot be read at an offset
       +- TooManyDeadLetters   too many records cannot be folded: a person must look first
       +- TrackerRefused       a tracker will never accept this run or value
       +- StackError           the embedded stack cannot start: port, Java, download, ...

`retry` is a property of the class and is never guessed from a message. Each message names its object and, after the
last colon, the next step. The docstring of a class is its default message.
"""

from __future__ import annotations


class TrackingError(Exception):
    """An error of this project."""

    retry = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").strip())


class BadSettings(TrackingError):
    """A setting is unknown, missing or invalid."""


class BadRecord(TrackingError):
    """A Kafka record that can never be folded; it is parked with this reason."""


class NotAnEvent(BadRecord):
    """The headers or the value of the record are not in the form that our producers write."""


class UnknownVersion(BadRecord):
    """The record was written by a newer release than this one."""


class BadEvent(BadRecord):
    """The event does not match its model."""


class Unavailable(TrackingError):
    """A service cannot be reached now; retrying helps."""

    retry = True


class LogUnavailable(Unavailable):
    """Kafka cannot be reached now; events wait with their producers until it can."""


class StoreUnavailable(Unavailable):
    """PostgreSQL cannot be reached now; the log keeps the events until it can."""


class TrackerUnavailable(Unavailable):
    """
    A tracker cannot be reached now; its checkpoint does not move.

    `retry_after_s`: the seconds for which it asked not to be called (429, Retry-After); None if it did not say.
    """

    def __init__(self, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(detail or "A tracker cannot be reached now; its checkpoint does not move.")
        self.retry_after_s = retry_after_s


class Refused(TrackingError):
    """A service refused; retrying does not help."""


class StoreRefused(Refused):
    """PostgreSQL refused the connection or the statement."""


class LogGap(Refused):
    """The log no longer holds offsets that this reader needs."""


class LogShorter(LogGap):
    """The log ends before offsets that were read, or has other records there: it is not the log that was read."""


class LogDamaged(Refused):
    """The log cannot be read at an offset: a checksum is wrong, or a record is truncated."""

    def __init__(self, text: str, partition: int) -> None:
        super().__init__(text)
        self.partition = partition


class TooManyDeadLetters(Refused):
    """Too many records can never be folded: a person must look before more are parked."""


class TrackerRefused(Refused):
    """A tracker will never accept this run or value."""


class StackError(Refused):
    """The embedded stack cannot start."""
