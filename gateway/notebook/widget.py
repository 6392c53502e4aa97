"""
The widget: the one file that imports anywidget. It gives frames to the page and hears what the page asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from gateway.client.errors import ClientError
from gateway.client.query import ApiUnavailable
from gateway.notebook.feed import Feed, thread_class
from gateway.notebook.reading import Question, read_window, window_of

if TYPE_CHECKING:
    from gateway.client.query import Api

STATIC = Path(__file__).parent / "static"  # hatch_build.py builds it


class Chart(anywidget.AnyWidget):  # type: ignore[misc]  # a library without types
    """
    A live chart; made by `gateway.chart`.

    `state` is the newest whole state as a frame (frames.py), `problem` what is wrong, `look` how the lines are shown.
    """

    _esm = STATIC / "chart.js"
    _css = STATIC / "chart.css"
    state = traitlets.Bytes(b"").tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    look = traitlets.Dict().tag(sync=True)

    def __init__(self, question: Question, api: Api, look: Mapping[str, Any]) -> None:
        self._question, self._api = question, api
        self._views = 0
        self._feed = Feed(question, api, self)
        super().__init__(look=dict(look))
        self.on_msg(self._hear)
        try:
            self._feed.read()
        except ApiUnavailable as error:
            self.show_problem(f"{error}. Trying again.")
        except ClientError:
            self.close()
            raise
        self._feed.start()

    def __repr__(self) -> str:
        return f"Chart(runs={list(self._question.runs)!r}, names={self._question.names!r})"

    def show_state(self, frame: bytes) -> None:
        """Take the whole state."""
        self.state = frame

    def show_more(self, frame: bytes) -> None:
        """Take new points."""
        self.send({"kind": "frame"}, [frame])

    def show_problem(self, text: str) -> None:
        """Take what is wrong; "" for nothing."""
        self.problem = text

    def close(self) -> None:
        """End the chart: it stays as it is, and nothing is read any more."""
        self._feed.stop()
        super().close()

    def _hear(self, _: object, message: Any, __: object) -> None:
        """Do what the page asks: it tells when it shows the chart, and asks for a state or for a part."""
        kind = message.get("kind") if isinstance(message, dict) else None
        if kind == "shown":
            self._views += 1
            self._feed.start()
        elif kind == "hidden":
            self._views = max(0, self._views - 1)
            if not self._views:
                self._feed.stop()
        elif kind == "window" and (window := window_of(message)):
            thread_class()(target=self._send_window, args=(window,), name="gateway-chart-part", daemon=True).start()

    def _send_window(self, window: dict[str, Any]) -> None:
        with suppress(ClientError):  # what is held stays; the feed says what is wrong with the API
            self.send({"kind": "frame"}, [read_window(self._question, window, self._api)])
