"""
Which written names a reader wants.

Names, a prefix and words are compared here. Regular expressions are those of PostgreSQL, as everywhere in the API, so
PostgreSQL is asked, once for each new name, and the answers are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

MAX_KNOWN = 20_000  # names that are remembered

AskRegex = Callable[[str, Sequence[str]], Awaitable[Collection[str]]]


class Wanted(NamedTuple):
    """All of these conditions on written names."""

    names: frozenset[str] | None = None  # None: any
    prefix: str | None = None
    words: tuple[str, ...] = ()  # in any case
    regex: str | None = None


class NameMatch:
    """The names that are wanted, as far as they are known."""

    def __init__(self, wanted: Wanted, ask: AskRegex) -> None:
        """`ask` returns which of some names a regular expression matches; it raises BadRegex for a wrong one."""
        self._wanted, self._ask = wanted, ask
        self._known: OrderedDict[str, bool] = OrderedDict()

    def decide(self, name: str) -> bool | None:
        """Return whether a name is wanted; None: PostgreSQL must be asked."""
        wanted = self._wanted
        if wanted.names is not None and name not in wanted.names:
            return False
        if wanted.prefix is not None and not name.startswith(wanted.prefix):
            return False
        if wanted.words and not all(word.lower() in name.lower() for word in wanted.words):
            return False
        return True if wanted.regex is None else self._known.get(name)

    async def ask(self, names: Collection[str]) -> None:
        """Learn about these names, if a regular expression decides. Raises BadRegex and StoreUnavailable."""
        if self._wanted.regex is None:
            return
        found = await self._ask(self._wanted.regex, list(names))
        for name in names:
            self._known[name] = name in found
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
