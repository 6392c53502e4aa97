"""
Series of a journal: what identifies one, how a segment defines it, and which step comes next.
"""

from __future__ import annotations

import json

from gateway.client.encoding.values import INT64, dumps
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    # Named step, attempt, labels sorted by name.
    StepContext = tuple[str, int, tuple[tuple[str, str], ...]]
    # Flags, steps, times and values of points, the same number of each.
    PointColumns = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[float]]

MAIN = "main"  # the named step of training code that has opened none
NO_STEP = -INT64 - 2  # largest step of a series without points
SERIES_BYTES = 96  # JSON of a series, without its columns, name and labels
MAX_COUNTERS = 100_000  # series whose next step is known: 30 MB. A segment of 16 MiB defines 60,000 new ones at most
ENDINGS = frozenset({"run_finished", "run_failed", "run_killed"})


class SeriesDefinition:
    """The series that a number in a segment stands for."""

    __slots__ = ("attempt", "bytes", "head", "step_name")

    def __init__(self, name: str, context: StepContext) -> None:
        self.step_name, self.attempt, labels = context
        self.head = (f'{{"name":{dumps(name)},' + (f'"labels":{dumps(dict(labels))},' if labels else "")).encode()
        self.bytes = SERIES_BYTES + len(self.head)  # estimated JSON without the columns

    @classmethod
    def read(cls, payload: bytes) -> SeriesDefinition:
        """Return the series that a record defines. Raises ValueError, KeyError or TypeError when it defines none."""
        found = json.loads(payload)
        name, step_name, attempt, labels = found["name"], found["step_name"], found["attempt"], found["labels"]
        return cls(str(name), (str(step_name), int(attempt), tuple((str(k), str(v)) for k, v in labels)))


def encode_definition(name: str, context: StepContext) -> bytes:
    """Return the payload of the record that defines a series."""
    return dumps({"name": name, "step_name": context[0], "attempt": context[1], "labels": context[2]}).encode()


class StepCounter:
    """The largest step of a series so far, over all attempts of its named step."""

    __slots__ = ("largest",)

    def __init__(self, largest: int = NO_STEP) -> None:
        self.largest = largest

    def next(self) -> int:
        """Advance by one step and return it. The first is 0."""
        self.largest = 0 if self.largest == NO_STEP else min(self.largest + 1, INT64)
        return self.largest

    def accept(self, step: int | None) -> int:
        """Return the step, which has at most 64 bits; the next one when `step` is None."""
        if step is None:
            return self.next()
        self.largest = max(self.largest, step)
        return step


class BlindCounter(StepCounter):
    """A counter that does not know the steps of earlier attempts; says so when it has to make up the first step."""

    __slots__ = ("_why",)

    def __init__(self, why: str) -> None:
        super().__init__()
        self._why = why

    def next(self) -> int:
        """Advance by one step and return it."""
        if self.largest == NO_STEP:
            warn_once("steps", self._why)
        return super().next()


class StepCounters:
    """The counters of the series of a run in this process. Those used longest ago are forgotten beyond MAX_COUNTERS."""

    __slots__ = ("_found", "_run_id", "make")

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.make: Callable[[tuple[str, str, Any]], StepCounter] = lambda _: StepCounter()  # of a series that is new
        self._found: dict[tuple[str, str, Any], StepCounter] = {}  # by name, named step and labels; used last: last

    def __len__(self) -> int:
        return len(self._found)

    def find(self, series: tuple[str, str, Any]) -> StepCounter:
        """Return the counter of a series. Called once in each segment that has points of the series."""
        counter = self._found.pop(series, None) or self.make(series)
        self._found[series] = counter
        if len(self._found) > MAX_COUNTERS:
            del self._found[next(iter(self._found))]
            warn_once(
                "names",
                f"run {self._run_id} has more than {MAX_COUNTERS:,} series in this process: steps of a series that is "
                f"used again after {MAX_COUNTERS:,} others begin at 0 again: give step=",
            )
        return counter


class ActiveSeries:
    """A series of the segment that is being written."""

    __slots__ = ("counter", "number")

    def __init__(self, number: int, counter: StepCounter) -> None:
        self.number = number
        self.counter = counter


def warn_invalid_step(step: object) -> None:
    """Warn once that a point is refused for its step."""
    warn_once("step", f"step {step!r:.40} has more than 64 bits: give a smaller one. Its value is counted as dropped")
