"""
Encode an event as a Kafka record, and decode it.

CloudEvents 1.0, Kafka binding, binary content mode: attributes are headers, the value is the event alone. The headers
hold everything that a reader needs to route a record, refuse a duplicate or refuse a version, without parsing the
value.

    key             run id, UTF-8: events of one run share a partition and keep their order
    ce_specversion  1.0
    ce_type         tracking.<kind>
    ce_source       /runs/<run>/producers/<producer>, both percent-encoded
    ce_id           sequence number of the record, from 0, without gaps for each producer and run
    ce_time         when the event was cut from the journal, RFC 3339, µs
    content-type    application/json
    schema          version of the contract, "1"

(run, producer, seq) is the identity of a record: the same identity always has the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, NewType
from urllib.parse import quote, unquote

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.bounds import MAX_READ_VALUE, MAX_RUN_ID, MAX_RUN_ID_BYTES, holds_nul
from schemas.errors import BadEvent, NotAnEvent, UnknownVersion
from schemas.events import VERSION, AnyEvent, Metrics, SystemMetrics

RunId = NewType("RunId", str)
ProducerId = NewType("ProducerId", str)
Headers = Sequence[tuple[str, bytes]]

LAST_TIME = 253_402_300_799_999_999  # µs: the end of the year 9999, the last that RFC 3339 can write
_TYPE_PREFIX = "tracking."
_EVENT: TypeAdapter[Any] = TypeAdapter(AnyEvent)


class Envelope(NamedTuple):
    """One event with its identity."""

    run_id: RunId
    producer: ProducerId
    seq: int  # from 0, no gaps, for each (run, producer)
    time: int  # when it was cut from the journal, µs since 1970-01-01 UTC
    event: AnyEvent


class EncodedRecord(NamedTuple):
    """Key, value and headers of a Kafka record that holds an event."""

    key: bytes
    value: bytes
    headers: Headers


class Identity(NamedTuple):
    """Identity, kind and time of a record, from its headers alone."""

    run_id: RunId
    producer: ProducerId
    seq: int
    kind: str
    time: int  # µs


def points_of(envelope: Envelope) -> int:
    """Return how many metric points an envelope carries."""
    event = envelope.event
    return sum(len(one.values) for one in event.series) if isinstance(event, Metrics | SystemMetrics) else 0


def encode(envelope: Envelope) -> EncodedRecord:
    """Return the record of an envelope. The same envelope always gives the same bytes."""
    value = orjson.dumps(_EVENT.dump_python(envelope.event, mode="json"))
    return encode_json(envelope.run_id, envelope.producer, envelope.seq, envelope.time, envelope.event.kind, value)


def encode_json(run_id: str, producer: str, seq: int, time: int, kind: str, value: bytes) -> EncodedRecord:
    """Return the record of an event that is already JSON; `time` is in µs."""
    source = f"/runs/{quote(run_id, safe='')}/producers/{quote(producer, safe='')}"
    time = min(time, LAST_TIME)  # of a producer whose clock is wrong
    cut = datetime.fromtimestamp(time // 1_000_000, UTC).replace(microsecond=time % 1_000_000)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"{_TYPE_PREFIX}{kind}".encode()),
        ("ce_source", source.encode()),
        ("ce_id", str(seq).encode()),
        ("ce_time", cut.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()),
        ("content-type", b"application/json"),
        ("schema", VERSION.encode()),
    ]
    return EncodedRecord(run_id.encode(), value, headers)


def identify(key: bytes | None, headers: Headers) -> Identity:
    """
    Return what the headers state. Raises NotAnEvent, or UnknownVersion for a version that this release cannot read.
    """
    found = dict(headers)
    try:
        version, spec = found["schema"].decode(), found["ce_specversion"].decode()
        kind, source = found["ce_type"].decode(), found["ce_source"].decode()
        seq, cut = found["ce_id"].decode(), found["ce_time"].decode()
    except KeyError as error:
        raise NotAnEvent(f"the record has no header {error}{_odd_names(found)}") from None
    except (UnicodeDecodeError, AttributeError):
        raise NotAnEvent("a header is not UTF-8 text") from None
    if version != VERSION:
        raise UnknownVersion(f"schema version {version!r:.20} is not known here (this release reads {VERSION})")
    if spec != "1.0":
        raise NotAnEvent(f"CloudEvents version {spec!r:.20} is not 1.0")
    if not kind.startswith(_TYPE_PREFIX):
        raise NotAnEvent(f"ce_type {kind!r:.80} does not start with {_TYPE_PREFIX}")
    run_id, producer = _parse_source(source)
    if key is None or key != run_id.encode():
        raise NotAnEvent("the record's key is not the run id of its ce_source")
    if not (seq.isascii() and seq.isdecimal() and len(seq) <= 18):
        raise NotAnEvent(f"ce_id {seq!r:.40} is not a sequence number")
    return Identity(run_id, producer, int(seq), kind[len(_TYPE_PREFIX) :], _parse_time(cut))


def _odd_names(names: Iterable[str]) -> str:
    """Return a remark on header names that are not UTF-8, which readers of the log pass on as surrogate escapes."""
    odd = [name.encode(errors="surrogateescape") for name in names if not _is_text(name)]
    return f", and the name of one is no UTF-8: {str(odd[0])[1:]:.80}" if odd else ""


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode(key: bytes | None, value: bytes | None, headers: Headers) -> Envelope:
    """Return the envelope of a record. Raises NotAnEvent, UnknownVersion or BadEvent."""
    identity = identify(key, headers)
    if not value:
        raise NotAnEvent("the record has no value")
    if len(value) > MAX_READ_VALUE:
        raise BadEvent(f"the event has {len(value):,} bytes, and may have {MAX_READ_VALUE:,}")
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise NotAnEvent(f"the value is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("kind") != identity.kind:
        raise NotAnEvent(f"the value is not an event of kind {identity.kind!r:.40}")
    if b"\\u0000" in value and holds_nul(raw):
        raise BadEvent("the event holds the character U+0000, which PostgreSQL cannot keep")
    try:
        event = _EVENT.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadEvent(f"{identity.kind}: {field}: {first['msg']}") from None
    except MemoryError:
        raise
    except Exception as error:  # an error that no rule foresees refuses, too: readers must agree on what is an event
        raise BadEvent(f"{identity.kind}: checking it failed with {type(error).__name__}: {error}") from error
    return Envelope(identity.run_id, identity.producer, identity.seq, identity.time, event)


def _parse_source(source: str) -> tuple[RunId, ProducerId]:
    parts = source.split("/")
    if len(parts) != 5 or parts[0] or parts[1] != "runs" or parts[3] != "producers":
        raise NotAnEvent(f"ce_source {source!r:.80} is not /runs/<run>/producers/<producer>")
    try:
        run_id, producer = unquote(parts[2], errors="strict"), unquote(parts[4], errors="strict")
    except UnicodeDecodeError:
        raise NotAnEvent("ce_source is not UTF-8") from None
    if not run_id or len(run_id) > MAX_RUN_ID or "\x00" in run_id:
        raise NotAnEvent(f"the run id {_ID_BOUNDS}")
    if not (run_id.isascii() or _is_short(run_id)):
        raise NotAnEvent(f"the run id {_ID_BOUNDS}")
    if (
        not producer
        or len(producer) > MAX_RUN_ID
        or "\x00" in producer
        or not (producer.isascii() or _is_short(producer))
    ):
        raise NotAnEvent(f"the producer id {_ID_BOUNDS}")
    return RunId(run_id), ProducerId(producer)


def _is_short(one: str) -> bool:
    return len(one.encode()) <= MAX_RUN_ID_BYTES


def _parse_time(text: str) -> int:
    try:
        # The form that `encode` writes. strptime takes 20 times as long: a quarter of decoding a record of few points.
        if len(text) == 27 and (text[4], text[7], text[10], text[13], text[16], text[19], text[26]) == _WRITTEN:
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
        cut = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise NotAnEvent(f"ce_time {text!r:.40} is not RFC 3339 with microseconds and Z") from None
    return (cut - _EPOCH) // _MICROSECOND


_ID_BOUNDS = f"must have 1 to {MAX_RUN_ID} characters, at most {MAX_RUN_ID_BYTES} bytes, and no U+0000"
_MICROSECOND = datetime.resolution
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = ("-", "-", "T", ":", ":", ".", "Z")
