"""
Searches of experiments, registered models and versions: MLflow's filter and order in the language of the query API.

Which comparisons are allowed follows mlflow/store/tracking/sqlalchemy_store.py and
mlflow/store/model_registry/sqlalchemy_store.py; LIKE minds the case and ILIKE does not, as in MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.search.filter_text import escaped, quoted_name, quoted_text
from gateway.server.mlflow.search.grammar import (
    Comparison,
    Listed,
    parse_list_filter,
    parse_list_order,
    read_offset,
    write_offset,
)

PAGE_ROWS = 1_000  # that the query API gives at once
PROMPT_TAG = "mlflow.prompt.is_prompt"  # prompts are models with this tag, which is "true"

_PROMPT_KEY = ("tag", PROMPT_TAG)
_TEXT = ("=", "!=", "LIKE", "ILIKE")
_LISTS = ("IN", "NOT IN")
_NUMBER = ("=", "!=", "<", "<=", ">", ">=")
_COMPARATORS: dict[Listed, dict[str, tuple[str, ...]]] = {  # of the attributes that a filter may have
    "experiments": {
        "name": _TEXT, "experiment_id": ("=", "!=", *_LISTS), "creation_time": _NUMBER, "last_update_time": _NUMBER,
    },
    "models": {"name": _TEXT + _LISTS},
    "model_versions": {
        "name": _TEXT + _LISTS, "run_id": _TEXT + _LISTS, "source_path": _TEXT, "version_number": _NUMBER,
    },
}  # fmt: skip
_FACTS = {  # MLflow's names, and those of the query API
    "creation_time": "created", "last_update_time": "updated", "creation_timestamp": "created", "timestamp": "updated",
    "last_updated_timestamp": "updated", "version_number": "version", "source_path": "source",
}  # fmt: skip
_DEFAULT_ORDERS: dict[Listed, Sequence[str]] = {
    "experiments": ("creation_time DESC", "experiment_id ASC"),
    "models": (),
    "model_versions": ("last_updated_timestamp DESC", "name ASC", "version_number DESC"),
}
_TIES: dict[Listed, Sequence[str]] = {  # the order of rows that are equal in all that was asked for
    "experiments": ("experiment_id desc",),
    "models": ("name asc",),
    "model_versions": ("name asc", "version desc"),
}


class Question(NamedTuple):
    """A search in the words of the query API."""

    where: str
    order: list[str]
    offset: int


def question(listed: Listed, filter: str, order_by: Sequence[str], page_token: str) -> Question:
    """Return what a search asks. Raises Refused for what MLflow refuses."""
    comparisons = parse_list_filter(listed, filter)
    parts = [_condition(listed, one) for one in comparisons]
    if listed != "experiments" and not _asks_for_prompts(comparisons):
        parts = [part for part, one in zip(parts, comparisons, strict=True) if (one.kind, one.key) != _PROMPT_KEY]
        parts.append(f"not (tags.`{PROMPT_TAG}` = 'true')")
    return Question(" and ".join(parts), _order(listed, order_by), read_offset(page_token))


def _asks_for_prompts(comparisons: Sequence[Comparison]) -> bool:
    """Tell whether the first comparison of the tag of prompts asks for them; without one, they are left out."""
    first = next((one for one in comparisons if (one.kind, one.key) == _PROMPT_KEY), None)
    return first is not None and (first.comparator, first.value.lower()) in (("=", "true"), ("!=", "false"))


def _condition(listed: Listed, one: Comparison) -> str:
    allowed: tuple[str, ...]
    if one.kind == "tag":
        allowed = (*_TEXT, "IS NULL", "IS NOT NULL") if listed == "experiments" else _TEXT
        key, what = f"tags.{quoted_name(one.key)}", "tag"
    elif one.kind == "attribute" and one.key in _COMPARATORS[listed]:
        allowed, key, what = _COMPARATORS[listed][one.key], _FACTS.get(one.key, one.key), f"attribute {one.key}"
    else:
        raise invalid(f"Invalid attribute name: {one.key}" if one.kind == "attribute" else f"Invalid token: {one.kind}")
    if one.comparator not in allowed:
        raise invalid(f"Invalid comparator for {what}: {one.comparator}")
    if one.value is None:
        return f"{key} {one.comparator.lower()}"
    if allowed is _NUMBER:
        return _number(key, one)
    if one.comparator in _LISTS:
        return f"{key} {one.comparator.lower()} ({', '.join(quoted_text(str(value)) for value in one.value)})"
    return f"{key} {one.comparator} {quoted_text(escaped(str(one.value), one.comparator))}"


def _number(key: str, one: Comparison) -> str:
    """Return a comparison with a number. A time of the query API has µs, so one ms of MLflow is an interval there."""
    try:
        if isinstance(one.value, float):
            raise ValueError("it has a fraction")
        value = int(one.value)
    except (TypeError, ValueError):
        raise invalid(f"Invalid value for numeric attribute '{one.key}': {one.value!r}") from None
    if key == "version":
        return f"{key} {one.comparator} {value}"
    return {
        "=": f"({key} >= {value} and {key} < {value + 1})",
        "!=": f"({key} < {value} or {key} >= {value + 1})",
        "<": f"{key} < {value}",
        "<=": f"{key} < {value + 1}",
        ">": f"{key} >= {value + 1}",
        ">=": f"{key} >= {value}",
    }[one.comparator]


def _order(listed: Listed, order_by: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for one in parse_list_order(listed, order_by or _DEFAULT_ORDERS[listed]):
        if one.kind != "attribute":
            raise invalid(f"Invalid order_by entity: {one.kind}")
        fact = _FACTS.get(one.key, one.key)
        if fact in found and listed != "experiments":
            raise invalid(f"`order_by` contains duplicate fields: {list(order_by)}")
        found.setdefault(fact, f"{fact} {'asc' if one.ascending else 'desc'}")
    for tie in _TIES[listed]:
        found.setdefault(tie.partition(" ")[0], tie)
    return list(found.values())


async def search(
    door: Door, path: str, rows: str, asked: Question, count: int, **narrowings: Any
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return up to `count` rows of a list of the query API, and the token of those behind them; None if none are."""
    found: list[Mapping[str, Any]] = []
    while True:
        page = await door.reader.get(
            path,
            where=asked.where,
            order=asked.order,
            page_token=asked.offset + len(found),
            limit=min(count - len(found), PAGE_ROWS),
            **narrowings,
        )
        found += page[rows]
        is_last = page["next_page_token"] is None
        if is_last or len(found) >= count:
            return found, None if is_last else write_offset(asked.offset + len(found))
