"""Any body becomes records, or one Failure that names what does not fit."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.encoding.wire import Record, encode_request
from gateway.client.transports.http_transport import encode_body
from gateway.server.errors import Failure
from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Budget, Share
from tests.support.server_process import note, plain

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are not UTF-8


def share(limit: int = 256 * 1024 * 1024) -> Share:
    return Share(Budget(limit))


def failure(body: bytes, encoding: str = "identity") -> Failure:
    with pytest.raises(Failure) as raised:
        bodies.parse(bodies.unpack(body, encoding, share()))
    return raised.value


def with_record(**changes: Any) -> bytes:
    """Return a body whose second record differs from a good one; a change to None removes the field."""
    records = plain([note("r", 0), note("r", 1)])
    records[1] = {name: value for name, value in {**records[1], **changes}.items() if value is not None}
    return json.dumps({"records": records}).encode()


STORED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.tuples(STORED.filter(lambda text: 0 < len(text.encode()) <= 256), STORED), max_size=5))
def test_what_the_client_writes_is_read_with_the_same_bytes(texts: list[tuple[str, str]]) -> None:
    records = [note(run_id, seq, text) for seq, (run_id, text) in enumerate(texts)]

    found = bodies.parse(encode_body(records))
    assert [(r.key, r.value, r.headers, r.time) for r in found] == [
        (r.key, r.value, r.headers, r.time) for r in records
    ]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(body=st.binary(max_size=200_000))
def test_packed_bodies_are_unpacked(encoding: str, body: bytes) -> None:
    packed = gzip.compress(body) if encoding == "gzip" else bytes(cramjam.zstd.compress(body))

    assert bodies.unpack(packed, encoding, share()) == body


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(body=st.binary(max_size=500))
def test_packed_nonsense_is_a_failure_and_nothing_else(encoding: str, body: bytes) -> None:
    assert failure(body, encoding).status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECORD = st.fixed_dictionaries({"key": JSON, "headers": JSON, "value": JSON})


@given(st.fixed_dictionaries({"records": st.lists(JSON | RECORD, min_size=1, max_size=3)}) | st.lists(JSON))
def test_json_of_any_form_is_a_failure_and_nothing_else(found: Any) -> None:
    assert failure(json.dumps(found).encode()).status in (400, 422)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_at_its_bound(encoding: str) -> None:
    bomb = bytes(4 * bodies.MAX_UNPACKED)
    packed = gzip.compress(bomb) if encoding == "gzip" else bytes(cramjam.zstd.compress(bomb))

    assert len(packed) < 100_000
    assert (failure(packed, encoding).status, "16,777,216" in failure(packed, encoding).error) == (413, True)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("spoil", [lambda body: body[:-3], lambda body: body + b"more"], ids=["cut", "longer"])
def test_packed_bodies_that_are_cut_or_too_long_are_refused(encoding: str, spoil: Any) -> None:
    body = encode_body([note("r", 0)])
    packed = gzip.compress(body) if encoding == "gzip" else bytes(cramjam.zstd.compress(body))

    assert failure(spoil(packed), encoding).status == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"records":{}}', b'{"records":[],"more":1}', b'{"records":[NaN]}', b"\xff"]
)
def test_bodies_that_are_not_the_form(body: bytes) -> None:
    assert failure(body).status == 400
    assert failure(body).record is None


def test_endless_nesting_is_refused() -> None:
    assert failure(b"[" * 1_000_000).status == 400


HEADERS = plain([note("r", 1)])[0]["headers"]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"key": None}, 422, "key, headers and value"),
        ({"more": 1}, 422, "nothing else"),
        ({"key": 7}, 422, "are strings"),
        ({"key": "other"}, 422, "key is not that of its ce_source"),
        ({"value": {"kind": "note"}}, 422, "are strings"),
        ({"value": ""}, 422, "no value"),
        ({"headers": []}, 422, "an object"),
        ({"headers": {}}, 422, "no header"),
        ({"headers": {**HEADERS, "ce_id": 1}}, 422, "each header is a string"),
        ({"headers": {**HEADERS, "ce_id": "-1"}}, 422, "sequence number"),
        ({"headers": {**HEADERS, "schema": "99"}}, 422, "not known here"),
        ({"headers": {**HEADERS, "ce_time": "today"}}, 422, "RFC 3339"),
        ({"headers": {**HEADERS, "x": "y" * 20_000}}, 413, "16,384 bytes"),
        ({"headers": {**HEADERS, **{f"x{n}": "" for n in range(40)}}}, 413, "32 headers"),
        ({"value": "x" * 1_040_001}, 413, "1,040,000 bytes"),
    ],
)
def test_a_record_that_does_not_fit_is_named(changes: dict[str, Any], status: int, message: str) -> None:
    found = failure(with_record(**changes))

    assert (found.status, found.record) == (status, 1)
    assert found.error.startswith("record 1: ")
    assert message in found.error


def test_too_many_records_are_refused_before_they_are_checked() -> None:
    found = failure(json.dumps({"records": [{"key": "", "headers": {}, "value": ""}] * 10_001}).encode())

    assert (found.status, found.record, "10,000 records" in found.error) == (413, None, True)


def test_bytes_beyond_the_budget_are_refused_and_released_at_the_end() -> None:
    budget = Budget(100)
    with Share(budget) as first:
        first.reserve(80)
        with Share(budget) as second:
            second.reserve(10)
            with pytest.raises(Failure) as raised:
                second.reserve(11)

        assert (raised.value.status, budget.held) == (503, 80)
    assert budget.held == 0


@pytest.mark.parametrize("unit", [b"{}", b"[]", b"1.5", b'{"key":[],"headers":{},"value":""}'])
def test_small_things_that_are_no_records_take_no_memory(unit: bytes) -> None:
    """A million of them make 16 MB of JSON, 15 kB of gzip, and were made into objects before they were looked at."""
    text = b'{"records":[' + b",".join([unit] * 200_000) + b"]}"
    tracemalloc.start()
    try:
        assert failure(text).status in (413, 422)
        assert tracemalloc.get_traced_memory()[1] < len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", [rb'{"records":[{"key":"\ud800","headers":{},"value":"x"}]}', b'{"records":[{"key":"\xff"']
)
def test_text_that_is_no_unicode_is_a_failure(text: bytes) -> None:
    assert failure(text).status in (400, 422)


async def test_memory_is_reserved_before_unpacking() -> None:
    packed = gzip.compress(bytes(1_000_000))
    budget = Budget(2_000_000)
    with Share(budget) as found, pytest.raises(Failure) as raised:
        await bodies.decode(packed, "gzip", found)

    assert (raised.value.status, budget.held) == (503, 0)


async def test_an_unknown_encoding_is_named() -> None:
    with share() as found, pytest.raises(Failure, match=r"'br' is not supported") as raised:
        await bodies.decode(b"", "br", found)

    assert raised.value.status == 415


def test_the_record_has_the_time_at_which_it_was_cut() -> None:
    record: Record = bodies.parse(encode_body([note("r", 3)]))[0]

    assert record.time == note("r", 3).time


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"kind": "note", "time": "soon", "text": ""}, "time"),
        ({"kind": "run_started", "time": 1, "run_config": json.loads("[" * 150 + "1" + "]" * 150)}, "run_config"),
        ({"kind": "params", "time": 1, "params": {"ü" * 600: {"type": "bool", "value": True}}}, "bytes in UTF-8"),
        ({"kind": "note", "time": 1, "text": "\x00"}, "U+0000"),
        ({"kind": "surprise", "time": 1}, "surprise"),
    ],
)
def test_an_event_that_readers_would_park_is_refused(value: dict[str, Any], reason: str) -> None:
    headers = {**plain([note("r", 1)])[0]["headers"], "ce_type": f"tracking.{value['kind']}"}

    found = failure(with_record(headers=headers, value=json.dumps(value)))

    assert (found.status, found.record) == (422, 1)
    assert reason in found.error


def test_many_headers_of_a_record_take_no_memory() -> None:
    headers = b",".join(b'"%x":""' % number for number in range(200_000))
    text = b'{"records":[{"key":"r","value":"v","headers":{' + headers + b"}}]}"
    tracemalloc.start()
    try:
        found = failure(text)
        assert (found.status, found.record, tracemalloc.get_traced_memory()[1] < len(text)) == (413, 0, True)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("headers", [b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"\xff":"a"}'])
def test_headers_that_are_not_text_are_refused(headers: bytes) -> None:
    assert failure(b'{"records":[{"key":"r","value":"v","headers":' + headers + b"}]}").status == 400


def test_requests_about_experiments_and_models_are_taken_like_events_of_runs() -> None:
    body = {"kind": "model_registered", "time": 1, "tags": {"a": "b"}}
    made = encode_request("models", "a/b", "p", body)
    (found,) = bodies.parse(json.dumps({"records": plain([made])}).encode())
    assert (found.key, found.value, found.headers) == (b"/models", made.value, made.headers)

    wrong = [
        (encode_request("models", "m", "p", {**body, "kind": "experiment_deleted"}), "experiment_deleted"),
        (encode_request("models", "m" * 1_025, "p", body), "model name must have 1 to 1024"),
        (encode_request("views", "m", "p", body), "view_saved"),
        (encode_request("sheets", "m", "p", body), "is not /runs/<run>/producers/<producer>, or one of /experiments"),
        (
            encode_request("models", "m", "p", {"kind": "model_alias_set", "time": 1, "alias": "a", "version": 0}),
            "version",
        ),
        (encode_request("models", "m", "p", {**body, "tags": {"a": "\x00"}}), "U+0000"),
    ]
    for record, answer in wrong:
        refused = failure(json.dumps({"records": plain([record])}).encode())
        assert (refused.status, answer in str(refused)) == (422, True), str(refused)
