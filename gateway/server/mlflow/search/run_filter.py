"""
MLflow's comparisons of runs as a filter of the query API (consumers/store/search/filter_tree.py describes its trees).

Pure. What a comparison means follows mlflow/store/tracking/sqlalchemy_store.py on SQLite and PostgreSQL: parameters are
text, LIKE minds the case, a backslash in a pattern is a character like any other, NaN is unequal to every number, and
an infinity is the largest number. What can match no run, or every run, is False or True instead of a tree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.server.mlflow.run_json import ARTIFACT_URI_LABEL, DATASET, USER_LABEL
from gateway.server.mlflow.search.filter_text import escaped
from gateway.server.mlflow.search.grammar import Comparison, Ordering
from schemas.mapping.mlflow import (
    DEFAULT_EXPERIMENT_ID,
    LARGEST,
    NOBODY,
    PARENT_TAG,
    RUN_NAME_TAG,
    STATUS_OF,
    USER_TAG,
    shown_names,
)

Tree = dict[str, Any] | bool
Key = list[str]

MAX_LENGTH = 10_000  # characters that the query API compares; params and tags of MLflow are shorter
FARTHEST_MS = 4 * 10**15  # of a time that a run can have
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAME, _RUN_ID, _PARENT = ["fact", "name"], ["fact", "run_id"], ["fact", "parent_run_id"]
_EXPERIMENT = ["fact", "experiment_id"]
_TIMES = {"start_time": "began", "end_time": "ended"}
_USER = [["tag", USER_TAG], ["label", USER_LABEL]]
_OPS = {"=": "in", "!=": "not in", "IN": "in", "NOT IN": "not in", "LIKE": "like", "ILIKE": "ilike"}
IN_DATASET = {  # where the label of a dataset has it
    "name": "dataset/name", "digest": "dataset/digest", "context": "tags/key=mlflow.data.context/value",
}  # fmt: skip


def run_filter(comparisons: Iterable[Comparison]) -> Tree:
    """Return the filter of the runs for which all comparisons are true."""
    return _all(*map(_condition, comparisons))


def run_order(orderings: Sequence[Ordering]) -> list[dict[str, Any]]:
    """Return the order of the query API: what was asked for, then newest first. The id of a run decides last."""
    if ("attribute", "start_time") not in {one[:2] for one in orderings}:
        orderings = [*orderings, Ordering("attribute", "start_time", ascending=False)]
    return [{"key": key, "descending": not one.ascending} for one in orderings for key in _order_keys(one)]


def _order_keys(one: Ordering) -> list[Key]:
    kind, key, _ = one
    if kind == "attribute":
        if key == "artifact_uri":
            return [_EXPERIMENT, _RUN_ID]
        facts = {"status": "state", "run_name": "name", **_TIMES}
        return [_USER[0] if key == "user_id" else ["fact", facts.get(key, key)]]
    if (kind, key) == ("tag", RUN_NAME_TAG):
        return [_NAME]
    return [[_kind(kind), shown_names(key)[-1]]]


def _kind(kind: str) -> str:
    return "param_text" if kind == "parameter" else kind


def _condition(one: Comparison) -> Tree:
    kind, key, _, _ = one
    if kind == "attribute":
        return _attribute(one)
    if kind == "dataset":
        return _text(["label", f"{DATASET}*{IN_DATASET[key]}"], one)
    if not key or not is_possible(key):
        return one.comparator == "IS NULL"
    if kind == "metric":
        return _any(*(_metric(["metric", name], one) for name in shown_names(key)))
    if (kind, key) == ("tag", RUN_NAME_TAG):
        return _first([_NAME], one, _text(_RUN_ID, one))
    if (kind, key) == ("tag", PARENT_TAG):
        return _first([["tag", key], _PARENT], one)
    return _first([[_kind(kind), name] for name in shown_names(key)], one)


def _attribute(one: Comparison) -> Tree:
    if one.key in _TIMES:
        return _time(["fact", _TIMES[one.key]], one)
    if one.key == "status":
        states = [state for state, status in STATUS_OF.items() if _matches(status, one)]
        return {"key": ["fact", "state"], "op": "in", "values": states} if states else False
    if one.key == "run_id":
        return _text(_RUN_ID, one)
    if one.key == "run_name":
        return _first([_NAME], one, _text(_RUN_ID, one))
    if one.key == "user_id":
        return _first(_USER, one, _matches(NOBODY, one))
    by_id, default = "mlflow-artifacts:/{experiment_id}/{run_id}/artifacts", DEFAULT_EXPERIMENT_ID
    places = [
        _all(_given(_EXPERIMENT), _text(["joined", by_id], one)),
        _all(_absent(_EXPERIMENT), _text(["joined", by_id.replace("{experiment_id}", default)], one)),
    ]
    return _first([["label", ARTIFACT_URI_LABEL]], one, _any(*places))


def _first(keys: Sequence[Key], one: Comparison, otherwise: Tree | None = None) -> Tree:
    """
    Return a condition on the first of these texts that a run has.

    `otherwise` is the condition for a run that has none of them, if MLflow shows a text for it too.
    """
    if one.comparator == "IS NULL":
        return False if otherwise is not None else _all(*map(_absent, keys))
    if one.comparator == "IS NOT NULL":
        return True if otherwise is not None else _any(*map(_given, keys))
    tree: Tree = otherwise or False
    for key in reversed(keys):
        given = _given(key) if key[0] == "fact" else True  # other comparisons are true only of what a run has
        tree = _any(_all(given, _text(key, one)), _all(_absent(key), tree))
    return tree


def _text(key: Key, one: Comparison) -> Tree:
    if one.comparator not in _OPS:
        return False
    values = list(one.value) if isinstance(one.value, tuple | list) else [one.value]
    possible = [value for value in values if is_possible(value)]
    op = _OPS[one.comparator]
    if not possible:
        return _given(key) if op == "not in" else False
    return {"key": key, "op": op, "values": [escaped(value, one.comparator) for value in possible]}


def is_possible(text: str) -> bool:
    """Tell whether a run can have this name or text: the log holds only Unicode, without U+0000."""
    return "\x00" not in text and len(text) <= MAX_LENGTH and not _SURROGATE.search(text)


def _metric(key: Key, one: Comparison) -> Tree:
    """Return a condition on a number. MLflow stores an infinity as LARGEST, of its sign."""
    value, op = float(one.value), one.comparator

    def holds(op: str, bound: float) -> Tree:
        return {"key": key, "op": op, "values": [bound]}

    number = _any(holds(">=", 0.0), holds("<", 0.0))
    if op == "!=":
        return _all(_given(key), _not(_metric(key, one._replace(comparator="="))))
    if op == "=":
        if math.isinf(value):
            return False
        return holds({LARGEST: ">=", -LARGEST: "<="}.get(value, "in"), value)
    if op in ("<", "<="):
        if value == math.inf or (value == LARGEST and op == "<="):
            return number
        return False if value == -math.inf or (value == -LARGEST and op == "<") else holds(op, value)
    if value == -math.inf or (value == -LARGEST and op == ">="):
        return number
    return False if value == math.inf or (value == LARGEST and op == ">") else holds(op, value)


def _time(key: Key, one: Comparison) -> Tree:
    """Return a condition on a time, which MLflow has in whole ms."""
    value = max(-FARTHEST_MS, min(FARTHEST_MS, one.value))
    least, beyond = math.ceil(value), math.floor(value) + 1  # ms

    def holds(op: str, bound: int) -> Tree:
        return {"key": key, "op": op, "values": [bound * 1_000]}

    equal = _all(holds(">=", least), holds("<", beyond)) if least < beyond else False
    if one.comparator == "=":
        return equal
    if one.comparator == "!=":
        return _all(_given(key), _not(equal))
    conditions = {
        "<": holds("<", least), ">=": holds(">=", least), "<=": holds("<", beyond), ">": holds(">=", beyond),
    }  # fmt: skip
    return conditions[one.comparator]


def _matches(text: str, one: Comparison) -> bool:
    """Tell whether a comparison is true of a text."""
    value = one.value
    if one.comparator in ("LIKE", "ILIKE"):
        pattern = re.escape(value).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, text, re.DOTALL | (re.IGNORECASE if one.comparator == "ILIKE" else 0)) is not None
    return bool((text == value) == (one.comparator == "="))


def _given(key: Key) -> Tree:
    return {"key": key, "op": "is not null"}


def _absent(key: Key) -> Tree:
    return {"key": key, "op": "is null"}


def _all(*trees: Tree) -> Tree:
    parts = [tree for tree in trees if tree is not True]
    if False in parts:
        return False
    return {"all": parts} if len(parts) > 1 else parts[0] if parts else True


def _any(*trees: Tree) -> Tree:
    parts = [tree for tree in trees if tree is not False]
    if True in parts:
        return True
    return {"any": parts} if len(parts) > 1 else parts[0] if parts else False


def _not(tree: Tree) -> Tree:
    return not tree if isinstance(tree, bool) else {"not": tree}
