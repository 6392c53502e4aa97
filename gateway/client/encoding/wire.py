"""
Encode an event as a Kafka record that schemas/wire.py reads, with the standard library alone.

A test decodes every kind of event with the contract and compares. The same cut always gives the same bytes.
"""

from __future__ import annotations

from time import gmtime, strftime
from urllib.parse import quote

from gateway.client.encoding.values import dumps, float_to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Headers = tuple[tuple[str, bytes], ...]

SCHEMA = b"1"
LAST = 253_402_300_799_999_999  # µs: the end of the year 9999, the last that RFC 3339 can write
MAX_RECORD = 1_000_000  # bytes of a value; by default a broker takes 1,048,588 for a batch of records with all headers


class Record:
    """One Kafka record. `key`, `value` and `headers` never change."""

    __slots__ = ("headers", "key", "time", "value")

    def __init__(self, key: bytes, value: bytes, headers: Headers, time: int) -> None:
        self.key = key
        self.value = value
        self.headers = headers
        self.time = time  # of the cut, µs

    def __len__(self) -> int:
        return len(self.value) + len(self.key) + 256  # headers are about 230 bytes


def source_of(run_id: str, producer: str) -> bytes:
    """Return the `ce_source` header of a producer."""
    return f"/runs/{quote(run_id, safe='')}/producers/{quote(producer, safe='')}".encode()


def encode(run_id: str, source: bytes, seq: int, time: int, body: dict[str, Any]) -> Record:
    """Return the record of an event cut at `time` (µs)."""
    return encode_text(run_id, source, seq, time, body["kind"], encode_body(body))


def encode_request(collection: str, subject_id: str, producer: str, body: dict[str, Any]) -> Record:
    """Return the record of a request about an experiment or a model: the only event of its producer."""
    source = f"/{collection}/{quote(subject_id, safe='')}/producers/{quote(producer, safe='')}".encode()
    return encode_text(f"/{collection}", source, 0, body["time"], body["kind"], encode_body(body))


def encode_text(run_id: str, source: bytes, seq: int, time: int, kind: str, text: bytes) -> Record:
    """Return the record of an event, given as JSON, cut at `time` (µs)."""
    time = min(max(time, 0), LAST)
    cut = f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(time // 1_000_000))}.{time % 1_000_000:06d}Z"
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", f"tracking.{kind}".encode()),
        ("ce_source", source),
        ("ce_id", str(seq).encode()),
        ("ce_time", cut.encode()),
        ("content-type", b"application/json"),
        ("schema", SCHEMA),
    )
    return Record(run_id.encode(), text, headers, time)


def encode_body(body: dict[str, Any]) -> bytes:
    """Return the JSON of an event. NaN and infinite metric values become strings."""
    try:
        text = dumps(body)
    except ValueError:  # JSON has no NaN; checking every value first would cost more than this second attempt
        series = [{**one, "values": list(map(float_to_json, one["values"]))} for one in body["series"]]
        text = dumps({**body, "series": series})
    return text.encode()
