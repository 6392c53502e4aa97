"""The wire format keeps every number, and refuses everything that is not an event, with a reason."""

from __future__ import annotations

import math
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples
from schemas.errors import BadEvent, BadRecord, NotAnEvent, UnknownVersion
from schemas.events import Metrics, Series
from schemas.wire import EncodedRecord, Envelope, ProducerId, RunId, decode, encode

INT64 = st.integers(-(2**63), 2**63 - 1)
IDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=60)
POINTS = st.lists(st.tuples(INT64, st.integers(0, 2**62), st.floats(width=64)), min_size=1, max_size=30)
METRICS = examples.records()["metrics"]


def bits(values: array[float]) -> list[bytes]:
    """Return the 64 bits of each value, the same for every NaN."""
    return [b"NaN" if math.isnan(value) else struct.pack("<d", value) for value in values]


@given(POINTS, IDS, IDS, IDS, st.integers(0, 10**17))
def test_points_and_identity_survive_the_wire(
    points: list[tuple[int, int, float]], run: str, producer: str, name: str, seq: int
) -> None:
    steps, times, values = (list(column) for column in zip(*points, strict=True))
    series = Series(name=name, steps=array("q", steps), times=array("q", times), values=array("d", values))
    envelope = Envelope(RunId(run), ProducerId(producer), seq, 1_700_000_000_000_001, Metrics(time=0, series=[series]))

    record = encode(envelope)
    again = decode(record.key, record.value, record.headers)

    assert isinstance(again.event, Metrics)
    found = again.event.series[0]
    assert again[:4] == envelope[:4]
    assert (list(found.steps), list(found.times), bits(found.values)) == (steps, times, bits(series.values))
    assert encode(again) == record


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=12), st.binary(max_size=40), max_size=9))
def test_any_bytes_are_either_an_event_or_a_bad_record(value: bytes, headers: dict[str, bytes]) -> None:
    for candidate in (headers, dict(METRICS.headers) | headers, dict(METRICS.headers)):
        with pytest.raises(BadRecord):
            decode(METRICS.key, value, list(candidate.items()))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (b'"values":[0.1', NotAnEvent, "not JSON"),
        (b'"values":["0.5"]', BadEvent, "is not a number"),
        (b'"values":[true,"NaN"]', BadEvent, "bool is not a number"),
        (b'"values":[null]', BadEvent, "NoneType is not a number"),
        (b'"values":[]', BadEvent, "columns"),
        (b'"values":[1e999]', NotAnEvent, "not JSON"),
        (b'"values":{}', BadEvent, "list of numbers"),
    ],
)
def test_values_that_are_no_numbers_are_refused(value: bytes, error: type[BadRecord], message: str) -> None:
    body = b'{"kind":"metrics","time":1,"series":[{"name":"a","steps":[0],"times":[1],%s}]}' % value

    with pytest.raises(error, match=message):
        decode(METRICS.key, body, METRICS.headers)


def changed(record: EncodedRecord, name: str, value: bytes | None) -> EncodedRecord:
    headers = [(key, old if key != name else value) for key, old in record.headers]
    return record._replace(headers=[(key, new) for key, new in headers if new is not None])


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("schema", b"2", UnknownVersion),
        ("schema", None, NotAnEvent),
        ("ce_specversion", b"2.0", NotAnEvent),
        ("ce_type", b"com.example.order", NotAnEvent),
        ("ce_type", b"tracking.surprise", NotAnEvent),
        ("ce_source", b"/runs/other/producers/p", NotAnEvent),
        ("ce_source", b"/runs/%ff/producers/p", NotAnEvent),
        ("ce_source", b"nonsense", NotAnEvent),
        ("ce_id", b"-1", NotAnEvent),
        ("ce_id", b"12345678901234567890", NotAnEvent),
        ("ce_id", "٣".encode(), NotAnEvent),
        ("ce_time", b"yesterday", NotAnEvent),
        ("ce_time", b"\xff", NotAnEvent),
    ],
)
def test_headers_that_do_not_fit_are_refused_by_name(name: str, value: bytes | None, error: type[BadRecord]) -> None:
    record = changed(METRICS, name, value)

    with pytest.raises(error):
        decode(record.key, record.value, record.headers)


def test_a_field_of_a_later_release_is_ignored() -> None:
    later = METRICS.value.replace(b'{"time"', b'{"colour":"blue","time"', 1)

    assert decode(METRICS.key, later, METRICS.headers).event.kind == "metrics"
