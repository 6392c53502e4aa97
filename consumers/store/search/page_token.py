"""
Page tokens: the next page begins after one run, however many runs were added meanwhile.

Pure. A token is opaque to its holder: base64 of a checksum, a hash of the query, and the position of the page's last
run in the order. The position is a value and not a count of runs, so all pages cost the same. A token grants no rights:
its content becomes parameters of the same search.
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
from schemas.bounds import MAX_RUN_ID

MAX_TOKEN = 10_000  # characters
SORTED_TEXT = 200  # leading characters of a text by which runs are sorted; indexes of parameters and tags hold as many

_MARK = 12  # bytes: 4 of the checksum, 8 of the hash of the query
_VERSION = 1
_NEWEST = Order(Key("time", "created"), descending=True)


class TokenError(ValueError):
    """A page token cannot be used; the message states why."""


class PagePosition(NamedTuple):
    """Position of a run in an order: its value, then its id."""

    has_key: bool  # runs without a value come after all others, newest first
    value: float | int | str
    run_id: str


def write_token(position: PagePosition, filter: Node, order: Order | None) -> str:
    """Return the token of the page after `position`."""
    value = position.value.hex() if isinstance(position.value, float) else position.value
    text = json.dumps([_VERSION, position.has_key, value, position.run_id], ensure_ascii=False, separators=(",", ":"))
    asked = _query_hash(filter, order) + text.encode()
    return base64.urlsafe_b64encode(zlib.crc32(asked).to_bytes(4) + asked).decode().rstrip("=")


def read_token(token: str, filter: Node, order: Order | None) -> PagePosition:
    """Return the position of a token. Raises TokenError for a damaged token and for a token of another query."""
    try:
        found = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if int.from_bytes(found[:4]) != zlib.crc32(found[4:]):
            raise ValueError("the checksum differs")
        content = json.loads(found[_MARK:])
        version = content[0]
    except (ValueError, binascii.Error, LookupError, TypeError, RecursionError):
        raise TokenError("it is not a token of this API, or only a part of one") from None
    if version != _VERSION:
        raise TokenError("it is from another release")
    if found[4:_MARK] != _query_hash(filter, order):
        raise TokenError("it belongs to a list with another filter or order")
    try:
        return _position(content, order or _NEWEST)
    except (ValueError, TypeError, OverflowError):
        raise TokenError("it is not a token of this API") from None


def _query_hash(filter: Node, order: Order | None) -> bytes:
    return blake2s(repr((filter, order)).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _position(content: list[object], order: Order) -> PagePosition:
    """Return the position. Raises ValueError for content that we never write and PostgreSQL would refuse."""
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
