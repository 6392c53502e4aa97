"""
Search of logged models: MLflow's filter, datasets and order in the words of the query API.

What is refused, and in which words, follows mlflow/store/tracking/sqlalchemy_store.py. What it answers with 500 is
refused with 400 here: its clients would repeat the request for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid
from gateway.server.mlflow.experiments.find import find_experiment
from gateway.server.mlflow.logged_models.model_json import STATUSES, model_json
from gateway.server.mlflow.protobuf import array, integer, required, string, texts
from gateway.server.mlflow.routing import Call, Route
from gateway.server.mlflow.search.filter_text import escaped, quoted_name, quoted_text
from gateway.server.mlflow.search.grammar import (
    MODEL_TIMES,
    Comparison,
    parse_models_filter,
    read_models_offset,
    write_models_offset,
)

PATH = "/mlflow/logged-models/search"
PAGE_ROWS = 10_000  # that the query API gives at once
DEFAULT_ROWS = 100  # MLflow's SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
_TEXTS = ("model_id", "experiment_id", "name", "model_type", "source_run_id", "status")


async def search_models(door: Door, call: Call) -> Mapping[str, Any]:
    """Answer a page of the models of some experiments, without deleted ones."""
    asked = call.message
    ids, filter, order_by = list(asked.experiment_ids), asked.filter or None, _orders(asked)
    for one in ids:
        if not (one.isascii() and one.isdecimal()):
            await find_experiment(door, one)  # or refuse it
    if not all(one.dataset_name for one in asked.datasets):
        raise invalid("`dataset_name` in the `datasets` clause must be specified.")
    if asked.max_results < 0:
        raise invalid(f"Invalid value {asked.max_results} for parameter 'max_results' supplied.")
    offset = read_models_offset(asked.page_token, ids, filter, order_by) if asked.page_token else 0
    question = {
        "experiment_ids": ids,
        "where": where(asked.filter),
        "datasets": [{"name": one.dataset_name, "digest": one.dataset_digest} for one in asked.datasets],
        "order_by": [_order(one) for one in order_by or ()],
        "limit": min(asked.max_results or DEFAULT_ROWS, PAGE_ROWS),
        "offset": offset,
    }
    page = await door.reader.post("/v1/logged-models/search", question)
    answer: dict[str, Any] = {"models": [model_json(one) for one in page["models"]]} if page["models"] else {}
    if page["next_offset"] is not None:
        answer["next_page_token"] = write_models_offset(page["next_offset"], ids, filter, order_by)
    return answer


def where(filter: str) -> str:
    """Return MLflow's filter as one of the query API. Raises Refused."""
    return " and ".join(map(_condition, parse_models_filter(filter)))


def _orders(asked: Any) -> list[dict[str, Any]] | None:
    """Return the order as MLflow keeps it in its page tokens."""
    return [
        {
            "field_name": one.field_name,
            "ascending": one.ascending,
            "dataset_name": one.dataset_name or None,
            "dataset_digest": one.dataset_digest or None,
        }
        for one in asked.order_by
    ] or None


def _order(one: Mapping[str, Any]) -> dict[str, Any]:
    name = one["field_name"]
    key = MODEL_TIMES.get(name, name)
    if "." in name and not name.startswith("metrics."):
        raise invalid(f"Invalid order by field name: {name}. Only metrics are supported.")
    if "." not in name and key not in (*_TEXTS, *MODEL_TIMES.values()):
        raise invalid(f"Invalid order by field name: {name}")
    found = {"key": key, "descending": not one["ascending"]}
    if one["dataset_name"] or one["dataset_digest"]:
        found["dataset"] = {"name": one["dataset_name"] or "", "digest": one["dataset_digest"] or ""}
    return found


def _condition(one: Comparison) -> str:
    value = one.value
    if one.kind != "attribute":
        key = f"{one.kind}s.{quoted_name(one.key)}"
    elif one.key in MODEL_TIMES:
        key = MODEL_TIMES[one.key]
    elif one.key in _TEXTS:
        key = one.key
    else:
        raise invalid(f"Invalid attribute name: {one.key}")
    if one.kind == "attribute" and one.key == "status":
        value = _statuses(one)
    if isinstance(value, float):
        return f"{key} {one.comparator} {value!r}"
    if isinstance(value, list):
        return f"{key} {one.comparator.lower()} ({', '.join(quoted_text(text) for text in value)})"
    return f"{key} {one.comparator.lower()} {quoted_text(escaped(value, one.comparator))}"


def _statuses(one: Comparison) -> Any:
    """Return statuses in the words of the query API. MLflow compares their numbers, as texts."""
    if one.comparator not in ("=", "!=", "IN", "NOT IN"):
        raise Refused("INVALID_PARAMETER_VALUE", f"Invalid comparison operator for status: {one.comparator!r}.")
    numbers = {str(number): status for number, status in enumerate(STATUSES)}
    if isinstance(one.value, list):
        return [numbers.get(text, text) for text in one.value]
    return numbers.get(one.value, one.value)


ROUTES = [
    Route(
        "POST", PATH, "SearchLoggedModels", search_models,
        {"experiment_ids": [array, texts, required], "filter": [string], "datasets": [array], "max_results": [integer],
         "order_by": [array], "page_token": [string]},
    )
]  # fmt: skip
