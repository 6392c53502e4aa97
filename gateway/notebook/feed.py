"""
The thread that keeps a chart current: it reads the series once and then follows the event stream of the API.

While the API is away it says so and tries again. What the page misses, because it began late or the kernel was busy,
comes with the next whole state; that is sent as often as its size allows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from gateway.client.errors import ClientError
from gateway.client.query import ApiUnavailable, events
from gateway.notebook.curves import Curves
from gateway.notebook.reading import Question, read_curves

if TYPE_CHECKING:
    from gateway.client.query import Api

QUIET_S = 30.0  # the stream has a sign of life every 5 s
RETRY_S = 2.0
REREAD_S = 1.0  # between two readings that the stream asks for
STATE_S = 2.0  # between two whole states, if points came
STATE_BYTES_PER_S = 1_000_000  # and longer for large ones


class Page(Protocol):
    """What hears of a feed: the widget."""

    def show_state(self, frame: bytes) -> None:
        """Take the whole state."""

    def show_more(self, frame: bytes) -> None:
        """Take new points."""

    def show_problem(self, text: str) -> None:
        """Take what is wrong; "" once it is not any more."""


class Feed:
    """Reads `question` from the API for `page`, in a thread of its own between `start` and `stop`."""

    def __init__(self, question: Question, api: Api, page: Page) -> None:
        self._question, self._api, self._page = question, api, page
        self._curves = Curves()
        self._since = ""
        self._reread_from: str | None = None  # offsets that the next reading must include
        self._stop = Event()
        self._thread: Thread | None = None
        self._lock = Lock()  # of start
        self._is_unsent = False
        self._sent_at = 0.0
        self._sent_bytes = 0
        self._read_at = 0.0

    def read(self) -> None:
        """Read the series and show them. Raises RunNotFound, ApiUnavailable and ApiRefused."""
        head, series, self._since = read_curves(self._question, self._api, self._reread_from)
        self._curves.replace(head, series)
        self._read_at = monotonic()
        self.send_state()
        self._page.show_problem("")

    def send_state(self) -> None:
        """Show the whole state now."""
        frame = self._curves.state()
        self._page.show_state(frame)
        self._sent_at, self._sent_bytes, self._is_unsent = monotonic(), len(frame), False

    def start(self) -> None:
        """Follow the stream from now on, unless it is followed already."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive() and not self._stop.is_set():
                return
            self._stop = Event()
            self._thread = thread_class()(target=self._run, args=(self._stop,), name="gateway-chart", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End following; the thread goes with the next event or sign of life, within 5 s."""
        self._stop.set()

    def _run(self, stop: Event) -> None:
        def is_over() -> bool:
            return stop.is_set() or bool(getattr(current_thread(), "should_exit", False))  # marimo: the cell ran again

        while not is_over():
            try:
                if self._follow(is_over):
                    continue
            except ApiUnavailable as error:
                self._page.show_problem(f"{error}. Trying again.")
            except ClientError as error:
                self._page.show_problem(str(error))
                return  # asking again would not help
            stop.wait(RETRY_S)

    def _follow(self, is_over: Callable[[], bool]) -> bool:
        """
        Read, unless it was read, and take events until the stream ends or the series must be read again: then True.

        A stream is ahead of the store: after a reading it is followed again, from the offsets that the reading has.
        """
        if not self._since or self._curves.is_stale:
            self.read()
        topics = {"series": self._question.chosen, "since": self._since}
        for kind, position, data in events(self._api, topics, QUIET_S):
            if is_over():
                return False
            self._since = position or self._since
            if kind == "series" and data is not None:
                self._take(data["series"])
            elif kind in ("reread", "reset") and data is not None:
                self._curves.is_stale, self._reread_from = True, data["as_of"]
            elif kind == "dropped":
                return False
            self._page.show_problem("")
            now = monotonic()
            if self._curves.is_stale and now - self._read_at >= REREAD_S:
                return True
            if self._is_unsent and now - self._sent_at >= max(STATE_S, self._sent_bytes / STATE_BYTES_PER_S):
                self.send_state()
        return False

    def _take(self, rows: list[dict[str, object]]) -> None:
        message = self._curves.add(rows)
        self._is_unsent = True
        if message is not None:
            self._page.show_more(message)


def thread_class() -> type[Thread]:
    """Return the class of a thread that may write to the page: in marimo one of its own, which knows its cell."""
    marimo = sys.modules.get("marimo")
    return marimo.Thread if marimo is not None and marimo.running_in_notebook() else Thread
