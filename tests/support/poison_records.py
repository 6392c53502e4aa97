"""Records that can never be folded, of every kind that a broken or hostile writer can produce."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.wire import EncodedRecord
from tests.support.raw_log import with_bad_header_name

Poison = Callable[[EncodedRecord, int], EncodedRecord]


def _without(record: EncodedRecord, name: str) -> EncodedRecord:
    return record._replace(headers=[header for header in record.headers if header[0] != name])


def _with(record: EncodedRecord, name: str, value: bytes) -> EncodedRecord:
    return record._replace(headers=[(n, value if n == name else v) for n, v in record.headers])


def _number(record: EncodedRecord, text: bytes) -> EncodedRecord:
    return record._replace(value=record.value.replace(b'"steps":[', b'"steps":[' + text + b","))


# Each function takes a good record of metrics and a number that makes its bytes unique.
KINDS: dict[str, Poison] = {
    "not JSON": lambda r, n: r._replace(value=b'{"kind": "metrics", "trunc %d' % n),
    "no object": lambda r, n: r._replace(value=b"[%d]" % n),
    "another kind": lambda r, n: r._replace(value=b'{"kind": "note", "n": %d}' % n),
    "markup": lambda r, n: _with(r, "ce_type", b"[red]\x1b[2J\x07%d[/red]" % n),
    "unknown version": lambda r, n: _with(r, "schema", b"%d" % (n + 2)),
    "unknown cloud event": lambda r, n: _with(r, "ce_specversion", b"0.%d" % n),
    "no headers": lambda r, n: r._replace(headers=[], value=b"%d" % n),
    "no number": lambda r, n: _without(r, "ce_id")._replace(value=b"%d" % n),
    "no version": lambda r, n: _without(r, "schema")._replace(value=b"%d" % n),
    "number of 31 digits": lambda r, n: _with(r, "ce_id", b"%031d" % n),
    "negative number": lambda r, n: _with(r, "ce_id", b"-%d" % (n + 1)),
    "time of nowhere": lambda r, n: _with(r, "ce_time", b"0000-99-99T%d" % n),
    "source of nowhere": lambda r, n: _with(r, "ce_source", b"/runs/../%d" % n),
    "source that is no UTF-8": lambda r, n: _with(r, "ce_source", b"/runs/%%ff%%fe/producers/%d" % n),
    "header that is no UTF-8": lambda r, n: _with(r, "ce_type", b"\xff\xfe%d" % n),
    "header name that is no UTF-8": lambda r, n: with_bad_header_name(r)._replace(value=b"%d" % n),
    "wrong types": lambda r, n: _number(r, b'"step %d"' % n),
    "huge integer": lambda r, n: _number(r, b"9" * 400 + b"%d" % n),
    "huge float": lambda r, n: _number(r, b"1e999%d" % n),
    "columns of unlike length": lambda r, n: _number(r, b"%d" % n),
    "cut zstd": lambda r, n: r._replace(value=b"\x28\xb5\x2f\xfd\x04\x58" + b"%d" % n),
    "bytes": lambda r, n: r._replace(value=bytes(range(256)) + b"%d" % n),
    "value that is no UTF-8": lambda r, n: r._replace(value=b'{"kind": "metrics\xc3\x28", "n": %d}' % n),
    "NUL": lambda r, n: r._replace(value=b"\x00" * 20 + b"%d" % n),
    "NUL in a name": lambda r, n: r._replace(value=r.value.replace(b'"loss"', b'"lo\\u0000ss %d"' % n)),
    "half a surrogate": lambda r, n: r._replace(value=r.value.replace(b'"loss"', b'"\\ud800 %d"' % n)),
    "deep nesting": lambda r, n: r._replace(value=b"[" * 3_000 + b"%d" % n),
    "a name of 20,000 characters": lambda r, n: r._replace(
        value=b'{"kind": "metrics", "time": 1, "' + b"x" * 20_000 + b'%d": 1}' % n
    ),
    "empty": lambda r, n: _with(r, "ce_time", b"%d" % n)._replace(value=b""),
    "another key": lambda r, n: r._replace(key=b"run %d" % (n % 7), value=b"%d" % n),
    "a key of 5,000 bytes": lambda r, n: r._replace(key=b"k" * 5_000, value=b"%d" % n),
    "a key that is no UTF-8": lambda r, n: r._replace(key=b"\xff\x00\x1b[31m", value=b"%d" % n),
}


def poison(good: EncodedRecord, count: int) -> Iterator[EncodedRecord]:
    """Yield `count` records that can never be folded, of all kinds in turn, no two equal."""
    makers = list(KINDS.values())
    for number in range(count):
        yield makers[number % len(makers)](good, number)
