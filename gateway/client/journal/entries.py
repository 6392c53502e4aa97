"""What goes into a journal, and what it remembers of its series."""

from __future__ import annotations

from errno import EDQUOT, EFBIG, ENOSPC
from threading import Event as Flag

from gateway.client.encoding.values import dumps, now
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.series import StepContext

MAX_EVENT = 900_000  # bytes of an event; a Kafka record has 1,000,000


class Marker:
    """A place in a journal; `reached` is set when everything before it is acknowledged."""

    __slots__ = ("place", "reached")

    def __init__(self) -> None:
        self.place = (0, 0)  # segment and offset
        self.reached = Flag()


class Observation:
    """One value that is not a metric point."""

    __slots__ = ("name", "size", "step", "time", "typed", "where")

    def __init__(self, name: str, typed: dict[str, object], size: int, step: int | None, time: int, where: StepContext):
        self.name = name
        self.typed = typed
        self.size = size  # bytes of `typed` as JSON
        self.step = step
        self.time = time  # µs
        self.where = where


class JournalEvent:
    """An event that is not made of points, as its JSON object."""

    __slots__ = ("body",)

    def __init__(self, body: dict[str, object]) -> None:
        self.body = body

    def payload(self) -> bytes:
        """Return it as it is written; a heartbeat in the place of what no record can hold."""
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


def warn_full(run_id: str, folder: str, error: OSError) -> None:
    """Say that points are dropped."""
    warn_once(
        "full",
        f"run {run_id}: the journal {folder or 'in memory'} cannot grow ({error}): new metric points are dropped and "
        "counted until there is room: free disk, or raise GATEWAY_JOURNAL_MAX_MB",
    )


def warn_unusable(home: str, error: OSError) -> None:
    """Say that the journal is in memory."""
    is_full = error.errno in (ENOSPC, EDQUOT, EFBIG)
    step = "free disk there" if is_full else "make the folder writable"
    warn_once(
        "journal",
        f"the journal folder {home} cannot be used ({error}): events wait in memory and are lost when this process is "
        f"killed: {step}, or set GATEWAY_JOURNAL_DIR to {'a disk with room' if is_full else 'one that is'}",
    )


def kind_of(text: bytes) -> str:
    """Return the kind of an event whose JSON starts with it, as the journal writes it."""
    begin = len(b'{"kind":"')
    return text[begin : text.index(b'"', begin)].decode()


def time_of(text: bytes) -> int:
    """Return the time of an event or a value given as JSON, in µs; 0 when it has none."""
    _, found, rest = text.partition(b'"time":')
    digits = rest[:20].split(b",")[0].split(b"}")[0]
    return int(digits) if found and digits.isdigit() else 0
