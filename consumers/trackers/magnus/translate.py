"""
Translate events into calls of a tracker that was written for Magnus: `log_metric` and `log_parameter`.

Pure. Magnus hands everything that a step tracks to `log_metric`, also what is no number, so this does, too. Keys are
written names (schemas/names.py): the named step precedes the key, so that two steps never use the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from consumers.trackers.edits import series_key
from schemas import events as ev
from schemas.columns import float_to_json
from schemas.values import FloatValue, to_plain, to_text
from schemas.wire import Envelope


class Call(NamedTuple):
    """One call: `log_metric(key, value, step)`, or without a step `log_parameter(key, value)`."""

    step_name: str  # of the pipeline, as the tracker finds it in the context of Magnus
    key: str
    value: Any
    step: int | None

    @property
    def is_number(self) -> bool:
        """Whether it is a metric for every tracker."""
        return self.step is not None and isinstance(self.value, int | float) and not isinstance(self.value, bool)


def calls(envelope: Envelope) -> Iterator[Call]:
    """Yield the calls for an event; other events than metrics, values and parameters have none."""
    event = envelope.event
    match event:
        case ev.Metrics() | ev.SystemMetrics() | ev.MetricRows():
            for series in event.series:
                key = series_key(event, series).written
                for step, value in zip(series.steps, series.values, strict=True):
                    is_integer = series.integer and float_to_json(value) == value
                    yield Call(event.step_name, key, int(value) if is_integer else value, step)
        case ev.Values():
            for seen in event.values:
                number = seen.value.value if isinstance(seen.value, FloatValue) else to_plain(seen.value)
                yield Call(event.step_name, series_key(event, seen).written, number, seen.step)
        case ev.Params():
            for name, given in event.params.items():
                yield Call(event.step_name, name, to_text(given), None)
        case _:
            return


def fold_tag(tag: str, events: Iterable[ev.AnyEvent]) -> str:
    """Return the tag of a run after some events: trackers of Magnus take it for the experiment."""
    for event in events:
        if isinstance(event, ev.RunCreated | ev.RunStarted | ev.RunResumed | ev.Moved):
            tag = event.tag or tag
    return tag


def parameters_left(found: Iterable[Call], known: Mapping[str, int]) -> Iterator[Call]:
    """Yield the calls without those for parameters that a run has: most trackers keep the first value for good."""
    names = set(known)
    for call in found:
        if call.step is None:
            if call.key in names:
                continue
            names.add(call.key)
        yield call
