"""
The framing of a `.wandb` file: byte records in W&B's transaction log, written and read without W&B.

    file    ":W&B", uint16 0xBEE1, version 0 (7 bytes), then blocks of 32 KiB counted from the file's first byte
    chunk   uint32 CRC-32 of type and payload, uint16 length, uint8 type (1 whole, 2 first, 3 middle, 4 last),
            payload; all little-endian; a block's last 6 bytes or fewer are zero if no chunk header fits

It is LevelDB's log with another checksum. The bytes of an append depend on the position in the file alone, so
truncating a file and appending the same records again gives the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32_768  # bytes
_CHUNK = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_KIND = {
    (True, False): _WHOLE,
    (True, True): _FIRST,
    (False, True): _MIDDLE,
    (False, False): _LAST,
}  # (is the first chunk of its record, more chunks follow)
_CRC_OF_TYPE = [crc32(bytes([kind])) for kind in range(5)]


class DamagedRunFile(Exception):
    """A `.wandb` file differs from what was written; the text names the byte and the reason."""


def frame(records: Iterable[bytes], position: int) -> bytes:
    """Return the bytes that append `records` to a file of `position` bytes, with the header if it is empty."""
    out = bytearray(b"" if position else HEADER)
    for record in records:
        _append(out, position, memoryview(record))
    return bytes(out)


def _append(out: bytearray, position: int, rest: memoryview) -> None:
    first = True
    while True:
        room = BLOCK - (position + len(out)) % BLOCK
        if room < _CHUNK.size:
            out += bytes(room)
            room = BLOCK
        part, rest = rest[: room - _CHUNK.size], rest[room - _CHUNK.size :]
        kind = _KIND[first, bool(rest)]
        out += _CHUNK.pack(crc32(part, _CRC_OF_TYPE[kind]), len(part), kind)
        out += part
        if not rest:
            return
        first = False


def read(path: Path, end: int | None = None) -> Iterator[bytes]:
    """
    Yield the records of a file (of its first `end` bytes), with one block in memory at a time.

    Raises DamagedRunFile, OSError.
    """
    with path.open("rb") as file:
        if file.read(len(HEADER)) != HEADER:
            raise DamagedRunFile(f"{path} does not begin with the header of a .wandb file")
        parts: list[bytes] = []
        for kind, part, at in _chunks(file, path, path.stat().st_size if end is None else end):
            if (kind in (_WHOLE, _FIRST)) == bool(parts):
                raise DamagedRunFile(f"{path}, byte {at}: a chunk of type {kind} is out of place")
            parts.append(part)
            if kind in (_WHOLE, _LAST):
                yield b"".join(parts)
                parts = []
        if parts:
            raise DamagedRunFile(f"{path} ends inside a record")


def _chunks(file: BinaryIO, path: Path, end: int) -> Iterator[tuple[int, bytes, int]]:
    start = len(HEADER)
    while block := file.read(min(BLOCK - start % BLOCK, end - start)):
        at = 0
        while len(block) - at >= _CHUNK.size:
            checksum, length, kind = _CHUNK.unpack_from(block, at)
            part = block[at + _CHUNK.size : at + _CHUNK.size + length]
            if not _WHOLE <= kind <= _LAST or len(part) != length:
                raise DamagedRunFile(f"{path}, byte {start + at}: no complete chunk")
            if crc32(part, _CRC_OF_TYPE[kind]) != checksum:
                raise DamagedRunFile(f"{path}, byte {start + at}: the checksum does not match")
            yield kind, part, start + at
            at += _CHUNK.size + length
        if any(block[at:]) or (at < len(block) and (start + len(block)) % BLOCK):
            raise DamagedRunFile(f"{path}, byte {start + at}: a chunk header is cut off")
        start += len(block)
    if start != end:
        raise DamagedRunFile(f"{path} has {start} bytes, not {end}")
