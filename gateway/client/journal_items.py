"""What goes into a journal, and what it remembers of its series."""

from __future__ import annotations

from errno import EDQUOT, EFBIG, ENOSPC
from threading import Event as Flag

from gateway.client.notices import say_once
from gateway.client.values import INT64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.batch import Where

NOTHING = -INT64 - 2  # before the first step of a series


class Marker:
    """A place in a journal; `reached` is set when everything before it is acknowledged."""

    __slots__ = ("place", "reached")

    def __init__(self) -> None:
        self.place = (0, 0)  # segment and offset
        self.reached = Flag()


class Observation:
    """One value that is not a metric point."""

    __slots__ = ("name", "size", "step", "time", "typed", "where")

    def __init__(self, name: str, typed: dict[str, object], size: int, step: int | None, time: int, where: Where):
        self.name = name
        self.typed = typed
        self.size = size  # bytes of `typed` as JSON
        self.step = step
        self.time = time  # µs
        self.where = where


class Event:
    """An event that is not made of points, as its JSON object."""

    __slots__ = ("body",)

    def __init__(self, body: dict[str, object]) -> None:
        self.body = body


class Counter:
    """The largest step of a series so far, over all attempts of its named step."""

    __slots__ = ("top",)

    def __init__(self) -> None:
        self.top = NOTHING

    def next(self) -> int:
        """Count one step on and return it; 0 first."""
        self.top = 0 if self.top == NOTHING else min(self.top + 1, INT64)
        return self.top


class Known:
    """A series in the segment that is written now."""

    __slots__ = ("counter", "number")

    def __init__(self, number: int, counter: Counter) -> None:
        self.number = number
        self.counter = counter


def say_full(run_id: str, folder: str, error: OSError) -> None:
    """Say that points are dropped."""
    say_once(
        "full",
        f"run {run_id}: the journal {folder or 'in memory'} cannot grow ({error}): new metric points are dropped and "
        "counted until there is room: free disk, or raise GATEWAY_JOURNAL_MAX_MB",
    )


def say_unusable(home: str, error: OSError) -> None:
    """Say that the journal is in memory."""
    is_full = error.errno in (ENOSPC, EDQUOT, EFBIG)
    step = "free disk there" if is_full else "make the folder writable"
    say_once(
        "journal",
        f"the journal folder {home} cannot be used ({error}): events wait in memory and are lost when this process is "
        f"killed: {step}, or set GATEWAY_JOURNAL_DIR to {'a disk with room' if is_full else 'one that is'}",
    )


def say_odd(step: object) -> None:
    """Say that a step is not used."""
    say_once("step-size", f"step {step!r:.40} is not a 64 bit integer: the next step of the series is used")
