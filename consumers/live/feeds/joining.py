"""
What a reader of series has had: so that each point comes once, from the log while it catches up and then from the tail.

Pure but for its own memory, which is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, TypeVar

from consumers.live.stream.messages import Message
from consumers.live.stream.subscribers import MAX_QUEUE_BYTES, MAX_QUEUE_MESSAGES
from consumers.log.dedup import Ledger, admit

MAX_KNOWN = 10_000  # producers, and named steps
K = TypeVar("K")
V = TypeVar("V")


class Joining:
    """Offsets, numbers of producers and attempts of what one reader was given."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        """Everything below these offsets was given."""
        self.is_lost = False
        self._early: list[Message] | None = None  # of the tail, while the stream catches up
        self._bytes = 0  # of these
        self._next = dict(positions)
        self._ledgers: OrderedDict[tuple[str, str], tuple[int, Ledger]] = OrderedDict()
        self._attempts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def begin(self) -> None:
        """Hold back what the tail publishes."""
        self._early = []

    def holds_back(self, message: Message) -> bool:
        """Keep a message of the tail for later, and tell so, while the stream catches up."""
        if self._early is None:
            return False
        if len(self._early) < MAX_QUEUE_MESSAGES and self._bytes + message.size <= MAX_QUEUE_BYTES:
            self._early.append(message)
            self._bytes += message.size
        else:
            self.is_lost = True
        return True

    def end(self) -> list[Message]:
        """Return what was held back; nothing is from now on."""
        found, self._early = self._early or [], None
        return found

    def is_next(self, message: Message) -> bool:
        """Tell whether a message comes after those before it in its partition."""
        if message.offset < self._next.get(message.partition, 0):
            return False
        self._next[message.partition] = message.offset + 1
        return True

    def admit(self, message: Message) -> Literal["new", "repeated", "late"]:
        """Return new, repeated or late: with a number below the first that this stream saw of the producer."""
        key, seq = (message.run_id, message.envelope.producer), message.envelope.seq
        first, ledger = self._ledgers.get(key) or (seq, Ledger(seq, ((0, seq),) if seq else ()))
        ledger, is_new = admit(ledger, seq)
        _remember(self._ledgers, key, (first, ledger))
        if not is_new:
            return "repeated"
        return "late" if seq < first else "new"

    def is_new_attempt(self, run_id: str, step: str, attempt: int) -> bool:
        """Tell whether points are of another attempt of their step than those before."""
        known = self._attempts.get((run_id, step), attempt)
        _remember(self._attempts, (run_id, step), max(known, attempt))
        return known != attempt


def _remember(where: OrderedDict[K, V], key: K, value: V) -> None:
    where[key] = value
    where.move_to_end(key)
    if len(where) > MAX_KNOWN:
        where.popitem(last=False)
