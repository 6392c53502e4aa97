"""
Pages of the series of a run: PostgreSQL chooses and counts them, so that a page costs what it shows, whatever the run
has.

Series of the system come last. A page token is the last series of its page; it grants no rights.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.search.page_token import TokenError
from consumers.store.statements import sql

_SORTED_LABELS = 200  # characters, as in find_series: a token, which is a part of a URL, must stay short
_MOST_NAMES = 64  # that one written name may stand for
_PLACE = itemgetter("system", "step_name", "name", "labels_text")


class SeriesChoice(NamedTuple):
    """Which series of a run are wanted."""

    names: Sequence[str] | None = None  # written names; None: all
    words: Sequence[str] = ()  # that a written name contains, in any case
    page_token: str | None = None


class SeriesFound(NamedTuple):
    """A page of series: of each the rows of its attempts, first attempt first."""

    series: list[list[Any]]
    total: int  # of the choice, on all pages
    is_last: bool


async def find_series(
    connection: PooledConnection, run_id: str, choice: SeriesChoice, limit: int | None
) -> SeriesFound:
    """Return the first `limit` series of a choice, after its page token. Raises TokenError."""
    after = (None,) * 5 if choice.page_token is None else read_place(choice.page_token)
    names = None if choice.names is None else list(choice.names)
    found = await connection.fetch(
        sql("find_series"), run_id, names, list(choice.words), *after, None if limit is None else limit + 1,
        possible_names(names),
    )  # fmt: skip
    page = found if limit is None else found[:limit]
    columns = [[row[name] for row in page] for name in ("step_name", "name", "labels_text")]
    rows = await connection.fetch(sql("get_found_series"), run_id, *columns) if page else []
    series = [list(group) for _, group in groupby(rows, key=_PLACE)]
    return SeriesFound(series, found[0]["total"] if found else 0, len(page) == len(found))


def possible_names(written: Sequence[str] | None) -> list[str] | None:
    """
    Return the names that series with these written names may have; None if there are too many.

    A written name does not tell where a step ends and labels begin, as names may have slashes and braces too.
    """
    found: set[str] = set()
    for one in written or ():
        ends = [len(one), *(at for at, sign in enumerate(one) if sign == "{")]
        begins = [0, *(at + 1 for at, sign in enumerate(one) if sign == "/")]
        if len(begins) * len(ends) > _MOST_NAMES:
            return None
        found |= {one[begin:end] for begin in begins for end in ends if begin < end}
    return None if written is None else sorted(found)


def token_after(rows: Sequence[Any]) -> str:
    """Return the token of the page that begins after this series."""
    system, step_name, name, labels = _PLACE(rows[0])
    place = (system, step_name, name, labels[:_SORTED_LABELS], sha256(labels.encode()).hexdigest())
    text = json.dumps(place, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_place(token: str) -> tuple[bool, str, str, str, str]:
    """Return the place that a token names, for find_series. Raises TokenError."""
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        system, *texts = found
        if not isinstance(system, bool) or len(texts) != 4 or any("\x00" in text for text in texts):
            raise ValueError(token)
        for text in texts:
            text.encode()  # raises for a lone surrogate
    except (ValueError, binascii.Error, TypeError, AttributeError, RecursionError):
        raise TokenError("it is not a token of this API, or only a part of one") from None
    return system, *texts
