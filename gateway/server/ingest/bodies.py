"""
Request bodies: read within a time limit, unpacked within a size limit, and checked before any record is written.

Senders are not trusted. The bytes that arrive are counted against the limit, whatever length the sender announces. The
unpacked size is bounded while unpacking, so a decompression bomb costs no more than the bound. Every byte that is held
here is taken from one budget of the process; when the budget is used up, the sender is asked to retry later.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from threading import Lock

import cramjam
import msgspec
from starlette.requests import ClientDisconnect, Request

from gateway.client.encoding.wire import Record
from gateway.server.errors import Failure
from schemas.errors import BadRecord
from schemas.wire import decode as decode_event

MAX_BODY = 8 * 1024 * 1024  # bytes as sent; the client sends 1 MB before compression
MAX_UNPACKED = 16 * 1024 * 1024  # bytes after decompression
MAX_RECORDS = 10_000
MAX_RECORD = 1_040_000  # bytes of key, headers and value; below the broker's default message.max.bytes of 1,048,588
MAX_HEADERS = 32  # of one record
MAX_HEADER_BYTES = 16_384  # names and values of one record
MAX_HEADER_TEXT = 8 * MAX_HEADER_BYTES  # of these in JSON, where a byte may be written with six
BODY_TIMEOUT_S = 30.0  # for the whole body
UNPACKED_IN_THREAD_FROM = 8_192  # bytes; such a body may become 8 MB, which takes 20 ms
IN_THREAD_FROM = 32_768  # bytes; handing a smaller body to a thread takes longer than its unpacking and check
ENCODINGS = ("identity", "gzip", "zstd")


_VALUE = b'"value"'
_FORM = "key and value are strings (value: the event's JSON, as a string), headers an object"
_LONG_HEADERS = f"more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES:,} bytes of them"
_PLACE = re.compile(r"`\$\.records\[(\d+)\](.*)`$")


class _SentRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    headers: msgspec.Raw  # read once it is known to be short
    value: str


class _SentBody(msgspec.Struct, forbid_unknown_fields=True):
    records: list[_SentRecord]


_BODY: msgspec.json.Decoder[_SentBody] = msgspec.json.Decoder(_SentBody)
_HEADERS: msgspec.json.Decoder[dict[str, str]] = msgspec.json.Decoder(dict[str, str])


class Budget:
    """The memory that all requests of a kind together may hold, in bytes."""

    def __init__(self, limit: int, what: str = "events in flight") -> None:
        self._limit, self._what = limit, what
        self._lock = Lock()  # large bodies are unpacked in threads
        self.held = 0

    def reserve(self, count: int) -> None:
        """Reserve `count` bytes. Raises Failure 503 when fewer are left."""
        with self._lock:
            if self.held + count <= self._limit:
                self.held += count
                return
        raise Failure(
            503,
            f"the {self._what} use all the memory this server may use for them",
            "send the same request again in a moment",
        )

    def release(self, count: int) -> None:
        """Give back `count` reserved bytes."""
        with self._lock:
            self.held -= count


class Share:
    """The part of the budget that one request holds, until the end of the block."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def reserve(self, count: int) -> None:
        """Reserve `count` more bytes. Raises Failure 503 when fewer are left."""
        self._budget.reserve(count)
        self._held += count

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.release(self._held)
        self._held = 0


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the rest of a body. Unlike the request's own stream, it can be continued after an error."""
    while not getattr(request.state, "body_ended", False):
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        request.state.body_ended = not message.get("more_body", False)
        yield message.get("body", b"")


