"""
Filters and orders as JSON, for programs: names and values need no quotes, and there may be thousands of values.

Pure. The trees are those of filter.py:

    {"all": [...]}  {"any": [...]}  {"not": ...}  {"key": [kind, name], "op": "<", "values": [0.3]}

Kinds of keys are metric, param (compared as in filter.py), param_text (as text alone), tag, label, joined and fact.
["metric", "loss", "min"] is what filter.py writes as min(metrics.loss). A
label is compared as text; ["label", "data/*rows/count"] means the text at a path inside any label whose name begins
with data/, and ["label", "data/*tags/key=team/value"] looks through a list there. ["joined", "runs:/{run_id}/x"] is a
text that is put together from facts.
Times are µs, as documents have them. The operators are those of filter.py; `in` and `not in` are equality.
"""

from __future__ import annotations

import re
import sys
from typing import Any, get_args

from consumers.store.search.filter_terms import (
    CHOICES,
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_SERIES,
    MAX_WORDS,
    NUMBERS,
    RUN_FACTS,
    STAGES,
    STATES,
    STATS,
    All,
    Compare,
    Either,
    Key,
    Node,
    Not,
    Op,
    Order,
    Value,
    meanings,
)
from consumers.store.search.filter_tokens import FilterError

MAX_VALUES = 10_000  # of one comparison
MAX_KEYS = 16  # of an order
MAX_LENGTH = 10_000  # characters of a name or value
_NAMED = ("metric", "param", "param_text", "tag", "label", "joined")
_BRACES = re.compile(r"\{(\w+)\}")
_OPS: tuple[Op, ...] = get_args(Op)


def read_tree(tree: Any) -> Node:
    """Return the filter that a JSON value describes; {} matches everything. Raises FilterError."""
    if tree == {}:
        return All(())
    reader = _Reader()
    return reader.node(tree, 0)


def read_orders(keys: Any) -> tuple[Order, ...]:
    """Return the order that a list such as [{"key": ["metric", "loss"], "descending": true}] describes."""
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise FilterError(f"it is not a list of at most {MAX_KEYS} keys")
    orders, reader = [], _Reader()
    for one in keys:
        match one:
            case {"key": key, **rest} if (
                not rest.keys() - {"descending"} and type(rest.get("descending", False)) is bool
            ):
                orders.append(Order(reader.key(key), bool(rest.get("descending"))))
            case _:
                raise FilterError(f'{one!r:.100} is not {{"key": [kind, name], "descending": false}}')
        if orders[-1].key.kind in ("label", "joined", "anywhere"):
            raise FilterError(f"runs have no order by a {orders[-1].key.kind}")
        if orders[-1].key.kind == "param":  # numbers, and then what is none
            orders.append(orders[-1]._replace(key=Key("param_text", orders[-1].key.name)))
    return tuple(orders)


def read_key(key: Any) -> Key:
    """Return the key that a list such as ["metric", "loss"] describes. Raises FilterError."""
    return _Reader().key(key)


class _Reader:
    def __init__(self) -> None:
        self._comparisons = self._series = 0

    def node(self, tree: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise FilterError(f"it has more than {MAX_DEPTH} levels")
        match tree:
            case {"all": [_, *_] as parts, **rest} if not rest:
                return All(tuple(self.node(part, depth + 1) for part in parts))
            case {"any": [_, *_] as parts, **rest} if not rest:
                return Either(tuple(self.node(part, depth + 1) for part in parts))
            case {"not": part, **rest} if not rest:
                return Not(self.node(part, depth + 1))
            case {"key": key, "op": op, **rest} if op in _OPS and not rest.keys() - {"values"}:
                return self._compare(self.key(key), op, rest.get("values", []))
        raise FilterError(f'{tree!r:.100} is none of {{"all": [...]}}, {{"any": [...]}}, {{"not": ...}}, '
                          '{"key": [kind, name], "op": ..., "values": [...]}')  # fmt: skip

    def key(self, key: Any) -> Key:
        match key:
            case ["metric", str(name), stat] if name and stat in STATS:
                return self.key(["metric", name])._replace(stat=stat)
            case [kind, str(name)] if kind in _NAMED and name:
                if kind == "metric":
                    self._series += meanings(name)
                if self._series > MAX_SERIES:
                    raise FilterError(f"its metrics can mean more than {MAX_SERIES} series: name fewer with slashes")
                if kind == "joined" and any(RUN_FACTS.get(one, ("",))[0] != "text" for one in _BRACES.findall(name)):
                    raise FilterError(f"{name:.100} names what is no fact that is text")
                return Key(kind, _text(name))
            case ["fact", str(name)] if name in RUN_FACTS:
                return Key(*RUN_FACTS[name])
        raise FilterError(
            f"{key!r:.100} is no key: write [kind, name], kind one of {', '.join(_NAMED)}; "
            f'or ["fact", name], name one of {", ".join(sorted(RUN_FACTS))}'
        )

    def _compare(self, key: Key, op: Op, values: Any) -> Compare:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise FilterError(f"it has more than {MAX_COMPARISONS} comparisons")
        count = 0 if op in ("is null", "is not null") else MAX_VALUES if op in ("in", "not in") else 1
        if not isinstance(values, list) or not min(count, 1) <= len(values) <= count:
            raise FilterError(
                f"{op} of {key.name:.100} takes {'up to ' if count > 1 else ''}{count:,} values in a list"
            )
        if not _fits(key, op):
            raise FilterError(f"{op} does not compare a {key.kind}")
        return Compare(key, op, tuple(_value(key, op, one) for one in values))


def _fits(key: Key, op: Op) -> bool:
    """Return whether an operator compares such a key."""
    if key.kind == "anywhere":
        return op in ("has", "not has")
    if op in ("in", "not in", "is null", "is not null"):
        return True
    if op in ("<", "<=", ">", ">="):
        return key.kind in NUMBERS
    return key.kind not in NUMBERS and key.kind not in CHOICES


def _value(key: Key, op: Op, value: Any) -> Value:
    if key.kind in NUMBERS:
        bound = 2.0**62 if key.kind in ("time", "duration") else sys.float_info.max
        if type(value) not in (int, float) or not abs(value) <= bound:
            raise FilterError(f"{value!r:.100} is no number that {key.name:.100} can have")
        return Value(float(value), str(value))
    if not isinstance(value, str):
        raise FilterError(f"{value!r:.100} is no text, which {key.name:.100} is")
    choices = {"state": STATES, "stage": STAGES}.get(key.kind, ())
    if choices and value not in choices:
        raise FilterError(f"{value!r:.100} is none of {', '.join(choices)}")
    if op in ("has", "not has") and not 0 < len(value.split()) <= MAX_WORDS:
        raise FilterError(f"{op} takes one to {MAX_WORDS} words")
    if op.endswith("like") and (len(value) - len(value.rstrip("\\"))) % 2:
        raise FilterError("a pattern must not end with a single \\")
    return Value(None, _text(value))


def _text(text: str) -> str:
    if "\x00" in text or len(text) > MAX_LENGTH:
        raise FilterError(
            f"{text!r:.100}: no name or value has U+0000, or is compared beyond {MAX_LENGTH:,} characters"
        )
    return text
