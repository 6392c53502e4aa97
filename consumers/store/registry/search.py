"""
Translate a filter of experiments, models or versions into SQL. What people typed is always a parameter.

Pure, with the language of search/filter.py and the facts below. Each list is in the order newest first, so the position
of a page token (search/page_token.py) is the place of its last row. In another order, a page starts after a number of
rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from consumers.store.search.conditions import compare_column, condition_of
from consumers.store.search.filter_terms import All, Compare, Facts, Key, Node, Value
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.page_token import PagePosition, TokenError
from consumers.store.search.sql_builder import Query, filled
from consumers.store.statements import sql

Listed = Literal["experiments", "models", "model_versions"]

_TIMES: Facts = {"created": ("time", "created"), "updated": ("time", "updated")}
_TEXTS: Facts = {name: ("text", name) for name in ("name", "description")}
FACTS: dict[Listed, Facts] = {
    "experiments": {
        **_TEXTS, **_TIMES, "experiment_id": ("text", "experiment_id"), "state": ("text", "state"),
        "artifact_location": ("text", "artifact_location"),
    },
    "models": {**_TEXTS, **_TIMES},
    "model_versions": {
        **_TEXTS, **_TIMES, "version": ("number", "version"), "version_number": ("number", "version"),
        "stage": ("text", "stage"), "current_stage": ("text", "stage"), "run_id": ("text", "run_id"),
        "source": ("text", "source"), "source_path": ("text", "source"), "alias": ("text", "alias"),
    },
}  # fmt: skip
_COLUMNS = {
    "state": "(CASE WHEN r.deleted THEN 'deleted' ELSE 'active' END)",
    **{name: f"r.{name}" for name in ("description", "created", "updated", "experiment_id", "artifact_location")},
    **{name: f"r.{name}" for name in ("version", "stage", "run_id", "source")},
}
_NEWEST: dict[Listed, str] = {
    "experiments": "r.created DESC, r.experiment_id DESC",
    "models": "r.model_id DESC",
    "model_versions": "r.model_id DESC, r.version DESC",
}
_TIME_COLUMNS = {"created": "r.created", "updated": "r.updated"}
ORDERS: dict[Listed, dict[str, str]] = {  # what a list can be sorted by, and its column
    "experiments": {
        "name": 'r.name COLLATE "C"', "experiment_id": 'r.experiment_id COLLATE "C"', **_TIME_COLUMNS,
    },
    "models": {"name": 'r.name COLLATE "C"', **_TIME_COLUMNS},
    "model_versions": {"name": 'm.name COLLATE "C"', "version": "r.version", **_TIME_COLUMNS},
}  # fmt: skip
_NAMES: dict[Listed, str] = {"experiments": "r.name", "models": "r.name", "model_versions": "m.name"}
_VERSION = re.compile("[0-9]{10}")  # in a page token


class Narrowing(NamedTuple):
    """A fact that a parameter of a request demands, besides its filter."""

    fact: str
    value: str


class Sorted(NamedTuple):
    """A fact that a list is sorted by, one of ORDERS."""

    fact: str
    descending: bool


def parse_sorting(listed: Listed, text: str) -> Sorted:
    """Return the order that `name` or `created desc` describes. Raises FilterError."""
    fact, _, direction = text.strip().lower().partition(" ")
    if fact not in ORDERS[listed] or direction.strip() not in ("", "asc", "desc"):
        raise FilterError(f"{text!r:.60} is not one of {', '.join(ORDERS[listed])}, with asc or desc behind it")
    return Sorted(fact, direction.strip() == "desc")


def narrowed(listed: Listed, filter: Node, narrowings: list[Narrowing]) -> Node:
    """Return the filter with these demands; the list is part of it, so that a page token is of one list only."""
    wanted = [Compare(Key("text", one.fact), "in", (Value(None, one.value),)) for one in narrowings]
    return All((Compare(Key("text", "listed"), "in", (Value(None, listed),)), *wanted, filter))


class RegistryStatement:
    """Builds one statement and collects its parameters."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._parameters: list[Any] = []

    def page(
        self,
        filter: Node,
        *,
        limit: int,
        after: PagePosition | None = None,
        order: Sequence[Sorted] = (),
        offset: int = 0,
    ) -> Query:
        """Return the query for a page of the rows that match: those behind `after`, or `offset` rows of `order`."""
        columns = [f"{ORDERS[self._listed][one.fact]} {'DESC' if one.descending else 'ASC'}" for one in order]
        parts = {
            "condition": condition_of(filter, self._compare),
            "behind": self._behind(after),
            "order": ", ".join([*columns, _NEWEST[self._listed]]),
            "limit": self._add(limit, "bigint"),
            "offset": self._add(offset, "bigint"),
        }
        return Query(filled(sql(f"find_{self._listed}"), parts), self._parameters)

    def _behind(self, after: PagePosition | None) -> str:
        if after is None:
            return "true"
        if self._listed == "model_versions" and not _VERSION.fullmatch(after.run_id):
            raise TokenError("it is not a token of this API")
        place, place_id = self._add(after.value, "bigint"), ""
        if self._listed != "models":
            place_id = self._add(after.run_id, "text")
        return filled(sql(f"behind_in_{self._listed}"), {"place": place, "place_id": place_id})

    def _compare(self, one: Compare) -> str:
        kind, name, _ = one.key
        if name == "listed" and kind == "text":
            return "true"
        if kind == "tag":
            tag = self._add(name, "text")
            if not one.values:
                return f"({'NOT ' if one.op == 'is null' else ''}r.tags ? {tag})"
            return f"coalesce({self._test(f'(r.tags ->> {tag})', one)}, false)"  # without the tag it is NULL
        if name == "alias":
            negated = one.op == "is null"
            found = filled(sql("has_alias"), {"test": self._test("a.alias", one) if one.values else "true"})
            return f"(NOT {found})" if negated else found
        column = _NAMES[self._listed] if name == "name" else _COLUMNS[name]
        if not one.values:
            empty = f"{column} = ''" if kind == "text" else f"{column} IS NULL"
            return f"({'' if one.op == 'is null' else 'NOT '}{empty})"
        return f"({self._test(column, one)})"

    def _test(self, column: str, one: Compare) -> str:
        return compare_column(column, one, self._add)

    def _add(self, value: Any, kind: str) -> str:
        self._parameters.append(value)
        return f"${len(self._parameters)}::{kind}"
