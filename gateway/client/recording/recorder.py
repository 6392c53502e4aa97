"""
Record the events of one run in one process: append them to a journal, have a shipper send them, and count them.

A recorder has one open journal at a time. Each journal is one producer in the log, and a closed producer takes nothing
more; so a forked child starts a new journal, and so does anything recorded after the end of the run.

`Run` and everything else that records (steps, artifacts, edits, capture) write through this class.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

from gateway.client.encoding.values import clean, now
from gateway.client.journal.entries import JournalEvent, Marker
from gateway.client.journal.journal import Journal
from gateway.client.notices import warn_once
from gateway.client.recording.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.background import BackgroundWorker
    from gateway.client.recording.report import Status
    from gateway.client.shipping.producer import Producer
    from gateway.client.shipping.shipper import Shipper

    Labels = tuple[tuple[str, str], ...]

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
        find_shipper: Callable[[], Shipper],
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
        self.journal = Journal(run_id, is_owner=is_owner, attempt=attempt)
        self.shipper: Shipper | None = None
        self.producer: Producer | None = None
        # Appends one point (name, value, step, context): `Journal.put` itself, once a shipper has the journal.
        self.put: Callable[..., None] = self._put_first
        self._closed: list[tuple[Journal, Producer | None]] = []  # oldest first
        self._is_open = True  # False: producer_closed is written; a late record opens a new producer
        self._lock = Lock()
        self._find_shipper = find_shipper
        self._on_late = on_late
        self._background: BackgroundWorker | None = None
        if not is_lazy:
            self._ship()

    # Recording.

    def record(self, kind: str, **body: Any) -> None:
        """Append one event with the current time, and wake the shipper. An event is never refused."""
        self.record_at(kind, now(), **body)

    def record_at(self, kind: str, time: int, /, **body: Any) -> None:
        """Append one event with this time (µs), and wake the shipper."""
        self.prepare()
        self.journal.append(JournalEvent({"kind": kind, "time": time, **body}))
        if self.shipper is not None:
            self.shipper.wake()

    def prepare(self) -> None:
        """Ensure that the journal is open and has a shipper. Required before every append other than by `put`."""
        if self.is_finished:
            self._open_late()
        elif self.shipper is None:
            self._ship()  # the first record of a forked child, or of a copy from another process

    def background(self) -> BackgroundWorker:
        """Return the background worker of this run; a new one if the last was stopped."""
        with self._lock:
            if self._background is None or self._background.is_stopped:
                from gateway.client.recording.background import BackgroundWorker

                self._background = BackgroundWorker()
            return self._background

    # Waiting and counting.

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything recorded before is acknowledged; False if `timeout_s` seconds were not enough."""
        marker, shipper, producer, end = Marker(), self.shipper, self.producer, monotonic() + timeout_s
        if shipper is None or shipper.is_offline or (producer is not None and producer.is_done):
            return True  # nothing is recorded, or it stays in the journal for `gateway sync`, or it is acknowledged
        self.journal.append(marker)
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

    def journals(self) -> list[tuple[Journal, Producer | None]]:
        """Return the journals of this process, oldest first, each with its producer, None if it has no shipper yet."""
        return [*self._closed, (self.journal, self.producer)]

    # The end.

    def stop_background(self, timeout_s: float) -> None:
        """Wait, up to `timeout_s` seconds, until the tasks of the background worker are done."""
        if self._background is not None:
            self._background.stop(timeout_s)

    def finish(self) -> tuple[bool, bool]:
        """Finish the run; return whether this is the first call, and whether `close` must be called."""
        with self._lock:
            is_first, self.is_finished = not self.is_finished, True
            is_open, self._is_open = self._is_open, False
            self.put = self._put_late
        return is_first, is_open and self.shipper is not None

    def close(self, status: Status, message: str, *, is_end: bool) -> None:
        """Append the end of the producer; before it, at the owner's first `finish`, append the end of the run."""
        if self.is_owner and is_end:
            ended = {"kind": f"run_{status}", "time": now(), "attempt": self.attempt, "message": clean(message)}
            self.journal.append(JournalEvent(ended))
        self.journal.append(JournalEvent({"kind": "producer_closed", "time": now()}))

    def after_fork(self) -> object:
        """
        Start a new producer of the same run; unsent records of the parent stay the parent's. In the child only.

        Returns the parent's journal and producer, which the child must keep.
        """
        parents = (self.journal, self.producer)
        self.is_owner = False
        self.shipper = self.producer = self._background = None
        self._lock = Lock()
        self._closed.clear()
        self._is_open = not self.is_finished
        self.journal = Journal(self.run_id, is_owner=False, attempt=self.attempt)
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
        warn_once(
            "finished", f"run {self.run_id} is finished: what is recorded after that is kept, and counted as late"
        )
        with self._lock:
            if self._is_open:
                return
            self._closed.append((self.journal, self.producer))
            self.journal = Journal(self.run_id, is_owner=False, attempt=self.attempt)
            self.shipper = self.producer = None
            self._is_open = True
        self._ship()
        if self._on_late is not None:
            self._on_late()

    def _ship(self) -> None:
        with self._lock:
            if self.shipper is None:
                try:
                    shipper = self._find_shipper()
                except RuntimeError as error:  # no thread can start: the interpreter is exiting, or a limit is hit
                    warn_once("thread", f"run {self.run_id}: events cannot be sent ({error}): they wait in the journal")
                    return
                self.producer = shipper.add(self.journal)
                self.shipper = shipper
                self.put = self._put_late if self.is_finished else self.journal.put
