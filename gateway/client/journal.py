"""
What this process emitted for one run and the shipper has not cut yet: the only thing `emit` writes to.

In memory and bounded. When the bound is reached the newest points and values are refused and counted; events about
the run itself (lifecycle, params, tags, …) are always taken. Whatever keeps items elsewhere, for example in a file
that survives the process, replaces this class and nothing else: items go in one at a time from any thread, and
come out oldest first to one reader.
"""

from __future__ import annotations

import threading
from collections import deque
from time import time_ns

from gateway.client.names import uuid7
from gateway.client.notices import say_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # Named step, attempt, labels sorted by name. Only tuples of plain values: Python's garbage collector stops
    # looking at those, and a queue may hold a million of them.
    Where = tuple[str, int, tuple[tuple[str, str], ...]]
    # Name, value, step (None: the next one), time in ns since 1970, where.
    Point = tuple[str, float | int, int | None, int, Where]

MAX_ITEMS = 1_000_000  # of about 190 bytes each
MAX_VALUE_BYTES = 67_108_864  # in values that are not points


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


class Marker:
    """A place in the journal; `reached` is set when everything before it is acknowledged."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = threading.Event()


if TYPE_CHECKING:
    Item = Point | Observation | Event | Marker


class Journal:
    """The queue of one producer for one run."""

    __slots__ = ("_append", "_lock", "_queue", "_room", "_value_bytes", "_value_room", "dropped", "producer", "run_id")

    def __init__(self, run_id: str, *, max_items: int = MAX_ITEMS, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self.run_id = run_id
        self.producer = uuid7()
        self.dropped = 0  # points and values refused
        self._queue: deque[Item] = deque()
        self._append: Callable[[Item], None] = self._queue.append
        self._room = max_items
        self._value_bytes = 0
        self._value_room = max_value_bytes
        self._lock = threading.Lock()

    def put(self, name: str, value: float | int, step: int | None, where: Where) -> None:
        """Append one metric point with the time of now. This is the hot path: no lock, no allocation but the tuple."""
        if len(self._queue) < self._room:
            self._append((name, value, step, time_ns(), where))
        else:
            self._refuse()

    def put_at(self, name: str, value: float | int, step: int | None, time: int, where: Where) -> None:
        """Append one metric point of another time (µs)."""
        if len(self._queue) < self._room:
            self._append((name, value, step, time * 1_000, where))
        else:
            self._refuse()

    def observe(self, observation: Observation) -> None:
        """Append one value that is not a metric point."""
        with self._lock:
            fits = len(self._queue) < self._room and self._value_bytes + observation.size <= self._value_room
            if fits:
                self._value_bytes += observation.size
        if fits:
            self._append(observation)
        else:
            self._refuse()

    def append(self, item: Event | Marker) -> None:
        """Append what is never refused."""
        self._append(item)

    def take(self, limit: int) -> list[Item]:
        """Remove and return at most `limit` items, oldest first. One reader only."""
        queue = self._queue
        pop = queue.popleft
        items = [pop() for _ in range(min(len(queue), limit))]
        if self._value_bytes:
            with self._lock:
                self._value_bytes -= sum(item.size for item in items if type(item) is Observation)
        return items

    def waiting(self) -> int:
        """Return how many points and values wait here."""
        return sum(type(item) in (tuple, Observation) for item in list(self._queue))

    def __len__(self) -> int:
        return len(self._queue)

    def lose(self, count: int) -> None:
        """Count points or values that will never be sent."""
        with self._lock:
            self.dropped += count

    def _refuse(self) -> None:
        self.lose(1)
        say_once(
            "full",
            f"run {self.run_id}: events come faster than they can be sent, and memory for them is used up: "
            "new metric points are dropped and counted until there is room",
        )
