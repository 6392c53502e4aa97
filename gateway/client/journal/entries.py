"""
Entries of a journal other than metric points, and the kind and time of an entry's JSON.
"""

from __future__ import annotations

from threading import Lock

from gateway.client.encoding.values import dumps, now
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.series import StepContext

BULK = frozenset({"text", "system_metrics", "note"})  # kinds that the bound of a journal refuses, like points
MAX_EVENT = 900_000  # bytes of an event; a Kafka record has 1,000,000


class Flag:
    """
    Tells one waiting caller that something has happened.

    Not threading.Event: the caller that begins to wait holds its lock for a moment. A signal handler in that moment
    would keep the lock, and the shipper, which sets the flag, would wait for the end of the handler.
    """

    __slots__ = ("_is_waiting", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._is_waiting = Lock()
        self._is_waiting.acquire()

    def set(self) -> None:
        """Tell it. Called once."""
        self.is_set = True
        self._is_waiting.release()

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it has happened; False if that took longer than `timeout_s` seconds."""
        return self.is_set or self._is_waiting.acquire(timeout=timeout_s)


class Marker:
    """A position in a journal. `reached` is set once everything before it is acknowledged."""

    __slots__ = ("position", "reached")

    def __init__(self) -> None:
        self.position = (0, 0)  # segment and offset
        self.reached = Flag()


class Observation:
    """One value that is not a metric point."""

    __slots__ = ("context", "name", "size", "step", "time", "typed")

    def __init__(
        self, name: str, typed: dict[str, object], size: int, step: int | None, time: int, context: StepContext
    ) -> None:
        self.name = name
        self.typed = typed
        self.size = size  # bytes of `typed` as JSON
        self.step = step
        self.time = time  # µs
        self.context = context


class JournalEvent:
    """An event that consists of neither points nor values, as its JSON object."""

    __slots__ = ("body",)

    def __init__(self, body: dict[str, object]) -> None:
        self.body = body

    @property
    def droppable(self) -> int:
        """Number of lines, samples or notes in an event that may be refused; 0 for one that never is."""
        if self.body["kind"] not in BULK:
            return 0
        parts = self.body.get("lines") or self.body.get("series")
        return len(parts) if isinstance(parts, list) else 1

    def encode(self) -> bytes:
        """Return the JSON to write: the event, or a heartbeat in its place when no record can hold the event."""
        kind = self.body["kind"]
        try:
            payload = dumps({"kind": kind, **self.body}).encode()
            fault = f"of {len(payload):,} bytes is too large" if len(payload) > MAX_EVENT else ""
        except (TypeError, ValueError) as error:
            fault = f"cannot be written as JSON ({error!r:.200})"
        if not fault:
            return payload
        warn_once("record", f"an event {kind} {fault}: it is dropped")
        return dumps({"kind": "heartbeat", "time": now()}).encode()


def kind_of(text: bytes) -> str:
    """Return the kind of an event from its JSON, which begins with the kind, as the journal writes it."""
    begin = len(b'{"kind":"')
    return text[begin : text.index(b'"', begin)].decode()


def time_of(text: bytes) -> int:
    """Return the time of an event or value from its JSON, in µs; 0 when it has none."""
    _, found, rest = text.partition(b'"time":')
    digits = rest[:20].split(b",")[0].split(b"}")[0]
    return int(digits) if found and digits.isdigit() else 0
