"""
What a process has in place of a shipper while an agent ships its journals.

A thread looks two or three times a second, for microseconds, with the standard library alone: it hands journals to the
agent, deletes what is acknowledged, makes the next segment, tells who waits, and appends heartbeats. When the agent has
ended or hangs, it takes its journals back and has a shipper in this process send them, until there is an agent again.
"""

from __future__ import annotations

import _thread
import threading
from contextlib import suppress
from time import monotonic

from gateway.client.agent.followed import FollowedJournal
from gateway.client.agent.link import AgentLink
from gateway.client.notices import warn, warn_once
from gateway.client.process.forks import importing
from gateway.client.shipping.heartbeats import Heartbeats
from gateway.client.shipping.markers import set_markers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.address import Address
    from gateway.client.journal.journal import Journal
    from gateway.client.shipping.shipper import Shipper

LOOK_EVERY_S = 0.4
SOON_S = 0.02  # while an agent starts, or points come fast
WAITING_S = 0.002  # while somebody waits for an acknowledgement
STAYS_S = 10.0  # the shortest time that this process ships a journal before an agent gets it again
STOP_TIMEOUT_S = 5.0


class AgentShipper:
    """Has an agent send the journals given to it to one address, or sends them itself."""

    is_offline = False

    def __init__(self, address: Address, mode: str) -> None:
        self.is_connected = False
        self.last_error = ""
        self._address = address
        self._mode = mode
        self._link = AgentLink()
        self._followed: list[FollowedJournal] = []  # changed by single operations of a list only
        self._own: Shipper | None = None  # of the journals that this process ships
        self._heartbeats = Heartbeats()
        self._notice = ""
        self._is_stopping = False
        self._woken = _thread.allocate_lock()  # released to wake the thread; no condition, a signal handler may do it
        self._starting = threading.Lock()  # taken, without waiting, by the caller that starts the thread
        self._thread = threading.Thread(target=self._run, name="gateway-shipper", daemon=True)

    # Called from any thread.

    @property
    def address(self) -> Address:
        """Where the journals are sent."""
        return self._address

    @address.setter
    def address(self, address: Address) -> None:
        self._address = address
        if self._own is not None:
            self._own.address = address

    def add(self, journal: Journal) -> FollowedJournal:
        """Have this journal shipped. Raises RuntimeError when no thread can be started."""
        if self._starting.acquire(blocking=False):
            try:
                self._thread.start()
            except BaseException:  # the next caller tries again; the error is passed on
                self._starting.release()
                raise
        for known in list(self._followed):
            if known.journal is journal:
                return known
        journal.set_destination(self._address.url, self._address.topic)
        made = FollowedJournal(journal)
        self._followed.append(made)
        self._wake_thread()
        return made

    def wake(self) -> None:
        """Cut now instead of at the next turn."""
        followed = list(self._followed)
        is_sent = all(one.agent for one in followed) and self._link.send()
        if not is_sent or any(one.journal.markers for one in followed):
            self._wake_thread()
        if self._own is not None:
            self._own.wake()

    def stop(self) -> None:
        """End the thread, within 5 s. What is not acknowledged stays in its journal, where an agent may have it."""
        self._is_stopping = True
        if not self._starting.locked():
            return  # it was never started
        self._wake_thread()
        self._thread.join(STOP_TIMEOUT_S)
        if self._own is not None:
            self._own.stop()

    def _wake_thread(self) -> None:
        try:
            self._woken.release()
        except RuntimeError:
            return  # it is awake already

    # In the thread.

    def _run(self) -> None:
        while not self._is_stopping:
            pause = WAITING_S
            try:
                pause = self._turn()
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: events stay in their journals
                self.last_error = repr(error)
                warn_once("follower", f"the journals of this process cannot be followed ({error!r:.300}): report this")
                pause = LOOK_EVERY_S
            self._woken.acquire(timeout=pause)
        for one in [one for one in self._followed if one.agent]:
            with suppress(OSError):
                self._follow_agent(one, monotonic())
        self._link.close()

    def _turn(self) -> float:
        """Look after each journal; return how long to wait for the next turn."""
        now, is_fast = monotonic(), self._link.is_starting
        self._link.check(self._address, now)
        for one in list(self._followed):
            before = one.journal.cursor.tail if one.journal.cursor is not None else (0, 0)
            try:
                self._follow(one, now)
            except OSError as error:  # a full disk, or a folder that is being deleted: the next turn tries again
                self.last_error = str(error)
            is_fast = is_fast or _is_fast(one.journal, before)
        with_agent = [one for one in self._followed if one.agent]
        self._say(with_agent)
        if self.is_connected and self._own is None:
            self._heartbeats.beat([one for one in with_agent if one.is_settled], now)
        self._stop_own()
        if any(one.journal.markers for one in with_agent):
            return WAITING_S
        return SOON_S if is_fast or self._link.is_starting else LOOK_EVERY_S

    def _follow(self, one: FollowedJournal, now: float) -> None:
        journal = one.journal
        if one.own is not None:
            self._follow_own(one, now)
            return
        if journal.cursor is None:
            return  # nothing is recorded yet
        journal.prepare()
        if one.agent and not self._follow_agent(one, now):
            return
        if not one.agent:
            self._place(one, now)

    def _place(self, one: FollowedJournal, now: float) -> None:
        """Hand a journal to the agent, or ship it here."""
        link, reason = self._link, self._link.reason or one.reason
        if one.may_go_to(link.id, now):
            try:
                one.hand_over(link.id, now, link.send)
                return
            except OSError as error:
                reason = str(error)
        elif self._is_stopping or (one.is_on_disk and (link.is_starting or self._mode == "require")):
            return
        if self._mode == "on":
            warn_once("agent", f"no agent ships the journals of this process ({reason}): it does so itself")
        one.own = self._own_shipper().add(one.journal)
        one.leaves_at = now + STAYS_S

    def _follow_agent(self, one: FollowedJournal, now: float) -> bool:
        """Take note of what the agent has done; return whether the journal needs another one to ship it."""
        journal, cursor = one.journal, one.journal.cursor
        assert cursor is not None
        before = cursor.acknowledged
        journal.read_cursor()
        if cursor.acknowledged != before:
            journal.delete_before(journal.reached)
        self._say([one])  # first: who waits may look at `health` then
        set_markers(journal.markers, journal.reached)
        if one.is_over:
            journal.remove()
            journal.grant = ""
            self._followed.remove(one)
            return False
        one.write_tail()
        report = cursor.read_report()
        reason = "it has ended or hangs" if one.agent != self._link.id else one.fault(report, now)
        if reason:
            journal.take_back()
            one.agent, one.reason = "", reason
        return bool(reason)

    def _follow_own(self, one: FollowedJournal, now: float) -> None:
        """Give a journal that this process ships to the agent, if there is one again."""
        producer, own, link = one.own, self._own, self._link
        assert producer is not None
        assert own is not None
        if producer.is_done:
            self._followed.remove(one)
        elif now >= one.leaves_at and one.may_go_to(link.id, now):
            one.is_leaving = True
            if own.release(producer):
                one.own = None
                self._place(one, now)
            elif now >= one.leaves_at + STOP_TIMEOUT_S:
                one.leaves_at = now + STAYS_S  # it is not acknowledged in time
        elif one.is_leaving:
            one.is_leaving = False
            own.attach([producer])

    def _own_shipper(self) -> Shipper:
        if self._own is None:
            with importing():
                from gateway.client.shipping.shipper import Shipper
            self._own = Shipper(self._address)
        return self._own

    def _stop_own(self) -> None:
        """End the shipper of this process when no journal needs it: one connection a host is enough."""
        own = self._own
        if own is not None and not any(one.own for one in self._followed):
            self._own = None
            own.stop()

    def _say(self, with_agent: list[FollowedJournal]) -> None:
        """Report on stderr, and in `health`, what the agent reports of the log."""
        if self._own is not None:
            self.is_connected, self.last_error, self._notice = self._own.is_connected, self._own.last_error, ""
            return
        for one in with_agent:
            report = one.journal.cursor.read_report() if one.journal.cursor is not None else {}
            if report.get("agent") != one.agent:
                continue
            self.is_connected, self.last_error = bool(report.get("connected")), str(report.get("error", ""))
            notice = str(report.get("notice", ""))
            if notice != self._notice:
                label = self._address.label
                warn(notice or f"{label} is reached again: waiting events are being sent")
                self._notice = notice


def _is_fast(journal: Journal, before: tuple[int, int]) -> bool:
    """Return whether points come so fast that the next segment must be made soon."""
    tail = journal.cursor.tail if journal.cursor is not None else before
    segment = journal.segments.get(tail[0])
    return tail[0] != before[0] or (segment is not None and (tail[1] - before[1]) * 4 > segment.size)
