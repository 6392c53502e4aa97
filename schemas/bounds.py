"""
The bounds of an event: what every producer and every door keeps, and every reader demands.

A record beyond a bound is refused by `schemas.wire.decode` and by the ingest server, so nothing that a consumer could
not fold, store and read back gets into the log. docs/ingest.md lists the bounds; a test compares it with this module.
The training client has the same numbers in gateway/client, because it imports nothing of the contract.
"""

from __future__ import annotations

from typing import Any

MAX_NAME = 1_024  # characters; the longest name that any of the known trackers accepts (Neptune Scale)
MAX_NAME_BYTES = 1_024  # in UTF-8: an index of PostgreSQL holds 2,704 bytes, which are a run id and two names
MAX_RUN_ID = 256  # characters, also of a producer id
MAX_RUN_ID_BYTES = 512  # in UTF-8
MAX_INT_DIGITS = 4_300  # CPython's own limit for int(str), sys.int_info.default_max_str_digits
MAX_DEPTH = 100  # nested containers of a JSON value; orjson writes 254, and MySQL behind MLflow takes 100
MAX_VALUE = 1_048_576  # bytes of an event that a producer writes; the broker's default bound for a batch of records
MAX_READ_VALUE = 4 * MAX_VALUE  # bytes of an event that readers parse: PostgreSQL's form of an event may be longer


def check_name(text: str) -> str:
    """Return a name unchanged. Raises ValueError for one that PostgreSQL or an index cannot hold."""
    if "\x00" in text:
        raise ValueError("a name must not contain the character U+0000")
    if not text.isascii() and len(text.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"a name must not have more than {MAX_NAME_BYTES:,} bytes in UTF-8")
    return text


def check_depth(value: Any) -> Any:
    """Return a JSON value unchanged. Raises ValueError if it is nested deeper than MAX_DEPTH."""
    level, depth = _containers([value]), 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} containers are nested in each other")
        level = [item for container in level for item in _containers(_items(container))]
    return value


def holds_nul(value: Any) -> bool:
    """Return whether a text or a name in a JSON value, of any depth, contains U+0000."""
    level = [value]
    while level:
        texts = [item for item in level if isinstance(item, str)]
        texts += [name for item in level if isinstance(item, dict) for name in item]
        if any("\x00" in text for text in texts):
            return True
        level = [item for container in _containers(level) for item in _items(container)]
    return False


def _containers(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container
