"""
Where the next page of a list begins: behind one run, however many were added meanwhile.

Pure. A token is opaque to whoever holds it: base64 of a checksum, of what was asked, and of the place of the page's
last run in the order. It names that place by its value and not by a count of runs, so a page costs the same however
far down it is. It gives no rights: whatever is in one becomes parameters of the same search.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from hashlib import blake2s
from typing import NamedTuple

from consumers.store.search.filter import Key, Kind, Node, Order
from schemas.wire import MAX_RUN_ID

MAX_TOKEN = 10_000  # characters
SORTED_TEXT = 200  # characters of a text by which runs are sorted; the indexes of parameters and tags hold as many

_MARK = 12  # bytes: 4 of the checksum, 8 of the question
_VERSION = 1
_NEWEST = Order(Key("time", "created"), descending=True)


class TokenError(ValueError):
    """A page token cannot be used; the message says why."""


class PagePosition(NamedTuple):
    """Where a run is in an order: by its value, then by its id."""

    has_key: bool  # runs without a value come behind all others, newest first
    value: float | int | str
    run_id: str


def write_token(place: PagePosition, filter: Node, order: Order | None) -> str:
    """Return the token of the page behind `place`."""
    value = place.value.hex() if isinstance(place.value, float) else place.value
    text = json.dumps([_VERSION, place.has_key, value, place.run_id], ensure_ascii=False, separators=(",", ":"))
    asked = _question(filter, order) + text.encode()
    return base64.urlsafe_b64encode(zlib.crc32(asked).to_bytes(4) + asked).decode().rstrip("=")


def read_token(token: str, filter: Node, order: Order | None) -> PagePosition:
    """Return the place a token names. Raises TokenError for a damaged one, and for one of another list."""
    try:
        found = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if int.from_bytes(found[:4]) != zlib.crc32(found[4:]):
            raise ValueError("the checksum differs")
        content = json.loads(found[_MARK:])
        version = content[0]
    except (ValueError, binascii.Error, LookupError, TypeError, RecursionError):
        raise TokenError("it is no token that this API gave, or only a part of one") from None
    if version != _VERSION:
        raise TokenError("it is from another release")
    if found[4:_MARK] != _question(filter, order):
        raise TokenError("it belongs to a list with another filter or order")
    try:
        return _place(content, order or _NEWEST)
    except (ValueError, TypeError, OverflowError):
        raise TokenError("it is no token that this API gave") from None


def _question(filter: Node, order: Order | None) -> bytes:
    return blake2s(repr((filter, order)).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _place(content: list[object], order: Order) -> PagePosition:
    """Return the place; ValueError for what no answer of ours holds and PostgreSQL would refuse."""
    _, has_key, value, run_id = content
    if not isinstance(has_key, bool) or not isinstance(run_id, str) or len(run_id) > MAX_RUN_ID:
        raise ValueError
    _check_text(run_id)
    kind: Kind = order.key.kind if has_key else "time"
    if kind in ("metric", "param"):
        number = float.fromhex(str(value))
        if math.isnan(number):
            raise ValueError
        return PagePosition(has_key, number, run_id)
    if kind in ("number", "time"):
        if type(value) is not int or not -(2**63) <= value < 2**63:
            raise ValueError
        return PagePosition(has_key, value, run_id)
    if not isinstance(value, str) or len(value) > SORTED_TEXT:
        raise ValueError
    _check_text(value)
    return PagePosition(has_key, value, run_id)


def _check_text(text: str) -> None:
    text.encode()  # raises for a lone surrogate
    if "\x00" in text:
        raise ValueError
