"""
The thread that ships journals to the log.

There is one daemon thread for each address, with its own event loop. One task cuts records from the journals of all
runs; the other sends them in the order in which they were cut. While one group is being sent, the next is cut and
encoded. A record stays here, and in its journal, until it is acknowledged. When a send fails, the transport is closed
and a new one is opened, after pauses that grow; sending then continues with the first record that is not acknowledged,
with the same bytes. Nothing here raises into training, and nothing waits for training.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from time import monotonic

from gateway.client.errors import Unsent
from gateway.client.notices import warn, warn_once
from gateway.client.process.forks import importing
from gateway.client.shipping.heartbeats import Heartbeats
from gateway.client.shipping.producer import Producer, finished_journals
from gateway.client.transports.factory import make_transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from gateway.client.address import Address
    from gateway.client.journal.journal import Journal
    from gateway.client.shipping.producer import OutgoingRecord
    from gateway.client.shipping.recovery import OrphanedJournal
    from gateway.client.transports.transport import Refusal, Transport

CUT_EVERY_S = 0.2  # the longest a point waits in its journal while there is room in the backlog
CUT_POINTS = 1_000  # ... shorter when points come faster: the pause in which about this many arrive
CUT_AT_LEAST_S = 0.005  # the shortest pause
TURN_ITEMS = 4_000  # points, values and events cut from one journal before the next journal and the network
GROUP_BYTES = 960_000  # sent at once; one Kafka batch
BACKLOG_BYTES = 16_777_216  # cut and not acknowledged; the rest waits in the journals
WARN_AFTER_S = 10.0  # without an acknowledgement
SEND_TIMEOUT_S = 60.0  # ... then the transport is closed and a new one is opened
BACK_OFF_S = (0.1, 5.0)  # first and longest pause after a failure
STOP_TIMEOUT_S = 5.0
ORPHAN_REST = 4  # rest between two cuts of a dead process's journal, in times of the first one
MAX_FINISHED = 32  # finished journals held open while the log is away; each has three file descriptors
ADOPT_EVERY_S = 30.0  # between two searches for journals of dead processes


class Shipper:
    """Sends the journals given to it to one address until it is stopped."""

    def __init__(
        self, address: Address, make: Callable[[Address], Transport] = make_transport, *, adopts: bool = True
    ) -> None:
        self.address = address
        self.is_offline = not address.keeps  # nothing is sent: journals stay for `gateway sync`
        self._make_transport = make
        self.is_connected = False
        self.last_error = ""
        self.uncut: dict[Producer, str] = {}  # why nothing can be cut from their journals
        self._producers: list[Producer] = []  # changed by single operations of a list only: no caller waits for a lock
        self._backlog: deque[OutgoingRecord] = deque()
        self._backlog_bytes = 0
        self._has_let_go = False  # finished journals of this process wait to be found again
        self._is_sending = False  # the first records of the backlog are on their way
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_items: asyncio.Event | None = None  # set to cut now instead of at the next turn
        self._has_records: asyncio.Event | None = None
        self._is_stopping = False
        self._warned_down: set[str] = set()  # warnings about the address since its last acknowledgement
        self._orphan: OrphanedJournal | None = None  # a dead process's journal that is being shipped
        self._heartbeats = Heartbeats()
        self._adopts = adopts  # journals of dead processes, in the background; `gateway sync` adopts them itself
        self._is_searching = False  # for an orphan
        self._adopt_at = 0.0  # time of the next search, monotonic
        self._cut_orphan_at = 0.0  # no cut of the orphan before this time, monotonic
        self._skipped: set[str] = set()  # folders not to examine again
        self._started = threading.Event()
        self._starting = threading.Lock()  # taken, without waiting, by the caller that starts the thread
        self._thread = threading.Thread(target=self._run, name="gateway-shipper", daemon=True)

    # Called from any thread.

    def _start(self) -> None:
        """Start the thread, unless it runs or another caller is starting it. Raises RuntimeError when none is left."""
        if self.is_offline or not self._starting.acquire(blocking=False):
            return
        try:
            self._thread.start()
        except BaseException:  # the next caller tries again; the error is passed on
            self._starting.release()
            raise

    def add(self, journal: Journal) -> Producer:
        """
        Ship this journal, and return its producer: the same one, however often the journal is added.

        Raises RuntimeError when no thread can be started.
        """
        self._start()
        for known in list(self._producers):
            if known.journal is journal:
                return known
        journal.set_destination(self.address.url, self.address.topic)
        producer = Producer(journal)
        if self.is_offline:
            return producer
        self._producers.append(producer)
        self.wake()
        return producer

    def adopt(self, orphan: OrphanedJournal) -> None:
        """Ship an orphaned journal."""
        self._start()
        self._producers.extend(orphan.producers)
        self.wake()

    def wake(self) -> None:
        """Cut now instead of at the next turn."""
        loop, event = self._loop, self._has_items
        if loop is None or event is None:
            return  # the first turn has not started yet
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:
            return  # the loop is closed: stop() came first

    def stop(self) -> None:
        """End the thread, within 5 s. Records that are not acknowledged stay in their journals."""
        self._is_stopping = True
        if not self._starting.locked():
            return  # it was never started
        self._started.wait(STOP_TIMEOUT_S)
        self.wake()
        self._thread.join(STOP_TIMEOUT_S)

    # In the shipper's thread.

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                with asyncio.Runner(loop_factory=_Loop) as runner:
                    runner.run(self._ship())
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: records are kept, a new loop continues
                self.last_error = repr(error)
                threading.Event().wait(BACK_OFF_S[1])

    async def _ship(self) -> None:
        with importing():
            import gateway.client.encoding.columns  # noqa: F401 -- cuts need it; a fork must not copy it half imported
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._record_error)
        self._has_items, self._has_records = asyncio.Event(), asyncio.Event()
        self._started.set()
        sending = asyncio.ensure_future(self._send_forever(self._has_records))
        cutting = asyncio.ensure_future(self._cut_until_stopped(self._has_items, self._has_records))
        try:
            done, _ = await asyncio.wait({sending, cutting}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (sending, cutting):
                task.cancel()
            await asyncio.wait({sending, cutting})

    def _record_error(self, loop: object, context: dict[str, Any]) -> None:
        self.last_error = str(context.get("exception") or context.get("message"))

    async def _cut_until_stopped(self, has_items: asyncio.Event, has_records: asyncio.Event) -> None:
        pause = CUT_EVERY_S
        while not self._is_stopping:
            self._adopt_orphan()
            if self.is_connected and not self._backlog:
                self._heartbeats.beat(self._producers, monotonic())
            has_items.clear()
            points, is_more = await self._cut_all(has_records)
            if is_more:
                continue
            pause = min(CUT_EVERY_S, max(CUT_AT_LEAST_S, pause * CUT_POINTS / max(points, 1)))
            # A timer instead of a timeout: nothing is cancelled and raised, five times a second in each process.
            timer = (
                asyncio.get_running_loop().call_later(pause, has_items.set)
                if self._producers or self._has_let_go
                else None
            )
            await has_items.wait()
            if timer is not None:
                timer.cancel()

    def _adopt_orphan(self) -> None:
        """When there is nothing else to do, ship a journal that a dead process left for the same address."""
        if self._orphan is not None and self._orphan.is_done:
            self._orphan.delete()
            self._orphan.close()
            self._orphan, self._adopt_at = None, 0.0
        elif self._orphan is not None and self.give_up(self._orphan):
            self._skipped.add(self._orphan.folder)
            self._orphan.close()
            self._orphan, self._adopt_at = None, 0.0
        now = monotonic()
        if not self._adopts or self._is_searching or self._orphan is not None:
            return
        if self._backlog or not self.is_connected or now < self._adopt_at:
            return
        self._adopt_at, self._is_searching = now + ADOPT_EVERY_S, True
        try:  # reading a large journal takes long: meanwhile this thread must ship
            threading.Thread(target=self._find_orphan, name="gateway-adopter", daemon=True).start()
        except RuntimeError:  # no thread is left, or the interpreter is exiting
            self._is_searching = False

    def _find_orphan(self) -> None:
        """Adopt one orphaned journal, in a thread of its own."""
        try:
            with importing():
                from gateway.client.shipping.recovery import find_orphan
            found = find_orphan((self.address.url, self.address.topic), self._skipped)
            self._has_let_go = self._has_let_go and found is not None
            if found is not None and self._is_stopping:
                found.close()
            elif found is not None:
                self._orphan = found
                self.adopt(found)
        except Exception as error:  # noqa: BLE001 -- a folder in an unforeseen state: it stays for `gateway sync`
            self.last_error = repr(error)
        finally:
            self._is_searching = False

    async def _cut_all(self, has_records: asyncio.Event) -> tuple[int, bool]:
        """Give each journal one turn. Return the number of points cut, and whether more can be cut right away."""
        points, is_more = 0, False
        self._let_go()
        producers = list(self._producers)
        for done in [one for one in producers if one.is_done]:
            self._producers.remove(done)
            producers.remove(done)
        for producer in producers:
            producer.journal.prepare()
        for producer in producers:
            if self._backlog_bytes >= BACKLOG_BYTES:
                return points, False
            is_orphaned = self._orphan is not None and producer in self._orphan.producers
            # One that is let go while others have their turn may be another process's by now.
            if producer not in self._producers or (is_orphaned and monotonic() < self._cut_orphan_at):
                continue
            begun = monotonic()
            try:
                cut = producer.cut(TURN_ITEMS)
            except Exception as error:  # noqa: BLE001 -- its records stay in its journal, those of the others are sent
                self._set_uncut(producer, error)
                continue
            self.uncut.pop(producer, None)
            for record in cut:
                self._backlog.append(record)
                self._backlog_bytes += len(record.record)
                points += record.points
            if is_orphaned:  # cutting must not take time from training
                self._cut_orphan_at = monotonic() + ORPHAN_REST * (monotonic() - begun)
            is_more = is_more or (producer.has_full_cut and not is_orphaned)
            if self._backlog:
                has_records.set()
            if is_more or producer is not producers[-1]:
                await asyncio.sleep(0)
        return points, is_more

    def _set_uncut(self, producer: Producer, error: Exception) -> None:
        """Name a journal from which nothing can be cut now. The next turn tries again."""
        reason = f"its journal cannot be read ({type(error).__name__}: {str(error)[:200]})"
        self.uncut[producer] = self.last_error = reason
        warn_once(
            f"uncut {producer.journal.run_id}",
            f"run {producer.journal.run_id}: {reason}: its events stay there, those of other runs are sent; keep the "
            "journal and report this",
        )

    def give_up(self, orphan: OrphanedJournal) -> str:
        """Stop shipping an orphaned journal of which nothing more can be cut; return why, and "" while it continues."""
        reason = next((self.uncut[one] for one in orphan.producers if one in self.uncut), "")
        if not reason or any(one.acknowledged_records < one.records for one in orphan.producers):
            return ""  # what was cut must be acknowledged in its journal
        for producer in orphan.producers:
            self.uncut.pop(producer, None)
            if producer in self._producers:
                self._producers.remove(producer)
        return reason

    def _let_go(self) -> None:
        """Close the oldest finished journals while the log is away; they are found again, like those of the dead."""
        if not self._warned_down or self._is_sending or len(self._producers) <= MAX_FINISHED:
            return
        for producer, journal in finished_journals(self._producers)[:-MAX_FINISHED]:
            self._producers.remove(producer)
            self.uncut.pop(producer, None)
            self._backlog = deque(record for record in self._backlog if record.producer is not producer)
            journal.close()
            self._has_let_go, self._adopt_at = True, 0.0
        self._backlog_bytes = sum(len(record.record) for record in self._backlog)

    async def _send_forever(self, has_records: asyncio.Event) -> None:
        transport: Transport | None = None
        pause = BACK_OFF_S[0]
        try:
            while True:
                has_records.clear()
                if transport is not None and not self._backlog:
                    await has_records.wait()
                try:
                    if transport is None:
                        transport = self._make_transport(self.address)
                        await transport.open()
                        self.is_connected = True
                    group = self._next_group()
                    if group:
                        self._count_refused(group, await self._send(transport, group))
                        self._acknowledge(group)
                        pause = BACK_OFF_S[0]
                except Exception as error:  # noqa: BLE001 -- the transport's library failed: the records are sent again
                    self._warn_down(error)
                    await _close(transport)
                    transport = None
                    self._let_go()
                    await asyncio.sleep(pause * (0.75 + os.urandom(1)[0] / 512))
                    pause = min(pause * 2, BACK_OFF_S[1])
        finally:
            await _close(transport)

    def _next_group(self) -> list[OutgoingRecord]:
        group: list[OutgoingRecord] = []
        size = 0
        for record in self._backlog:
            size += len(record.record)
            if group and size > GROUP_BYTES:
                break
            group.append(record)
        return group

    async def _send(self, transport: Transport, group: list[OutgoingRecord]) -> Sequence[Refusal]:
        late = asyncio.get_running_loop().call_later(WARN_AFTER_S, self._warn_late)
        self._is_sending = True
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                refusals = await transport.send([record.record for record in group]) or ()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unsent(f"no acknowledgement for {SEND_TIMEOUT_S:.0f} s") from error
        finally:
            self._is_sending = False
            late.cancel()
        self._report_up()
        return refusals

    def _count_refused(self, group: list[OutgoingRecord], refusals: Sequence[Refusal]) -> None:
        """Count as lost what the other end will never take. The number of a refused record is used anyway."""
        for refusal in refusals:
            record = group[refusal.number]
            self.last_error = refusal.reason
            warn_once(
                "refused",
                f"{self.address.label} will never take a record of {len(record.record):,} bytes "
                f"({refusal.reason:.300}): it is counted as lost, and the others are sent",
            )
            record.producer.count_lost(record.points + record.values)
            record.points = record.values = 0  # not sent

    def _acknowledge(self, group: list[OutgoingRecord]) -> None:
        was_full = self._backlog_bytes >= BACKLOG_BYTES
        # From the backlog first: a record that is counted as acknowledged must not be sent again.
        for record in group:
            self._backlog.popleft()
            self._backlog_bytes -= len(record.record)
        for record in group:
            record.producer.acknowledge([record])
        if was_full and self._has_items is not None:
            self._has_items.set()

    def _warn_late(self) -> None:
        self._warn_down(Unsent(f"no acknowledgement for {WARN_AFTER_S:.0f} s"))

    def _warn_down(self, error: Exception) -> None:
        """Warn once for each kind of failure."""
        self.is_connected = False
        self.last_error = str(error) or repr(error)
        known = error if isinstance(error, Unsent) else Unsent(self.last_error)
        if known.what not in self._warned_down:
            self._warned_down.add(known.what)
            line = (
                f"{self.address.label} {known.what} ({known.why:.300}): training continues and events wait in the "
                "journal"
            )
            warn(f"{line}: {known.step}" if known.step else line)

    def _report_up(self) -> None:
        self.is_connected = True
        if self._warned_down:
            self._warned_down.clear()
            warn(f"{self.address.label} is reached again: waiting events are being sent")


class _Loop(asyncio.SelectorEventLoop):
    """
    An event loop without helper threads.

    It resolves host names in its own thread: a thread pool refuses work as soon as the interpreter begins to exit,
    which is exactly when a short script's events are sent.
    """

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        return socket.getaddrinfo(host, port, **hints)


async def _close(transport: Transport | None) -> None:
    if transport is not None:
        try:
            await transport.close()
        except Exception:  # noqa: BLE001 -- the transport's library failed; its records are still in the backlog
            return
