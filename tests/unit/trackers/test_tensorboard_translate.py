"""Records that are assembled from bytes equal those that protobuf writes."""

from __future__ import annotations

from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event

from consumers.trackers.edits import series_key
from consumers.trackers.tensorboard import summaries
from consumers.trackers.tensorboard.translate import scalar_records
from schemas import events as ev

NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=200)
POINTS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2), st.floats()), min_size=1, max_size=6)
EVENTS = st.lists(st.tuples(NAMES, st.sampled_from(["main", "é"]), POINTS), min_size=1, max_size=6)


def metrics(name: str, step_name: str, points: list[tuple[int, int, float]]) -> ev.Metrics:
    steps, times, values = zip(*points, strict=True)
    series = ev.Series(name=name, steps=array("q", steps), times=array("q", times), values=array("d", values))
    return ev.Metrics(time=0, step_name=step_name, series=[series])


def by_protobuf(events: list[ev.Metrics]) -> list[bytes]:
    found: dict[tuple[int, int], Any] = {}
    for event in events:
        for series in event.series:
            for step, time, value in zip(series.steps, series.times, series.values, strict=True):
                event_proto = found.setdefault((time, step), Event(wall_time=summaries.to_seconds(time), step=step))
                summaries.add_scalar(event_proto.summary.value, series_key(event, series), value)
    return [summaries.to_bytes(one) for one in found.values()]


@given(EVENTS)
def test_the_bytes_are_those_of_protobuf(given_events: list[tuple[str, str, list[tuple[int, int, float]]]]) -> None:
    events = [metrics(*one) for one in given_events]

    assert list(scalar_records(events)) == by_protobuf(events)


def test_large_steps_and_values_at_the_edge_of_32_bits() -> None:
    values = [summaries.FLOAT32_MAX, 3.40282356e38, -3.5e38, 5e-324, -0.0]
    events = [metrics("loss", "main", [(-(2**63) + at, 2**61, value) for at, value in enumerate(values)])]

    assert list(scalar_records(events)) == by_protobuf(events)
