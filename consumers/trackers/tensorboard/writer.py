"""
Write and read a TensorBoard event file: byte records, each with two checksums (TensorFlow's TFRecord).

    uint64 length, uint32 masked CRC-32C of it, payload, uint32 masked CRC-32C of the payload; all little-endian

Source: tensorflow/core/lib/io/record_writer.h. A record does not depend on its position, so truncating a file at the
end of a record and appending the same records again gives the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

from consumers.trackers.files.append import AGAIN, append_at, write_new
from schemas.errors import TrackerRefused

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8  # crc::Mask, tensorflow/core/lib/hash/crc32c.h
MAX_RECORD = 1 << 30  # bytes; a greater length means that the file is damaged


class DamagedEventFile(Exception):
    """An event file differs from what was written; the text names the byte and the reason."""


def append_records(path: Path, size: int, records: Iterable[bytes]) -> int:
    """
    Write records after the first `size` bytes of a file; return the size of the file.

    Raises TrackerUnavailable, TrackerRefused.
    """
    data = frame(records)
    append_at(path, size, data)
    return size + len(data)


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write a new file with these records; return its size. Raises TrackerUnavailable."""
    return write_new(path, (frame([record]) for record in records))


def read_records(path: Path, size: int) -> Iterator[bytes]:
    """Yield the records in the first `size` bytes of a file. Raises TrackerRefused if it is gone or damaged."""
    try:
        yield from read(path, size)
    except FileNotFoundError:
        raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
    except (OSError, DamagedEventFile) as error:
        raise TrackerRefused(f"{error}: {AGAIN}") from error


def frame(records: Iterable[bytes]) -> bytes:
    """Return the bytes that append `records` to a file."""
    out = bytearray()
    for record in records:
        length = _LENGTH.pack(len(record))
        out += length + _checksum(length) + record + _checksum(record)
    return bytes(out)


def read(path: Path, end: int) -> Iterator[bytes]:
    """Yield the records in the first `end` bytes of a file, one in memory. Raises DamagedEventFile, OSError."""
    with path.open("rb") as file:
        at = 0
        while at < end:
            head = file.read(_LENGTH.size + _CHECKSUM.size)
            length = _LENGTH.unpack_from(head)[0] if len(head) == _LENGTH.size + _CHECKSUM.size else MAX_RECORD + 1
            if length > MAX_RECORD or head[_LENGTH.size :] != _checksum(head[: _LENGTH.size]):
                raise DamagedEventFile(f"{path}, byte {at}: no complete record begins there")
            body = file.read(length + _CHECKSUM.size)
            if len(body) != length + _CHECKSUM.size or body[length:] != _checksum(body[:length]):
                raise DamagedEventFile(f"{path}, byte {at}: the record is cut off, or its checksum does not match")
            yield body[:length]
            at += len(head) + len(body)
        if at != end:
            raise DamagedEventFile(f"{path} ends inside a record")


def _checksum(data: bytes) -> bytes:
    value = google_crc32c.value(data)
    return _CHECKSUM.pack(((value >> 15 | value << 17) + _MASK_DELTA) & 0xFFFFFFFF)
