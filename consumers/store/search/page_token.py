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
from collections.abc import Sequence
from hashlib import blake2s
from typing import NamedTuple, cast

from consumers.store.search.filter_terms import Key, Kind, Node, Order
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


class KeysPosition(NamedTuple):
    """Position of a run in an order of several keys: rank and value of each, then its id."""

    places: tuple[tuple[int, float | int | str | None], ...]  # rank 0: it has a value
    run_id: str


def write_token(position: PagePosition, filter: Node, order: Order | None) -> str:
    """Return the token of the page after `position`."""
    return _sealed([position.has_key, _written(position.value), position.run_id], _query_hash(filter, order))


def read_token(token: str, filter: Node, order: Order | None) -> PagePosition:
    """Return the position of a token. Raises TokenError for a damaged token and for a token of another query."""
    content = _opened(token, _query_hash(filter, order))
    try:
        return _position(content, order or _NEWEST)
    except (ValueError, TypeError, OverflowError):
        raise TokenError("it is not a token of this API") from None


def write_keys_token(position: KeysPosition, *query: object) -> str:
    """Return the token of the page after `position`, for the same query only."""
    places = [[rank, _written(value)] for rank, value in position.places]
    return _sealed([places, position.run_id], _query_hash(*query))


def read_keys_token(token: str, kinds: Sequence[Kind], *query: object) -> KeysPosition:
    """Return the position of a token in an order by keys of these kinds. Raises TokenError as `read_token` does."""
    content = _opened(token, _query_hash(*query))
    try:
        places, run_id = cast("tuple[list[list[object]], object]", content)
        checked = [_place(kind, *place) for kind, place in zip(kinds, places, strict=True)]
        return KeysPosition(tuple(checked), _run_id(run_id))
    except (ValueError, TypeError, OverflowError):
        raise TokenError("it is not a token of this API") from None


def _written(value: float | int | str | None) -> int | str | None:
    return value.hex() if isinstance(value, float) else value


def _sealed(content: list[object], query: bytes) -> str:
    text = json.dumps([_VERSION, *content], ensure_ascii=False, separators=(",", ":"))
    asked = query + text.encode()
    return base64.urlsafe_b64encode(zlib.crc32(asked).to_bytes(4) + asked).decode().rstrip("=")


def _opened(token: str, query: bytes) -> list[object]:
    """Return the content of a token of a query. Raises TokenError."""
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
    if found[4:_MARK] != query:
        raise TokenError("it belongs to a list with another filter or order")
    return list(content[1:])


def _query_hash(*query: object) -> bytes:
    return blake2s(repr(query).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _position(content: list[object], order: Order) -> PagePosition:
    """Return the position. Raises ValueError for content that we never write and PostgreSQL would refuse."""
    has_key, value, run_id = content
    if not isinstance(has_key, bool):
        raise ValueError
    return PagePosition(has_key, _value(order.key.kind if has_key else "time", value), _run_id(run_id))


def _place(kind: Kind, rank: object, value: object) -> tuple[int, float | int | str | None]:
    if type(rank) is not int or rank not in (0, 1, 2) or (rank and value is not None):
        raise ValueError
    return rank, None if rank else _value(kind, value)


def _value(kind: Kind, value: object) -> float | int | str:
    if kind in ("metric", "param", "duration"):
        number = float.fromhex(str(value))
        if math.isnan(number):
            raise ValueError
        return number
    if kind in ("number", "time"):
        if type(value) is not int or not -(2**63) <= value < 2**63:
            raise ValueError
        return value
    if not isinstance(value, str) or len(value) > SORTED_TEXT:
        raise ValueError
    _check_text(value)
    return value


def _run_id(run_id: object) -> str:
    if not isinstance(run_id, str) or len(run_id) > MAX_RUN_ID:
        raise ValueError
    _check_text(run_id)
    return run_id


def _check_text(text: str) -> None:
    text.encode()  # raises for a lone surrogate
    if "\x00" in text:
        raise ValueError
