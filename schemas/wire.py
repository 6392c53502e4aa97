"""
Encode an event as a Kafka record, and decode it.

CloudEvents 1.0, Kafka binding, binary content mode: attributes are headers, the value is the event alone. The headers
hold everything that a reader needs to route a record, refuse a duplicate or refuse a version, without parsing the
value.

    key             of the subject, see schemas/subjects.py: events of one run share a partition and keep their order
    ce_specversion  1.0
    ce_type         tracking.<kind>
    ce_source       /runs/<run>/producers/<producer>, both percent-encoded; for other collections likewise
    ce_id           sequence number of the record, from 0, without gaps for each producer and run (or key)
    ce_time         when the event was cut from the journal, RFC 3339, µs
    content-type    application/json
    schema          version of the contract, "1"

(key, producer, seq) is the identity of a record: the same identity always has the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, NewType

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.bounds import MAX_READ_VALUE, holds_nul
from schemas.errors import BadEvent, NotAnEvent, UnknownVersion
from schemas.events import (
    VERSION,
    AlertRuleEvent,
    AnyEvent,
    ExperimentEvent,
    LoggedModelEvent,
    MetricRows,
    Metrics,
    ModelEvent,
    RegistryEvent,
    SystemMetrics,
    ViewEvent,
)
from schemas.subjects import Collection, Subject, parse_source

RunId = NewType("RunId", str)
ProducerId = NewType("ProducerId", str)
Headers = Sequence[tuple[str, bytes]]

LAST_TIME = 253_402_300_799_999_999  # µs: the end of the year 9999, the last that RFC 3339 can write
_TYPE_PREFIX = "tracking."
_EVENTS: dict[Collection, TypeAdapter[Any]] = {
    "runs": TypeAdapter(AnyEvent),
    "experiments": TypeAdapter(ExperimentEvent),
    "models": TypeAdapter(ModelEvent),
    "logged_models": TypeAdapter(LoggedModelEvent),
    "views": TypeAdapter(ViewEvent),
    "alert_rules": TypeAdapter(AlertRuleEvent),
}


class Envelope(NamedTuple):
    """One event about a run, with its identity."""

    run_id: RunId
    producer: ProducerId
    seq: int  # from 0, no gaps, for each (run, producer)
    time: int  # when it was cut from the journal, µs since 1970-01-01 UTC
    event: AnyEvent


class RegistryEnvelope(NamedTuple):
    """One event about an entry of the registry, with its identity."""

    subject: Subject
    producer: ProducerId
    seq: int  # from 0, no gaps, for each (collection, producer)
    time: int  # when it was written, µs since 1970-01-01 UTC
    event: RegistryEvent


class EncodedRecord(NamedTuple):
    """Key, value and headers of a Kafka record that holds an event."""

    key: bytes
    value: bytes
    headers: Headers


class Identity(NamedTuple):
    """Identity, kind and time of a record, from its headers alone."""

    subject: Subject
    producer: ProducerId
    seq: int
    kind: str
    time: int  # µs

    @property
    def run_id(self) -> RunId | None:
        """The run that the record is about; None if it is about something else."""
        return RunId(self.subject.id) if self.subject.collection == "runs" else None


def ordering_key(envelope: Envelope | RegistryEnvelope) -> str:
    """Return the key of an envelope's record: those with one key are in one order."""
    return envelope.run_id if isinstance(envelope, Envelope) else envelope.subject.key.decode()


def points_of(envelope: Envelope | RegistryEnvelope) -> int:
    """Return how many metric points an envelope carries."""
    event = envelope.event
    if isinstance(event, MetricRows):
        return event.points
    return sum(len(one.values) for one in event.series) if isinstance(event, Metrics | SystemMetrics) else 0


def encode(envelope: Envelope | RegistryEnvelope) -> EncodedRecord:
    """Return the record of an envelope. The same envelope always gives the same bytes."""
    about = Subject("runs", envelope.run_id) if isinstance(envelope, Envelope) else envelope.subject
    value = orjson.dumps(_EVENTS[about.collection].dump_python(envelope.event, mode="json"))
    return _record(about, envelope.producer, envelope.seq, envelope.time, envelope.event.kind, value)


def encode_json(run_id: str, producer: str, seq: int, time: int, kind: str, value: bytes) -> EncodedRecord:
    """Return the record of an event about a run that is already JSON; `time` is in µs."""
    return _record(Subject("runs", run_id), producer, seq, time, kind, value)


def _record(subject: Subject, producer: str, seq: int, time: int, kind: str, value: bytes) -> EncodedRecord:
    time = min(time, LAST_TIME)  # of a producer whose clock is wrong
    cut = datetime.fromtimestamp(time // 1_000_000, UTC).replace(microsecond=time % 1_000_000)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"{_TYPE_PREFIX}{kind}".encode()),
        ("ce_source", subject.source(producer).encode()),
        ("ce_id", str(seq).encode()),
        ("ce_time", cut.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()),
        ("content-type", b"application/json"),
        ("schema", VERSION.encode()),
    ]
    return EncodedRecord(subject.key, value, headers)


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
    subject, producer = parse_source(source)
    if key is None or key != subject.key:
        raise NotAnEvent("the record's key is not that of its ce_source")
    if not (seq.isascii() and seq.isdecimal() and len(seq) <= 18):
        raise NotAnEvent(f"ce_id {seq!r:.40} is not a sequence number")
    return Identity(subject, ProducerId(producer), int(seq), kind[len(_TYPE_PREFIX) :], _parse_time(cut))


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


def decode(key: bytes | None, value: bytes | None, headers: Headers) -> Envelope | RegistryEnvelope:
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
        event = _EVENTS[identity.subject.collection].validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadEvent(f"{identity.kind}: {field}: {first['msg']}") from None
    except MemoryError:
        raise
    except Exception as error:  # an error that no rule foresees refuses, too: readers must agree on what is an event
        raise BadEvent(f"{identity.kind}: checking it failed with {type(error).__name__}: {error}") from error
    subject, producer, seq, _, cut = identity
    if subject.collection != "runs":
        return RegistryEnvelope(subject, producer, seq, cut, event)
    return Envelope(RunId(subject.id), producer, seq, cut, event)


def decode_run(key: bytes | None, value: bytes | None, headers: Headers) -> Envelope:
    """Return the envelope of a record about a run. Raises what `decode` raises, and NotAnEvent for another subject."""
    envelope = decode(key, value, headers)
    if isinstance(envelope, RegistryEnvelope):
        raise NotAnEvent(f"the event is about {envelope.subject}, not about a run")
    return envelope


def _parse_time(text: str) -> int:
    try:
        # The form that `encode` writes. strptime takes 20 times as long: a quarter of decoding a record of few points.
        if len(text) == 27 and (text[4], text[7], text[10], text[13], text[16], text[19], text[26]) == _WRITTEN:
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
        cut = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise NotAnEvent(f"ce_time {text!r:.40} is not RFC 3339 with microseconds and Z") from None
    return (cut - _EPOCH) // _MICROSECOND


_MICROSECOND = datetime.resolution
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = ("-", "-", "T", ":", ":", ".", "Z")
