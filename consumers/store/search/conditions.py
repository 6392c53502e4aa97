"""
Trees of comparisons as conditions of SQL, whatever they compare.

Pure, as sql_builder.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consumers.store.search.filter_terms import All, Compare, Either, Node, Not

SIGNS = {
    "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    "like": "LIKE", "not like": "NOT LIKE", "ilike": "ILIKE", "not ilike": "NOT ILIKE",
}  # fmt: skip


def condition_of(node: Node, compare: Callable[[Compare], str]) -> str:
    """Return a filter as a condition of SQL; `compare` returns that of one comparison."""
    match node:
        case All(parts):
            return f"({' AND '.join(condition_of(part, compare) for part in parts)})" if parts else "true"
        case Either(parts):
            return f"({' OR '.join(condition_of(part, compare) for part in parts)})"
        case Not(part):
            return f"(NOT {condition_of(part, compare)})"
        case Compare():
            return compare(node)


def compare_column(column: str, one: Compare, add: Callable[[Any, str], str]) -> str:
    """Return a comparison of a column with its values, numbers or texts; `add` adds a parameter of a type."""
    is_number = one.key.kind in ("metric", "number", "time")
    kind = "float8" if is_number else "text"
    values = [value.number if is_number else value.text for value in one.values]
    if one.op in ("has", "not has"):
        return has_words(column, one, add)
    if one.op in ("in", "not in"):
        return f"{'NOT ' if one.op == 'not in' else ''}{column} = ANY ({add(values, f'{kind}[]')})"
    return f"{column} {SIGNS[one.op]} {add(values[0], kind)}"


def has_words(column: str, one: Compare, add: Callable[[Any, str], str]) -> str:
    """Return a test that a text contains each word of a comparison, in any case."""
    each = " AND ".join(has_word(column, add(word, "text")) for word in one.values[0].text.split())
    return f"{'NOT ' if one.op == 'not has' else ''}({each})"


def has_word(column: str, word: str) -> str:
    """Return a test that a text contains a word, a parameter of the statement, in any case."""
    return f"strpos(lower({column}), lower({word})) > 0"
