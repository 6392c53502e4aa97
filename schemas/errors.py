"""
What can go wrong between an event and the places it goes to.

    TrackingError              everything this project raises on purpose
    +- BadSettings             a setting is unknown, missing or does not fit
    +- BadRecord               a Kafka record can never be folded: it is parked, not retried
    |  +- NotAnEvent           headers or value are not what schemas/wire.py writes
    |  +- UnknownVersion       written by a newer release than this reader
    |  +- BadEvent             the event does not fit its model
    +- Unavailable             a service cannot be reached now; retrying helps
    |  +- LogUnavailable       Kafka
    |  +- StoreUnavailable     PostgreSQL
    |  +- TrackerUnavailable   a tracker
    +- Refused                 a service said no; retrying does not help
       +- StoreRefused         PostgreSQL: wrong password, missing database, ...
       +- LogGap               the log no longer holds offsets this reader still needs
       +- LogDamaged           what the log holds at an offset can be read by nobody
       +- TooManyDeadLetters   so many records cannot be folded that somebody must look first
       +- TrackerRefused       a tracker will never take this run or value
       +- StackError           the embedded stack cannot start: port, Java, download, ...

`retry` is a property of the class, never guessed from text. Each message names the thing and, after the
last colon, the next step.
"""

from __future__ import annotations


class TrackingError(Exception):
    """Something this project can name went wrong."""

    retry = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").strip())


class BadSettings(TrackingError):
    """A setting is unknown, missing or does not fit."""


class BadRecord(TrackingError):
    """A Kafka record that can never be folded; it is parked with this reason."""


class NotAnEvent(BadRecord):
    """The record's headers or value are not what a producer of ours writes."""


class UnknownVersion(BadRecord):
    """The record was written by a newer release than this reader."""


class BadEvent(BadRecord):
    """The event does not fit its model."""


class Unavailable(TrackingError):
    """A service cannot be reached now; retrying helps."""

    retry = True


class LogUnavailable(Unavailable):
    """Kafka cannot be reached now; events wait with their producers until it can."""


class StoreUnavailable(Unavailable):
    """PostgreSQL cannot be reached now; the log keeps the events until it can."""


class TrackerUnavailable(Unavailable):
    """A tracker cannot be reached now; its checkpoint stays where it is."""


class Refused(TrackingError):
    """A service said no; retrying does not help."""


class StoreRefused(Refused):
    """PostgreSQL refused the connection or the statement."""


class LogGap(Refused):
    """The log no longer holds offsets that this reader still needs."""


class LogDamaged(Refused):
    """What the log holds at an offset cannot be read: its checksum is wrong, or a record is cut."""


class TooManyDeadLetters(Refused):
    """So many records can never be folded that somebody must look before more are parked."""


class TrackerRefused(Refused):
    """A tracker will never take this run or value."""


class StackError(Refused):
    """The embedded stack cannot start."""
