"""
A journal of this process, the shipper that sends it, and the journal that follows it.

Nothing here waits. A signal handler, a destructor or the garbage collector may record at any moment, in the thread that
is in the middle of the same work. So each kind of work is done by the one caller that claims it, and all others go on.
"""

from __future__ import annotations

from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from gateway.client.agent.followed import FollowedJournal
    from gateway.client.agent.follower import AgentShipper
    from gateway.client.journal.journal import Journal
    from gateway.client.shipping.producer import Producer
    from gateway.client.shipping.shipper import Shipper

    AnyShipper: TypeAlias = Shipper | AgentShipper
    AnyProducer: TypeAlias = Producer | FollowedJournal


class ShippedJournal:
    """One journal of a run in this process. `shipper` and `producer` are None until a shipper has it."""

    __slots__ = ("_ending", "_next", "journal", "producer", "shipper", "shipping")

    def __init__(self, journal: Journal, *, is_ended: bool = False) -> None:
        self.journal = journal
        self.shipper: AnyShipper | None = None
        self.producer: AnyProducer | None = None
        self.shipping = Lock()  # held, without waiting, by the caller that hands the journal to a shipper
        self._ending = Lock()  # taken once, by the caller that ends the producer
        self._next: dict[str, ShippedJournal] = {}
        if is_ended:
            self.claim_end()

    @property
    def is_ended(self) -> bool:
        """Whether the producer ends: what is recorded from now on belongs into the next journal."""
        return self._ending.locked()

    def claim_end(self) -> bool:
        """Return True to one caller, which then ends the producer, and False to all others."""
        return self._ending.acquire(blocking=False)

    def follow(self, made: ShippedJournal) -> ShippedJournal:
        """Return the journal after this one: the first that any caller made."""
        return self._next.setdefault("", made)

    @property
    def next(self) -> ShippedJournal | None:
        """The journal after this one, if there is one."""
        return self._next.get("")
