"""
Answers that fit into a number of tokens, cut at whole rows, with a cursor for the rest.

Pure. An answer never leaves out anything without saying so: `count` is how many rows there are, `shown` how many of
them are here from row `from_row` on, `cursor` continues, and `cut` says in words what else is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.client.errors import ClientError
from schemas.columns import float_to_json

CHARACTERS_PER_TOKEN = 3  # digits and punctuation of JSON take more tokens than prose, which has about four
MIN_TOKENS, MAX_TOKENS = 200, 100_000
MARGIN = 400  # characters, for the facts that every answer has

Row = Sequence[Any]


class Cursor(NamedTuple):
    """Where a page begins, and the offsets that the page before was as of."""

    skip: int = 0
    as_of: str = ""

    @property
    def text(self) -> str:
        """The cursor as an argument of a tool."""
        return f"{self.skip}@{self.as_of}"

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Return a cursor of an earlier answer. Raises ClientError."""
        if not text:
            return cls()
        found = re.fullmatch(r"(\d{1,12})@([\d:,]*)", text, re.ASCII)
        if found is None:
            raise ClientError(f"cursor {text!r:.100} is not one: pass that of an answer of the same question")
        return cls(int(found[1]), found[2])


class Found(NamedTuple):
    """What a tool found, before it is cut."""

    columns: Sequence[str]
    rows: Sequence[Row]  # from row `first` on
    exact: bool
    offset: str  # offsets of the log that the answer includes
    link: str  # a page of the dashboard that shows it
    total: int  # rows in all
    first: int = 0  # number of the first of `rows`
    cut: str = ""  # what is missing besides rows that the cursor gives
    facts: Mapping[str, Any] = {}  # further fields
    about: Callable[[Row], tuple[str, Any]] | None = None  # what must be known of a row, once for all that share a key


def answer(found: Found, cursor: Cursor, max_tokens: int) -> dict[str, Any]:
    """Return the answer of a tool: at least one row, as many as fit from the cursor on."""
    room = max(MIN_TOKENS, min(max_tokens, MAX_TOKENS)) * CHARACTERS_PER_TOKEN - MARGIN
    longest = max(200, room // 2)
    facts, shortened = _shortened(found.facts, longest)
    room -= len(json.dumps(facts)) + sum(map(len, found.columns)) + len(found.link)
    rows: list[list[Any]] = []
    about: dict[str, Any] = {}
    for row in found.rows[max(0, cursor.skip - found.first) :]:
        cells, is_short = _shortened(list(row), longest)
        cost = len(json.dumps(cells)) + 1
        key, fact = found.about(row) if found.about else ("", None)
        if fact is not None and key not in about:
            cost += len(json.dumps([key, fact]))
        if rows and cost > room:
            break
        room -= cost
        shortened |= is_short
        rows.append(cells)
        if fact is not None:
            about[key] = plain(fact)
    following = max(cursor.skip, found.first) + len(rows)
    cuts = [found.cut] if found.cut else []
    if shortened:
        cuts.append("long texts are cut where … stands: raise max_tokens")
    if cursor.as_of and cursor.as_of != found.offset:
        cuts.append("the store has changed since the page before: start again without the cursor to see one state")
    return {
        **facts, **({"about": about} if about else {}),
        "exact": found.exact, "count": found.total, "shown": len(rows), "from_row": following - len(rows),
        "cursor": Cursor(following, found.offset).text if following < found.total else None,
        "cut": "; ".join(cuts), "offset": found.offset, "link": found.link,
        "columns": list(found.columns), "rows": rows,
    }  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinities as text, whatever holds them."""
    if isinstance(value, float):
        return float_to_json(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def _shortened(value: Any, longest: int) -> tuple[Any, bool]:
    """Return a plain value whose texts have at most `longest` characters, and whether one was cut."""
    if isinstance(value, str):
        if len(value) <= longest:
            return value, False
        return f"{value[:longest]}… (+{len(value) - longest:,} characters)", True
    if isinstance(value, Mapping):
        pairs = {str(name): _shortened(one, longest) for name, one in value.items()}
        return {name: one for name, (one, _) in pairs.items()}, any(cut for _, cut in pairs.values())
    if isinstance(value, list | tuple):
        parts = [_shortened(one, longest) for one in value]
        return [one for one, _ in parts], any(cut for _, cut in parts)
    return plain(value), False
