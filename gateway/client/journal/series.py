"""
Series of a journal: what identifies one, how a segment defines it, and which step comes next.
"""

from __future__ import annotations

import json

from gateway.client.encoding.values import INT64, dumps
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # Named step, attempt, labels sorted by name.
    StepContext = tuple[str, int, tuple[tuple[str, str], ...]]
    # Flags, steps, times, values of points, the same number of each.
    PointColumns = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[float]]
MAIN = "main"  # the named step of training code that opened none
NO_STEP = -INT64 - 2  # before the first step of a series
SERIES_BYTES = 96  # of a series around its columns
ENDINGS = frozenset({"run_finished", "run_failed", "run_killed"})


class SeriesDefinition:
    """What a number in a segment stands for."""

    __slots__ = ("attempt", "bytes", "head", "step_name")

    def __init__(self, name: str, where: StepContext) -> None:
        self.step_name, self.attempt, labels = where
        self.head = (f'{{"name":{dumps(name)},' + (f'"labels":{dumps(dict(labels))},' if labels else "")).encode()
        self.bytes = SERIES_BYTES + len(self.head)  # about what it costs around its columns

    @classmethod
    def read(cls, payload: bytes) -> SeriesDefinition:
        """Return the series that a record defines. Raises ValueError, KeyError or TypeError when it defines none."""
        found = json.loads(payload)
        name, step_name, attempt, labels = found["name"], found["step_name"], found["attempt"], found["labels"]
        return cls(str(name), (str(step_name), int(attempt), tuple((str(k), str(v)) for k, v in labels)))


def encode_definition(name: str, where: StepContext) -> bytes:
    """Return the payload of the record that defines a series."""
    return dumps({"name": name, "step_name": where[0], "attempt": where[1], "labels": where[2]}).encode()


class StepCounter:
    """The largest step of a series so far, over all attempts of its named step."""

    __slots__ = ("top",)

    def __init__(self) -> None:
        self.top = NO_STEP

    def next(self) -> int:
        """Count one step on and return it; 0 first."""
        self.top = 0 if self.top == NO_STEP else min(self.top + 1, INT64)
        return self.top

    def take(self, step: int | None) -> int:
        """Return the step, or the next one when there is none, or none that 64 bits hold."""
        if step is None:
            return self.next()
        if not -INT64 <= step <= INT64:
            warn_invalid_step(step)
            return self.next()
        self.top = max(self.top, step)
        return step


class ActiveSeries:
    """A series in the segment that is written now."""

    __slots__ = ("counter", "number")

    def __init__(self, number: int, counter: StepCounter) -> None:
        self.number = number
        self.counter = counter


def warn_invalid_step(step: object) -> None:
    """Say that a step is not used."""
    warn_once("step-size", f"step {step!r:.40} is not a 64 bit integer: the next step of the series is used")
