"""
The frame of a TensorBoard event file: records of bytes, each with two checksums (TensorFlow's TFRecord).

    uint64 length, uint32 masked CRC-32C of it, payload, uint32 masked CRC-32C of the payload; all little-endian

Source: tensorflow/core/lib/io/record_writer.h. A record says nothing of its place, so a file that is cut back to a
record's end and appended to again is the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8  # crc::Mask, tensorflow/core/lib/hash/crc32c.h
MAX_RECORD = 1 << 30  # bytes; a length beyond is a damaged file, not a record


class Damaged(Exception):
    """An event file is not what was written; the text names the byte and the reason."""


def frame(records: Iterable[bytes]) -> bytes:
    """Return the bytes that append `records` to a file."""
    out = bytearray()
    for record in records:
        length = _LENGTH.pack(len(record))
        out += length + _checksum(length) + record + _checksum(record)
    return bytes(out)


def read(path: Path, end: int) -> Iterator[bytes]:
    """Yield the records in the first `end` bytes of a file, one in memory at a time. Raises Damaged, OSError."""
    with path.open("rb") as file:
        at = 0
        while at < end:
            head = file.read(_LENGTH.size + _CHECKSUM.size)
            length = _LENGTH.unpack_from(head)[0] if len(head) == _LENGTH.size + _CHECKSUM.size else MAX_RECORD + 1
            if length > MAX_RECORD or head[_LENGTH.size :] != _checksum(head[: _LENGTH.size]):
                raise Damaged(f"{path}, byte {at}: no whole record begins there")
            body = file.read(length + _CHECKSUM.size)
            if len(body) != length + _CHECKSUM.size or body[length:] != _checksum(body[:length]):
                raise Damaged(f"{path}, byte {at}: the record is cut off, or its checksum does not fit")
            yield body[:length]
            at += len(head) + len(body)
        if at != end:
            raise Damaged(f"{path} ends inside a record")


def _checksum(data: bytes) -> bytes:
    value = google_crc32c.value(data)
    return _CHECKSUM.pack(((value >> 15 | value << 17) + _MASK_DELTA) & 0xFFFFFFFF)
