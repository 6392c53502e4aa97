"""
What may stand at a position of a filter, for completion while it is typed.

Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from consumers.store.search.filter import name_kind, parse_before
from consumers.store.search.filter_terms import Key
from consumers.store.search.filter_tokens import FilterError, Tokens

_WORD = re.compile(r"[^\W\d][\w./:@-]*$")
_COLUMNS = ("metric", "param", "tag", "label")


class Follow(NamedTuple):
    """What may stand at a position."""

    start: int  # where the word or quoted text begins that the position is in
    words: tuple[str, ...]  # that may stand there, and begin with what is typed
    key: Key | None  # that the comparison there is about
    name: tuple[str, str] | None  # kind and beginning of a name that is being typed


def follow(text: str, position: int) -> Follow:
    """Return what may stand at a position. Raises FilterError where the text before it is wrong."""
    before = text[:position]
    start = _begin(before)
    typed = before[start:]
    key, words = parse_before(before[:start])
    prefix, dot, rest = typed.partition(".")
    kind = name_kind(prefix) if dot and key is None else None
    name = (kind, rest.lstrip("`\"'")) if kind in _COLUMNS else None
    return Follow(start, tuple(word for word in words if word.lower().startswith(typed.lower())), key, name)


def _begin(before: str) -> int:
    """Return where the word, or the quoted text without an end, begins in which a text ends."""
    end = len(before)
    try:
        Tokens(before)
    except FilterError as error:
        if error.position is not None and before[error.position : error.position + 1] in ("'", '"', "`"):
            end = error.position
    word = _WORD.search(before[:end])
    if end < len(before) and not (word and word[0].endswith(".")):
        return end  # a value; otherwise a name in quotes
    return word.start() if word else end


def column_of(key: Key) -> tuple[str, ...]:
    """Return a key as tables name it: its kind, fact for what every run has, and its name."""
    kind = key.kind if key.kind in _COLUMNS else "fact"
    return (kind, key.name) if key.stat == "last" else (kind, key.name, key.stat)
