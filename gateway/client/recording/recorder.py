"""
Record the events of one run in one process: append them to a journal, have a shipper send them, and count them.

A recorder has one open journal at a time. Each journal is one producer in the log, and a closed producer takes nothing
more; so a forked child starts a new journal, and so does anything recorded after the end of the run.

`Run` and everything else that records (steps, artifacts, edits, capture) write through this class.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from time import monotonic

from gateway.client.encoding.values import clean, now
from gateway.client.journal.entries import JournalEvent, Marker
from gateway.client.journal.journal import Journal
from gateway.client.notices import warn_once
from gateway.client.recording.background import BackgroundWorker, is_background
from gateway.client.recording.report import Report
from gateway.client.recording.shipped_journal import ShippedJournal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.report import Status
    from gateway.client.recording.shipped_journal import AnyProducer, AnyShipper

    Labels = tuple[tuple[str, str], ...]

CAPTURE, DIGESTS = "capture", "digests"  # background workers: capture does not wait for a digest, which takes minutes
MEASURING_S = 1.0  # longest wait of `measuring`; its block takes microseconds
POLL_S = 0.2  # how often `flush` checks whether the producer has closed meanwhile


class Recorder:
    """The open journal of one process for one run, the shipper that sends it, and the journals closed before it."""

    def __init__(
        self,
        run_id: str,
        *,
        attempt: int,
        is_owner: bool,
        labels: Labels,
        find_shipper: Callable[[], AnyShipper],
        on_late: Callable[[], None] | None = None,
        is_lazy: bool = False,
    ) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.is_owner = is_owner  # False: this process joined the run, or is a forked child; it does not end the run
        self.labels = labels  # of every series of this process
        # Named step, attempt and labels of a point recorded now. The same for all threads while the open steps are
        # nested in each other; None while several are open side by side. `Steps` sets it.
        self.context: StepContext | None = None
        self.is_finished = False
        self.is_late_expected = False  # True: records after the end are no mistake, and no notice says that there are
        # Appends one point (name, value, step, context): `Journal.put` itself, once a shipper has the journal.
        self.put: Callable[..., None] = self._put_first
        self._first = self._last = ShippedJournal(Journal(run_id, is_owner=is_owner, attempt=attempt))
        self.journal = self._last.journal  # takes what is recorded now
        self._is_first_finish: list[bool] = [True]  # taken by the first caller of `finish`
        self._end: dict[str, tuple[Status, str]] = {}  # how the run ends, once that is known
        self._is_end_recorded = False
        self._find_shipper = find_shipper
        self._on_late = on_late
        self._workers: dict[str, BackgroundWorker] = {}
        # Artifacts (name, named step, attempt) without size and digest so far, each with its newest reference.
        self.unmeasured: dict[tuple[str, str, int], object] = {}
        self._measuring = RLock()
        if not is_lazy:
            self._ship()

    # Recording.

    def record(self, kind: str, **body: Any) -> None:
        """Append one event with the current time, and wake the shipper."""
        self.record_at(kind, now(), **body)

    def record_at(self, kind: str, time: int, /, **body: Any) -> None:
        """Append one event with this time (µs), and wake the shipper."""
        self.prepare()
        self.journal.append(JournalEvent({"kind": kind, "time": time, **body}))
        if self.shipper is not None:
            self.shipper.wake()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """
        Enter the block in which `unmeasured` changes together with what is recorded; other threads wait.

        Not for ever: a signal handler may wait here while its thread, in the middle of a record, has the lock of the
        journal, for which the thread in the block waits.
        """
        is_held = self._measuring.acquire(timeout=MEASURING_S)
        try:
            yield
        finally:
            if is_held:
                self._measuring.release()

    def prepare(self) -> None:
        """Ensure that the journal is open and has a shipper. Required before every append other than by `put`."""
        if self.is_finished:
            self._open_late()
        elif self.shipper is None:
            self._ship()  # the first record of a forked child, or of a copy from another process

    def background(self, work: str = CAPTURE) -> BackgroundWorker:
        """Return the background worker for this kind of work; a new one if the last was stopped."""
        worker = self._workers.get(work)
        if worker is not None and worker.is_stopped:
            self._workers.pop(work, None)
        return self._workers.setdefault(work, BackgroundWorker())

    @property
    def shipper(self) -> AnyShipper | None:
        """The shipper that sends the open journal; None if there is none yet."""
        return self._last.shipper

    @property
    def producer(self) -> AnyProducer | None:
        """The producer that cuts the open journal; None if there is no shipper yet."""
        return self._last.producer

    # Waiting and counting.

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything recorded before is acknowledged; False if `timeout_s` seconds were not enough."""
        marker, shipper, producer, end = Marker(), self.shipper, self.producer, monotonic() + timeout_s
        if shipper is None and self._last.shipping.locked():
            return False  # another caller is handing the journal to a shipper
        if shipper is None or shipper.is_offline or (producer is not None and producer.is_done):
            return True  # nothing is recorded, or it stays in the journal for `gateway sync`, or it is acknowledged
        while not self.journal.mark(marker):  # a segment is being made on a slow disk
            if monotonic() >= end:
                return False
        shipper.wake()
        while not marker.reached.wait(min(POLL_S, max(0.0, end - monotonic()))):
            if producer is None or producer.is_done:  # no one reads the journal of a closed producer
                return True
            if monotonic() >= end:
                return False
        return True

    def count(self) -> Report:
        """Return what became of all points and values this process recorded."""
        emitted = sent = dropped = 0
        for journal, producer in self.journals():
            dropped += journal.dropped
            emitted += journal.dropped + journal.points + journal.values
            if producer is not None:
                emitted -= producer.lost  # these are in `dropped` and in `points` or `values`
                sent += producer.acknowledged_points + producer.acknowledged_values
        return Report(emitted=emitted, sent=sent, dropped=dropped, journal=self.journal.folder)

    def journals(self) -> list[tuple[Journal, AnyProducer | None]]:
        """Return the journals of this process, oldest first, each with its producer, None if it has no shipper yet."""
        found, one = [], self._first
        while True:
            found.append((one.journal, one.producer))
            if one.next is None:
                return found
            one = one.next

    # The end.

    def stop_background(self, work: str, timeout_s: float) -> bool:
        """Have a background worker end after its tasks, and wait for that; False if the time was too short."""
        worker = self._workers.get(work)
        return worker is None or worker.stop(timeout_s)

    def finish(self) -> bool:
        """Finish the run: what is recorded from now on is late. Return whether this is the first call."""
        self.is_finished = True
        self.put = self._put_late
        try:
            return self._is_first_finish.pop()
        except IndexError:
            return False

    def end(self, status: Status, message: str) -> None:
        """
        Append the end of the run as the first caller gives it, if this process owns the run.

        Every caller does so until one has: Ctrl-C or SIGTERM may have come to the first one in the middle. Two equal
        ends count once.
        """
        status, message = self._end.setdefault("", (status, message))
        if self.is_owner and not self._is_end_recorded:
            self.record(f"run_{status}", attempt=self.attempt, message=clean(message))
            self._is_end_recorded = True

    def close(self) -> None:
        """Append the end of the producer, unless that is done already or the journal is unused."""
        last = self._last
        if not last.claim_end() or (last.shipper is None and not last.journal.segments):
            return
        last.journal.append(JournalEvent({"kind": "producer_closed", "time": now()}))
        if last.shipper is None or last.shipper.is_offline:
            last.journal.close()  # nothing sends it from here: its files are free for `gateway sync`
        else:
            last.shipper.wake()

    def release(self) -> None:
        """Close the files of the journals that have ended and that the log has whole; late records open others."""
        for journal, producer in self.journals():
            if producer is not None and producer.is_done:
                journal.release(list(journal.segments.values()))

    def after_fork(self) -> object:
        """
        Start a new producer of the same run; unsent records of the parent stay the parent's. In the child only.

        Returns the parent's objects, which the child must keep.
        """
        parents = (self._first, self._workers, self.unmeasured, self._measuring)
        self.is_owner = False
        self._workers, self.unmeasured, self._measuring = {}, {}, RLock()  # the threads are the parent's
        journal = Journal(self.run_id, is_owner=False, attempt=self.attempt)
        journal.counters.make = parents[0].journal.counters.make
        self._first = self._last = ShippedJournal(journal, is_ended=self.is_finished)
        self.journal = journal
        self.put = self._put_late if self.is_finished else self._put_first
        return parents

    def _put_first(self, *point: Any) -> None:
        if self.shipper is None and not self.is_finished:
            self._ship()
        self.journal.put(*point)

    def _put_late(self, *point: Any) -> None:
        self._open_late()
        self.journal.put(*point)

    def _open_late(self) -> None:
        """Open a new producer for records after the end; `finish`, or the end of the process, closes it."""
        last = self._last
        if last is self._first and not last.is_ended:
            return  # `finish` is waiting for digests
        # A capture or a digest that takes longer than `finish` waits is not the user's doing.
        if not (is_background() or self.is_late_expected):
            warn_once(
                "finished", f"run {self.run_id} is finished: what is recorded after that is kept, and counted as late"
            )
        if not last.is_ended:
            return
        while last.is_ended:
            made = ShippedJournal(Journal(self.run_id, is_owner=False, attempt=self.attempt))
            made.journal.counters = last.journal.counters  # steps go on
            last = last.follow(made)
        self._last, self.journal = last, last.journal
        self._ship()
        if last is made and self._on_late is not None:
            self._on_late()

    def _ship(self) -> None:
        """Hand the open journal to a shipper, unless another caller is doing so."""
        last = self._last
        if last.shipper is not None or not last.shipping.acquire(blocking=False):
            return
        try:
            shipper = self._find_shipper()
            last.producer = shipper.add(last.journal)
            last.shipper = shipper
        except RuntimeError as error:  # no thread can start: the interpreter is exiting, or a limit is hit
            warn_once("thread", f"run {self.run_id}: events cannot be sent ({error}): they wait in the journal")
            return
        finally:
            last.shipping.release()
        self.put = last.journal.put
        if self.is_finished:  # perhaps by another thread, at this moment
            self.put = self._put_late
