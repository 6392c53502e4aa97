"""
What the routes of a server need: a table, looked up before the router sees a request.

    Needs({"GET /v1/runs": READ, "POST /v1/runs/{run_id:run}/edits": WRITE})

What no row names needs `admin`, so a route that was forgotten is closed. Paths are those of the routes; of two rows
that fit, the first counts, as in the router.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from schemas.runtime.access.identity import Scope

_VARIABLE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SLASHES = ("run", "path")  # convertors whose values may have slashes


class Need(NamedTuple):
    """What one route needs."""

    scopes: frozenset[Scope]  # one of them; none: any token
    limited: bool = False  # whether tokens that are limited to experiments may use it: it shows and changes only theirs
    is_open: bool = False  # whether it needs no token at all


def need(*scopes: Scope, limited: bool = False) -> Need:
    """Return the need of one of these scopes."""
    return Need(frozenset(scopes), limited)


OPEN = Need(frozenset(), limited=True, is_open=True)
ANYONE = need(limited=True)  # with a token
ADMIN = need("admin")


class Needs:
    """The table of a server."""

    def __init__(self, table: Mapping[str, Need]) -> None:
        self._exact: dict[tuple[str, str], Need] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Need]]] = {}
        self._rows = dict(table)
        for row, found in table.items():
            method, _, path = row.partition(" ")
            if "{" in path:
                self._patterns.setdefault(method, []).append((_pattern(path), found))
            else:
                self._exact[method, path] = found

    def of(self, method: str, path: str) -> Need:
        """Return what a request needs. HEAD needs what GET does."""
        methods = ("HEAD", "GET") if method == "HEAD" else (method,)
        for one in methods:
            found = self._exact.get((one, path))
            if found is not None:
                return found
            for pattern, of_pattern in self._patterns.get(one, ()):
                if pattern.fullmatch(path):
                    return of_pattern
        return ADMIN

    def names(self, method: str, path: str) -> bool:
        """Tell whether a row names the route with this path, variables in braces included."""
        return f"{method} {path}" in self._rows or (method == "HEAD" and f"GET {path}" in self._rows)


def _pattern(path: str) -> re.Pattern[str]:
    text, at = "", 0
    for variable in _VARIABLE.finditer(path):
        text += re.escape(path[at : variable.start()])
        text += r"[\s\S]*" if variable[2] in _SLASHES else "[^/]+"
        at = variable.end()
    return re.compile(text + re.escape(path[at:]))