async def read(request: Request, share: Share) -> bytes:
    """Return the body as it was sent. Raises Failure: 400, 408, 413, or 503 when the budget is used up."""
    announced = request.headers.get("content-length", "")
    too_large = Failure(413, f"the body is longer than {MAX_BODY:,} bytes", "send fewer records in a request")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in _chunks(request):
                size += len(chunk)
                if size > MAX_BODY:
                    raise too_large
                share.reserve(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise Failure(
            408, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s", "send fewer records in a request"
        ) from None
    except ClientDisconnect:
        raise Failure(400, "the connection ended before the body did", "send the request again") from None
    if announced.isdecimal() and int(announced) != size:
        raise Failure(400, f"Content-Length is {announced}, but the body has {size} bytes", "correct the header")
    return b"".join(chunks)


async def drain(request: Request) -> None:
    """
    Read and discard the body of a refused request, so that its sender, still writing, can read the answer.

    Bounded in bytes and time like an accepted body.
    """
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in _chunks(request):
                size += len(chunk)
                if size > MAX_BODY:
                    return
    except (TimeoutError, ClientDisconnect):
        return


async def decode(body: bytes, encoding: str, share: Share) -> list[Record]:
    """Return the records of a body, each checked. Raises Failure naming what does not fit, and in which record."""
    if encoding not in ENCODINGS:
        raise Failure(415, f"Content-Encoding {encoding!r:.40} is not supported", f"use one of {', '.join(ENCODINGS)}")
    # Reserved before unpacking: the bytes, their copy in the parsed text, and the records made from it.
    share.reserve(3 * (len(body) if encoding == "identity" else MAX_UNPACKED if encoding == "zstd" else 0))
    if len(body) < (IN_THREAD_FROM if encoding == "identity" else UNPACKED_IN_THREAD_FROM):
        text = unpack(body, encoding, share)
    else:
        text = await asyncio.to_thread(unpack, body, encoding, share)
    return parse(text) if len(text) < IN_THREAD_FROM else await asyncio.to_thread(parse, text)


def unpack(body: bytes, encoding: str, share: Share) -> bytes:
    """Return the body decompressed. Raises Failure 400 when it is damaged and 413 when it is too long."""
    if encoding == "identity":
        return body
    found = _gunzip(body, share) if encoding == "gzip" else _unzstd(body)
    if len(found) > MAX_UNPACKED:
        raise Failure(413, f"the body unpacks to more than {MAX_UNPACKED:,} bytes", "send fewer records in a request")
    return found


def _gunzip(body: bytes, share: Share) -> bytes:
    machine = zlib.decompressobj(wbits=31)
    chunks: list[bytes] = []
    size = 0
    rest = body
    try:
        while not machine.eof and size <= MAX_UNPACKED:
            chunk = machine.decompress(rest, 1_048_576)
            rest = machine.unconsumed_tail
            if not chunk and not rest:
                break
            share.reserve(3 * len(chunk))
            size += len(chunk)
            chunks.append(chunk)
    except zlib.error as error:
        raise Failure(400, f"the body is not gzip ({error})", "send the whole request again") from None
    if size <= MAX_UNPACKED and (not machine.eof or machine.unused_data):
        problem = "has bytes after its end" if machine.eof else "is cut short"
        raise Failure(400, f"the gzip body {problem}", "send the whole request again")
    return b"".join(chunks)


def _unzstd(body: bytes) -> bytes:
    # Into a buffer of the largest size allowed: the only call of this library whose memory a bomb cannot increase.
    buffer = bytearray(MAX_UNPACKED)
    try:
        size = cramjam.zstd.decompress_into(body, buffer)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            return bytes(MAX_UNPACKED + 1)
        raise Failure(400, f"the body is not zstd ({error})", "send the whole request again") from None
    return bytes(memoryview(buffer)[:size])


def parse(text: bytes) -> list[Record]:
    """
    Return the records of a JSON body, in order. Raises Failure 400, 413 or 422; 422 and 413 may name a record.

    Nothing is made of what does not have the form: 15 kB of gzip are 5,000,000 empty objects, which would take 380 MB.
    """
    too_many = Failure(413, f"a request holds at most {MAX_RECORDS:,} records", "send fewer records in a request")
    if text.count(_VALUE) > 2 * MAX_RECORDS:  # a quote within a string is escaped; a header may have this name too
        raise too_many
    try:
        records = _BODY.decode(text).records
    except msgspec.ValidationError as error:
        raise _form_failure(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failure(400, f"the body is not JSON: {error}", "docs/ingest.md shows the form") from None
    if len(records) > MAX_RECORDS:
        raise too_many
    return [_record(number, one) for number, one in enumerate(records)]


def _form_failure(error: str) -> Failure:
    """Return the answer to a body of another form; the decoder's message ends in a path such as `$.records[3].key`."""
    place = _PLACE.search(error)
    if place is None:
        return Failure(400, 'the body is not {"records": [...]}', "docs/ingest.md shows the form")
    number, member = int(place[1]), place[2]
    if not member:
        return _refusal(number, "it must have key, headers and value, and nothing else")
    return _refusal(number, _FORM)


def _refusal(number: int, why: str, status: int = 422) -> Failure:
    return Failure(status, f"record {number}: {why}", "leave it out, or correct it; see docs/ingest.md", record=number)


def _record(number: int, found: _SentRecord) -> Record:
    refuse = partial(_refusal, number)
    key, value = found.key, found.value
    packed = _headers(found.headers, refuse)
    in_headers = sum(len(name.encode()) + len(text) for name, text in packed)
    if len(packed) > MAX_HEADERS or in_headers > MAX_HEADER_BYTES:
        raise refuse(_LONG_HEADERS, 413)
    record = Record(key.encode(), value.encode(), packed, 0)
    if len(record.key) + len(record.value) + in_headers > MAX_RECORD:
        raise refuse(f"it has more than {MAX_RECORD:,} bytes", 413)
    if not value:
        raise refuse("it has no value")
    try:
        record.time = decode_event(record.key, record.value, packed).time
    except BadRecord as error:
        raise refuse(str(error)) from None
    return record


def _headers(text: msgspec.Raw, refuse: Callable[..., Failure]) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a record. Raises Failure 422 for another form, and 413 before many objects are made."""
    if len(text) > MAX_HEADER_TEXT:
        raise refuse(_LONG_HEADERS, 413)
    try:
        headers = _HEADERS.decode(text)
    except msgspec.ValidationError as error:
        raise refuse("each header is a string" if "`$[" in str(error) else _FORM) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse(f"its headers are not JSON: {error}", 400) from None
    return tuple((name, value.encode()) for name, value in headers.items())
