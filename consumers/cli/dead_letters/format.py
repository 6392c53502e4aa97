"""
Format arbitrary records: safe to print on a terminal, and lossless for programs.

Pure. Bytes may be anything. Text for people keeps printable characters and escapes the rest (control characters, which
could steer the terminal, and characters that turn the direction of writing). Bytes that are not text become a
hexdump.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from consumers.deadletters.resolution import refusal
from consumers.log.record import Record
from consumers.store.dead_letters import DeadLetter, DeadLetterSummary
from schemas.errors import BadRecord
from schemas.runtime.text import escape_unprintable
from schemas.wire import identify

HEX_COLUMNS = 16
SHOWN_KEY, SHOWN_REASON = 60, 200  # bytes and characters in a list


def escape_bytes(value: bytes | None, limit: int = 200) -> str:
    """Return bytes as one line that shows at most `limit` of them."""
    if value is None:
        return "none"
    text = escape_unprintable(value[:limit].decode(errors="backslashreplace"))
    return text if len(value) <= limit else f"{text}… ({len(value):,} bytes)"


def is_text(value: bytes) -> bool:
    """Tell whether bytes read better as text: UTF-8 whose only control characters are those of layout."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        # The value may be cut off within a character.
        if error.start < len(value) - 3 or error.reason != "unexpected end of data":
            return False
        text = value[: error.start].decode()
    return all(one.isprintable() or one in "\n\r\t" for one in text)


def value_lines(value: bytes | None, limit: int) -> Iterator[str]:
    """Yield at most `limit` bytes of a value as lines: of text where it is text, else of a hexdump."""
    if not value:
        yield "(empty)" if value == b"" else "(none)"
        return
    part = value[:limit]
    if is_text(part):
        yield from (escape_unprintable(line) for line in part.decode(errors="replace").splitlines())
    else:
        yield from hexdump(part)
    if len(value) > limit:
        yield f"… {len(value) - limit:,} bytes more: --bytes {len(value)} shows all, --raw writes them as they are"


def hexdump(value: bytes) -> Iterator[str]:
    """Yield bytes as lines of offset, hexadecimal numbers and ASCII characters."""
    for start in range(0, len(value), HEX_COLUMNS):
        row = value[start : start + HEX_COLUMNS]
        characters = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        yield f"{start:08x}  {row.hex(' '):<{HEX_COLUMNS * 3 - 1}}  {characters}"


def identity(record: Record) -> dict[str, Any] | None:
    """Return the identity that the headers of a record give; None when they give none."""
    try:
        found = identify(record.key, record.headers)
    except BadRecord:
        return None
    about: dict[str, Any] = (
        {"run_id": found.run_id} if found.run_id is not None else {"run_id": None, "subject": str(found.subject)}
    )
    return {**about, "producer": found.producer, "seq": found.seq, "kind": found.kind, "time": found.time}


def instant(time_ms: int) -> str:
    """Return a broker's time (ms since 1970-01-01 UTC) as text in UTC, or as its number when it is out of range."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(time_ms)


def found_document(found: DeadLetterSummary) -> dict[str, Any]:
    """Return one dead letter as `list --json` prints it."""
    return {
        "id": str(found.id),
        "run": None if found.key is None else found.key.decode(errors="backslashreplace"),
        "kind": found.kind,
        "reason": found.reason,
        "bytes": found.size,
        "time": found.time_ms,
        "state": found.state,
        "because": found.because,
        "decided": found.decided.isoformat() if found.decided else None,
    }


def found_lines(found: Sequence[DeadLetterSummary]) -> Iterator[str]:
    """Yield a line for each, the reason last, so that ids stay whole and can be copied in a narrow terminal."""
    rows = [("id", "time (UTC)", "run", "bytes", "state", "reason")]
    for one in found:
        because = f" (discarded: {one.because})" if one.because else ""
        reason = escape_unprintable(f"{one.kind}: {one.reason[:SHOWN_REASON]}{because}")
        run = escape_bytes(one.key, SHOWN_KEY)
        rows.append((str(one.id), instant(one.time_ms), run, f"{one.size:,}", one.state, reason))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])


def letter_document(letter: DeadLetter) -> dict[str, Any]:
    """Return one dead letter as `show --json` prints it: every byte in base64, and as text where it is UTF-8."""
    record = letter.record
    return {
        "id": str(letter.id),
        "kind": letter.kind,
        "reason": letter.reason,
        "time": record.time_ms,
        "state": letter.state,
        "because": letter.because,
        "decided": letter.decided.isoformat() if letter.decided else None,
        "key": _bytes_document(record.key),
        "headers": [{"name": name, "value": _bytes_document(value)} for name, value in record.headers],
        "value": _bytes_document(record.value),
        "identity": identity(record),
        "refusal": refusal(record),
    }


def _bytes_document(value: bytes | None) -> dict[str, str | None] | None:
    if value is None:
        return None
    try:
        text: str | None = value.decode()
    except UnicodeDecodeError:
        text = None
    return {"text": text, "base64": base64.b64encode(value).decode()}
