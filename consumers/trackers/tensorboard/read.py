"""
Read a run back from its event file. Pure: protobufs of records in, facts out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from consumers.trackers.protocol import Contents, Observed
from consumers.trackers.tensorboard import summaries
from schemas.columns import float_to_json
from schemas.mapping.names import tensorboard_name
from schemas.statuses import ENDED


class EventFileFacts:
    """What the texts of a file say about a run."""

    def __init__(self, events: Iterable[Any], started: int) -> None:
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.started: int | None = started
        self._name = self._tag = self._note = ""
        self._labels: dict[str, str] = {}
        self._artifacts: dict[str, str] = {}
        self._status: dict[str, Any] = {"status": "running", "time": None}
        for event in events:
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == summaries.TEXT:
                    self._add(value)

    @property
    def status(self) -> str:
        """The status of the run."""
        return str(self._status["status"])

    @property
    def ended(self) -> int | None:
        """The end of the run, µs."""
        return self._status["time"] if self.status in ENDED else None

    def contents(self, observations: Iterator[Observed], run_id: str, where: str) -> Contents:
        """Return what the file holds besides points, parameters and tags."""
        return Contents(
            name=self._name or run_id, tag=self._tag, where=where, note=self._note, labels=self._labels,
            artifacts=self._artifacts, observations=observations,
        )  # fmt: skip

    def _add(self, value: Any) -> None:
        text = summaries.text_of(value)
        match value.tag:
            case summaries.PARAMS:
                self.params |= {name: str(one) for name, one in orjson.loads(text).items()}
            case summaries.TAGS:
                self.tags |= orjson.loads(text)
            case summaries.LABELS:
                self._labels |= {name: orjson.dumps(one).decode() for name, one in orjson.loads(text).items()}
            case summaries.STATUS:
                self._status = orjson.loads(text)
                self.started = self._status.get("started") or self.started
                self._name = self._status.get("name") or self._name
                self._tag = self._status.get("tag") or self._tag
            case "gw/note":
                self._note = text.decode()
            case "gw/name":
                self._name = text.decode()
            case "gw/tag":
                self._tag = text.decode()
            case tag if tag.startswith(summaries.ARTIFACT):
                self._artifacts[tag.removeprefix(summaries.ARTIFACT)] = text.decode()


def points(events: Iterable[Any]) -> Iterator[tuple[str, int, int, float]]:
    """Yield the points of records: series, step, µs, value."""
    for event in events:
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == summaries.SCALARS:
                time = summaries.from_seconds(event.wall_time)
                yield tensorboard_name(value.tag), event.step, time, summaries.exact_value(value)


def observations(events: Iterable[Any]) -> Iterator[Observed]:
    """Yield the values of records that are not numbers."""
    for event in events:
        for value in event.summary.value:
            time = summaries.from_seconds(event.wall_time)
            if value.tag.startswith(summaries.OBSERVED_TEXT):
                name = value.tag.removeprefix(summaries.OBSERVED_TEXT)
                yield Observed(name, event.step, time, summaries.text_of(value).decode())
            elif value.tag.startswith(summaries.OBSERVED_HISTOGRAM):
                name = value.tag.removeprefix(summaries.OBSERVED_HISTOGRAM)
                yield Observed(name, event.step, time, _histogram(value.tensor.double_val))


def _histogram(numbers: Any) -> str:
    """Return a histogram as the contract writes it; the tensor has left edge, right edge and count of each bin."""
    edges = [*numbers[0::3], *numbers[-2:-1]]
    columns = {"counts": list(map(float_to_json, numbers[2::3])), "edges": list(map(float_to_json, edges))}
    return orjson.dumps(columns).decode()
