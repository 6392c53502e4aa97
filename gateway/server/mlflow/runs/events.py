"""
What MLflow's clients log, as bodies of events, divided so that each fits into one record.

Pure. Times of MLflow are in ms, those of events in µs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway.client.encoding.wire import MAX_RECORD, encode_body
from gateway.server.mlflow.errors import invalid

Body = dict[str, Any]
_DIVISIBLE = {"metrics": "series", "params": "params", "tags": "tags", "labels": "labels"}  # by kind: the field
_OF_ATTEMPTS = frozenset({"artifact", "metrics", "params", "run_failed", "run_finished", "run_killed", "run_reopened"})
LAST_MS = 2**62 // 1_000  # a later time is no time of an event


class Row(NamedTuple):
    """A metric row. Rows of a run that are equal are one row, as in MLflow."""

    key: str
    step: int
    time_ms: int
    value: float | None  # None: NaN, which does not equal itself

    @property
    def fingerprint(self) -> int:
        """64 bits that tell rows apart within this process. The hash of a tuple does not: that of -1 is that of -2."""
        return hash(repr(tuple(self)))


class EncodedBody(NamedTuple):
    """The body of an event as JSON."""

    kind: str
    text: bytes
    points: int


def metrics(rows: Iterable[Row], time: int) -> Body:
    """Return an event with metric rows, by series, in their order."""
    series: dict[str, tuple[list[int], list[int], list[float]]] = {}
    for key, step, time_ms, value in rows:
        steps, times, values = series.get(key) or series.setdefault(key, ([], [], []))
        steps.append(step)
        times.append(time_ms * 1_000)
        values.append(float("nan") if value is None else value)
    return {
        "kind": "metrics",
        "time": time,
        "series": [
            {"name": key, "steps": steps, "times": times, "values": values}
            for key, (steps, times, values) in series.items()
        ],
    }


def params(values: Mapping[str, str], time: int, *, once: bool = True) -> Body:
    """Return an event with params; `once`: a param that the log has already keeps its value."""
    typed = {key: {"type": "string", "value": text} for key, text in values.items()}
    return {"kind": "params", "time": time, "params": typed, **({"once": True} if once else {})}


def tags(values: Mapping[str, str], time: int) -> Body:
    """Return an event with tags."""
    return {"kind": "tags", "time": time, "tags": dict(values)}


def labels(values: Mapping[str, Any], time: int) -> Body:
    """Return an event with labels: texts, or JSON objects."""
    typed = {
        name: {"type": "string" if isinstance(value, str) else "json", "value": value} for name, value in values.items()
    }
    return {"kind": "labels", "time": time, "labels": typed}


def of_attempt(body: Body, attempt: int) -> Body:
    """Return an event as one of an attempt; MLflow's own runs have the first one only, which needs no field."""
    return body if attempt == 1 or body["kind"] not in _OF_ATTEMPTS else {**body, "attempt": attempt}


def encoded(body: Body) -> Iterator[EncodedBody]:
    """
    Yield the JSON of an event, as several events where it does not fit into one record.

    Raises Refused INVALID_PARAMETER_VALUE if a single entry does not fit.
    """
    text = encode_body(body)
    if len(text) <= MAX_RECORD:
        points = sum(len(one["values"]) for one in body["series"]) if body["kind"] == "metrics" else 0
        yield EncodedBody(body["kind"], text, points)
        return
    field = _DIVISIBLE.get(body["kind"])
    items = () if field is None else body[field]
    if field is None or len(items) < 2:
        raise invalid(f"The request has {len(text):,} bytes in one entry, and may have {MAX_RECORD:,}.")
    middle, entries = len(items) // 2, list(items.items()) if isinstance(items, dict) else items
    for part in (entries[:middle], entries[middle:]):
        yield from encoded({**body, field: dict(part) if isinstance(items, dict) else part})


def time_of(ms: int, name: str) -> int:
    """Return a time in µs of one in ms. Raises Refused for one that no event can have."""
    if not 0 <= ms <= LAST_MS:
        raise invalid(f"Invalid value {ms} for parameter '{name}' supplied: it is no time in ms since 1970.")
    return ms * 1_000
