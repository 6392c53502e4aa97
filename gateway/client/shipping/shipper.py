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
import threading
from collections import deque
from contextlib import suppress
from time import monotonic

from gateway.client.errors import Unsent
from gateway.client.journal.readable import Withdrawn
from gateway.client.notices import warn, warn_once
from gateway.client.process.forks import importing
from gateway.client.shipping.adopter import Adopter
from gateway.client.shipping.heartbeats import Heartbeats
from gateway.client.shipping.loop import ThreadlessLoop
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
MAX_FINISHED = 32  # finished journals held open while the log is away; each has three file descriptors


class Shipper:
    """Sends the journals given to it to one address until it is stopped."""

    def __init__(
        self,
        address: Address,
        make: Callable[[Address], Transport] = make_transport,
        *,
        adopts: bool = True,
        every_s: float = 0.0,
    ) -> None:
        self.address = address
        self.is_offline = not address.keeps  # nothing is sent: journals stay for `gateway sync`
        self._make_transport = make
        self.is_connected = False
        self.last_error = ""
        self.notice = ""  # what was warned of and is not over
        self.uncut: dict[Producer, str] = {}  # why nothing can be cut from their journals
        self._producers: list[Producer] = []  # changed by single operations of a list only: no caller waits for a lock
        self._backlog: deque[OutgoingRecord] = deque()
        self._backlog_bytes = 0
        self._is_sending = False  # the first records of the backlog are on their way
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_items: asyncio.Event | None = None  # set to cut now instead of at the next turn
        self._has_records: asyncio.Event | None = None
        self._is_stopping = False
        self._warned_down: set[str] = set()  # warnings about the address since its last acknowledgement
        self._heartbeats = Heartbeats()
        self._adopts = adopts  # journals of dead processes, in the background; `gateway sync` adopts them itself
        self._adopter = Adopter(self.adopt, self.give_up)
        # All journals are cut this often, and sent together; 0: as fast as their points come.
        self._every_s = every_s
        self._released: set[Producer] = set()
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
        self.attach(orphan.producers)

    def attach(self, producers: Sequence[Producer]) -> None:
        """Ship journals of other processes."""
        self._start()
        self._released.difference_update(producers)
        self._producers.extend(producers)
        self.wake()

    def detach(self, producer: Producer) -> None:
        """Cut nothing more from a journal, once the present cut is made; what is cut of it is sent."""
        self.uncut.pop(producer, None)
        with suppress(ValueError):  # it is done
            self._producers.remove(producer)

    def release(self, producer: Producer) -> bool:
        """
        Return whether nothing here has to do with a journal any more, so that another process may cut it.

        The first call stops cutting it; the caller repeats the call until what is cut is acknowledged.
        """
        self.detach(producer)
        self._call(self._note_release, producer)
        return producer in self._released

    def _note_release(self, producer: Producer) -> None:
        # In the shipper's thread, so in the middle of nothing.
        if producer.is_settled and producer not in self._producers:
            self._released.add(producer)

    def wake(self) -> None:
        """Cut now instead of at the next turn."""
        if self._has_items is not None:
            self._call(self._has_items.set)

    def _call(self, do: Callable[..., object], *given: object) -> None:
        """Have the shipper's thread call something soon."""
        try:
            if self._loop is not None:  # otherwise the first turn has not started yet
                self._loop.call_soon_threadsafe(do, *given)
        except RuntimeError:
            return  # the loop is closed: stop() came first

    def stop(self) -> None:
        """End the thread, within 5 s. Records that are not acknowledged stay in their journals."""
        self._is_stopping = self._adopter.is_stopping = True
        if not self._starting.locked():
            return  # it was never started
        self._started.wait(STOP_TIMEOUT_S)
        self.wake()
        self._thread.join(STOP_TIMEOUT_S)

    # In the shipper's thread.

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                with asyncio.Runner(loop_factory=ThreadlessLoop) as runner:
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
            self._adopter.settle()
            if self.is_connected and not self._backlog:
                self._heartbeats.beat(self._producers, monotonic())
                if self._adopts:
                    self._adopter.search((self.address.url, self.address.topic))
            has_items.clear()
            points, is_more = await self._cut_all(has_records)
            if is_more:
                continue
            pause = self._every_s or min(CUT_EVERY_S, max(CUT_AT_LEAST_S, pause * CUT_POINTS / max(points, 1)))
            # A timer instead of a timeout: nothing is cancelled and raised, five times a second in each process.
            timer = (
                asyncio.get_running_loop().call_later(pause, has_items.set)
                if self._producers or self._adopter.has_let_go
                else None
            )
            await has_items.wait()
            if timer is not None:
                timer.cancel()
            if self._every_s:  # many processes wake this one
                await asyncio.sleep(CUT_AT_LEAST_S)

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
            # One that is let go while others have their turn may be another process's by now.
            if producer not in self._producers or not self._adopter.may_cut(producer):
                continue
            cut, has_full_cut = self._cut(producer)
            points += cut
            is_more, is_last = is_more or has_full_cut, producer is producers[-1]
            if self._backlog and (not self._every_s or is_last or self._backlog_bytes >= GROUP_BYTES):
                has_records.set()
            if has_full_cut or not is_last:
                await asyncio.sleep(0)
        if self._backlog:
            has_records.set()
        return points, is_more

    def _cut(self, producer: Producer) -> tuple[int, bool]:
        """Give a journal its turn. Return the number of points cut, and whether more can be cut right away."""
        points, begun, is_orphaned = 0, monotonic(), self._adopter.has(producer)
        try:
            cut = producer.cut(TURN_ITEMS)
        except Withdrawn:
            self.detach(producer)
            return 0, False
        except Exception as error:  # noqa: BLE001 -- its records stay in its journal, those of the others are sent
            self._set_uncut(producer, error)
            return 0, False
        self.uncut.pop(producer, None)
        for record in cut:
            self._backlog.append(record)
            self._backlog_bytes += len(record.record)
            points += record.points
        if is_orphaned:
            self._adopter.rest_after(begun)
        return points, producer.has_full_cut and not is_orphaned

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
            self.detach(producer)
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
            self._adopter.let_go()
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
            self.notice = f"{line}: {known.step}" if known.step else line
            warn(self.notice)

    def _report_up(self) -> None:
        self.is_connected = True
        if self._warned_down:
            self._warned_down.clear()
            self.notice = ""
            warn(f"{self.address.label} is reached again: waiting events are being sent")


async def _close(transport: Transport | None) -> None:
    if transport is not None:
        try:
            await transport.close()
        except Exception:  # noqa: BLE001 -- the transport's library failed; its records are still in the backlog
            return
