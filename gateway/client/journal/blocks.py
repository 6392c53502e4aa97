"""
The blocks of a cursor file other than the ring of cuts: the state, what the owner knows, what an agent reports.

Each has one writer, and each but the report is in the file twice. A reader may come in the middle of a write, and the
writer may be killed there: then one of the two copies is intact.
"""

from __future__ import annotations

import json
import struct
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any

STATE_AT = (0, 4_096)  # in two blocks of a disk
OWNER_AT = (1_024, 5_120)
REPORT_AT, REPORT_BYTES = 2_048, 2_048
READS = 4  # attempts to read a block that its writer may be writing

# Magic, flags, cuts, acknowledged cuts, seq, points, dropped, segment and offset of the end, producer.
_FORMAT_1 = struct.Struct("<IIQQQQQII16s")
_STATE = struct.Struct("<IIQQQQQII16sQQQ")  # ... acknowledged points and values, lost
_OWNER = struct.Struct("<IIIIQ")  # magic, flags, segment and offset of the end, refused
_MAGIC_1, _MAGIC, _OWNER_MAGIC = 0x4C4A5447, 0x324A5447, 0x574A5447  # GTJL, GTJ2, GTJW


def write_state(memory: mmap, *fields: Any) -> None:
    """Write the state, one copy after the other: one copy stays intact when the process is killed in between."""
    _write(memory, STATE_AT, _STATE.pack(_MAGIC, *fields))


def unpack_state(whole: bytes) -> tuple[Any, ...] | None:
    """Return the state at the begin of these bytes, without its magic; None when it is not intact."""
    if found := _unpack(whole, _STATE, _MAGIC):
        return found
    old = _unpack(whole, _FORMAT_1, _MAGIC_1)
    return (*old, 0, 0, 0) if old is not None else None


def read_state(memory: mmap) -> tuple[Any, ...] | None:
    """Return the newest intact copy of the state: the first one, unless it is damaged, or is being written."""
    for at in STATE_AT * READS:
        found = unpack_state(memory[at : at + _STATE.size + 4])
        if found is not None:
            return found
    return None


def write_owner(memory: mmap, *fields: int) -> None:
    """Write what the owner knows: flags, segment and offset of the end, refused."""
    _write(memory, OWNER_AT, _OWNER.pack(_OWNER_MAGIC, *fields))


def read_owner(memory: mmap) -> tuple[int, int, int, int] | None:
    """Return what `write_owner` wrote last; None when that is nothing, or damaged."""
    for at in OWNER_AT * READS:
        found = _unpack(memory[at : at + _OWNER.size + 4], _OWNER, _OWNER_MAGIC)
        if found is not None:
            flags, number, offset, refused = found
            return flags, number, offset, refused
    return None


def write_report(memory: mmap, report: dict[str, Any]) -> None:
    """Write what an agent reports, in JSON; its texts are cut so that it fits."""
    text = json.dumps(report).encode()
    while len(text) > REPORT_BYTES - 8:
        report = {name: value[: len(value) // 2] if isinstance(value, str) else value for name, value in report.items()}
        text = json.dumps(report).encode()
    raw = len(text).to_bytes(4, "little") + text
    memory[REPORT_AT : REPORT_AT + 4 + len(raw)] = crc32(raw).to_bytes(4, "little") + raw


def report_version(memory: mmap) -> bytes:
    """Return what changes with each report."""
    return memory[REPORT_AT : REPORT_AT + 8]


def read_report(memory: mmap) -> dict[str, Any]:
    """Return what an agent reported last; {} when that is nothing, or it is writing."""
    length = int.from_bytes(memory[REPORT_AT + 4 : REPORT_AT + 8], "little")
    if not 0 < length <= REPORT_BYTES - 8:
        return {}
    raw = memory[REPORT_AT + 4 : REPORT_AT + 8 + length]
    if crc32(raw) != int.from_bytes(memory[REPORT_AT : REPORT_AT + 4], "little"):
        return {}
    try:
        found = json.loads(raw[4:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(memory: mmap, places: tuple[int, int], raw: bytes) -> None:
    whole = raw + crc32(raw).to_bytes(4, "little")
    for at in places:
        memory[at : at + len(whole)] = whole


def _unpack(whole: bytes, form: struct.Struct, magic: int) -> tuple[Any, ...] | None:
    raw, crc = whole[: form.size], whole[form.size : form.size + 4]
    if len(crc) < 4 or crc32(raw) != int.from_bytes(crc, "little"):
        return None
    found = form.unpack(raw)
    return found[1:] if found[0] == magic else None
