"""
Filters of rules: a subset of the filters for runs, decided in memory from what the alerts process knows of a run.

Pure. The language is that of consumers/store/search/filter.py, of which a rule may compare params, tags and these
facts: run_id, name, group, tag, experiment, experiment_id and parent_run_id. What changes with each record (metrics,
state, times) is no question of which runs a rule is about: it is the condition of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All, Compare, Either, Key, Node, Not, Value
from consumers.store.search.filter_tokens import FilterError

KNOWN_FACTS = ("run_id", "name", "group", "tag", "experiment", "experiment_id", "parent_run_id")
Known = float | str | None  # a value of a run; None: it has none


class RunValues(NamedTuple):
    """What a filter compares."""

    facts: Mapping[str, str]
    params: Mapping[str, float | str]
    tags: Mapping[str, str]

    def of(self, key: Key) -> Known:
        """Return the value of a key, None if the run has none."""
        if key.kind in ("param", "param_text"):
            return self.params.get(key.name)
        if key.kind == "tag":
            return self.tags.get(key.name)
        return self.facts.get(key.name) or None


@lru_cache(maxsize=10_000)  # many rules are about the same runs
def parse_where(text: str) -> Node:
    """Return the tree of a filter of a rule. Raises FilterError, also for what only a search knows of a run."""
    tree = parse_filter(text)
    _check(tree)
    return tree


def matches(node: Node, run: RunValues) -> bool:
    """Tell whether a run fits. A run without a value fits no comparison of it, as in a search."""
    match node:
        case Not():
            return not matches(node.part, run)
        case All():
            return all(matches(part, run) for part in node.parts)
        case Either():
            return any(matches(part, run) for part in node.parts)
        case Compare():
            return _compare(node, run.of(node.key))


def anchor(node: Node) -> tuple[Key, tuple[str, ...]] | None:
    """
    Return a key and texts of which a run must have one to fit; None if the filter demands none.

    Rules are found by it, so that a run costs only those rules that may be about it.
    """
    parts = node.parts if isinstance(node, All) else (node,)
    for part in parts:
        if isinstance(part, Compare) and part.op == "in" and part.key.kind in ("tag", "text"):
            return part.key, tuple(value.text for value in part.values)
    return None


def _check(node: Node) -> None:
    match node:
        case Not():
            _check(node.part)
        case All() | Either():
            for part in node.parts:
                _check(part)
        case Compare(key=key, op="has" | "not has"):
            raise FilterError(f"{key.name!r:.60}: a rule cannot search for words: use like '%word%'")
        case Compare(key=key):
            if key.kind in ("param", "param_text", "tag") or (key.kind == "text" and key.name in KNOWN_FACTS):
                return
            raise FilterError(
                f"{key.name!r:.60} of kind {key.kind} is not known to alerts: compare params.NAME, tags.NAME or one of "
                f"{', '.join(KNOWN_FACTS)}"
            )


def _compare(node: Compare, found: Known) -> bool:
    if node.op == "is null":
        return found is None
    if found is None:
        return False
    if node.op == "is not null":
        return True
    if node.op in ("in", "not in"):
        return (node.op == "in") == any(
            _equal(found, value, is_param=node.key.kind == "param") for value in node.values
        )
    (value,) = node.values
    if node.op.endswith("like"):
        ignore_case = node.op.endswith("ilike")
        pattern, text = (one.lower() if ignore_case else one for one in (value.text, _text(found)))
        return fits(_pattern(pattern), text) != node.op.startswith("not")
    if not isinstance(found, float) or value.number is None:
        return False
    return {
        "<": found < value.number,
        "<=": found <= value.number,
        ">": found > value.number,
        ">=": found >= value.number,
    }[node.op]


def _equal(found: float | str, value: Value, *, is_param: bool) -> bool:
    if is_param and value.number is not None:
        return isinstance(found, float) and found == value.number
    return _text(found) == value.text


def _text(found: float | str) -> str:
    if isinstance(found, str):
        return found
    return str(int(found)) if found.is_integer() and abs(found) < 2**53 else repr(found)


ANY, ONE = object(), object()  # in a pattern: any text, any character


@cache
def _pattern(text: str) -> tuple[object, ...]:
    """Return the parts of a pattern of SQL: % is any text, _ any character, and a backslash takes their meaning."""
    parts, escaped = list[object](), False
    for one in text:
        if escaped or one not in "%_\\":
            parts.append(one)
            escaped = False
        elif one == "\\":
            escaped = True
        else:
            parts.append(ANY if one == "%" else ONE)
    return tuple(parts)


def fits(pattern: Sequence[object], text: str) -> bool:
    """
    Tell whether a text is what a pattern of characters, ANY and ONE describes.

    At most len(pattern) times len(text) steps, whatever the pattern is: rules come from anyone.
    """
    at = place = 0
    star, resume = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] is ANY:
            star, resume, place = place, at, place + 1
        elif place < len(pattern) and (pattern[place] is ONE or pattern[place] == text[at]):
            place, at = place + 1, at + 1
        elif star >= 0:
            resume += 1
            place, at = star + 1, resume
        else:
            return False
    return all(part is ANY for part in pattern[place:])
