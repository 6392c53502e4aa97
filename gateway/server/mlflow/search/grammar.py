"""
MLflow's own parsers of filters, orders and page tokens (mlflow/utils/search_utils.py); imports mlflow.
"""

from __future__ import annotations

import ast
import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import sqlparse
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import (
    SearchExperimentsUtils,
    SearchLoggedModelsPaginationToken,
    SearchModelUtils,
    SearchModelVersionUtils,
    SearchUtils,
    _join_in_comparison_tokens,
)

from gateway.server.mlflow.errors import Refused, invalid

Listed = Literal["experiments", "models", "model_versions"]

MODEL_TIMES = {  # of logged models: MLflow's names, and those of the query API
    "creation_time": "created", "creation_timestamp": "created", "creation_timestamp_ms": "created",
    "last_updated_timestamp": "updated", "last_updated_timestamp_ms": "updated",
}  # fmt: skip
_PARSERS = {
    "experiments": SearchExperimentsUtils,
    "models": SearchModelUtils,
    "model_versions": SearchModelVersionUtils,
}


class Comparison(NamedTuple):
    """One comparison of a filter, which is true where all of its comparisons are."""

    kind: str  # attribute, tag, ...
    key: str
    comparator: str  # = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL
    value: Any  # text, number, texts, or None


class Ordering(NamedTuple):
    """What a list is sorted by."""

    kind: str  # attribute, tag, ...
    key: str
    ascending: bool


@contextmanager
def refusing() -> Iterator[None]:
    """
    Turn what a parser raises into Refused, with MLflow's words.

    What MLflow answers with 500 is the caller's fault here too: its clients would repeat it for minutes.
    """
    try:
        yield
    except Refused:
        raise
    except MlflowException as error:
        code = error.error_code
        raise Refused("INVALID_PARAMETER_VALUE" if code == "INTERNAL_ERROR" else code, error.message) from None
    except Exception as error:  # noqa: BLE001 - the parsers meet what they do not expect with any error
        raise invalid(f"It cannot be parsed ({type(error).__name__}: {error}).") from None


def parse_list_filter(listed: Listed, text: str) -> list[Comparison]:
    """Return the comparisons of a filter of experiments, models or versions. Raises Refused."""
    with refusing():
        found = _PARSERS[listed].parse_search_filter(text)
        return [Comparison(one["type"], one["key"], one["comparator"], one["value"]) for one in found]


def parse_list_order(listed: Listed, texts: Sequence[str]) -> list[Ordering]:
    """Return the order of a list of experiments, models or versions. Raises Refused."""
    with refusing():
        if listed == "models":
            parsed = map(SearchUtils.parse_order_by_for_search_registered_models, texts)
            return [Ordering("attribute", key, ascending) for key, ascending in parsed]
        if listed == "experiments":
            return [Ordering(*SearchExperimentsUtils.parse_order_by_for_search_experiments(one)) for one in texts]
        return [Ordering(*SearchModelVersionUtils.parse_order_by_for_search_model_versions(one)) for one in texts]


def parse_run_filter(text: str) -> list[Comparison]:
    """Return the comparisons of a filter of runs: their kind is attribute, metric, parameter, tag or dataset."""
    found = []
    with refusing():
        for one in SearchUtils.parse_search_filter(text):
            kind, key = one["type"], SearchUtils.translate_key_alias(one["key"])
            comparator = one["comparator"].upper()
            for check in (SearchUtils.is_metric, SearchUtils.is_param, SearchUtils.is_tag, SearchUtils.is_dataset):
                check(kind, comparator)
            SearchUtils.is_attribute(kind, key, comparator)
            is_list = comparator in ("IN", "NOT IN")
            if is_list != isinstance(one["value"], tuple | list):
                what = f"{one['key']} {comparator} {one['value']!r:.200}"
                raise Refused("BAD_REQUEST", f"{what}: IN and NOT IN take a list, the others a value.")
            found.append(Comparison(kind, key, comparator, one["value"]))
    return found


def parse_run_orders(texts: Sequence[str]) -> list[Ordering]:
    """Return the order of a list of runs; times are `start_time` and `end_time`. Raises Refused."""
    found: list[Ordering] = []
    with refusing():
        for text in texts:
            kind, key, ascending = SearchUtils.parse_order_by_for_search_runs(text)
            key = SearchUtils.translate_key_alias(key)
            if kind == "dataset":
                raise invalid(f"Invalid identifier type '{kind}'")
            if any((kind, key) == one[:2] for one in found):
                raise invalid(f"`order_by` contains duplicate fields: {list(texts)}")
            found.append(Ordering(kind, key, ascending))
    return found


def read_offset(page_token: str) -> int:
    """Return how many rows come before the page of a token; 0 for no token. Raises Refused."""
    with refusing():
        return int(SearchUtils.parse_start_offset_from_page_token(page_token))


def write_offset(offset: int) -> str:
    """Return the token of the page behind `offset` rows, as MLflow writes it."""
    return bytes(SearchUtils.create_page_token(offset)).decode()


def parse_models_filter(text: str) -> list[Comparison]:
    """
    Return the comparisons of a filter of logged models: of attributes, metrics, params and tags. Raises Refused.

    The grammar is that of mlflow/utils/search_logged_model_utils.py, which cannot be imported: it needs SQLAlchemy.
    """
    with refusing():
        parsed = sqlparse.parse(text) if text else []
        if len(parsed) > 1:
            raise MlflowException.invalid_parameter_value(
                f"Invalid filter string: {text!r}. Expected a single SQL expression."
            )
        found = []
        for token in _join_in_comparison_tokens(parsed[0].tokens) if parsed else ():
            if isinstance(token, sqlparse.sql.Comparison):
                parts = [str(one) for one in token.tokens if not one.is_whitespace]
                found.append(_models_comparison(parts, str(token)))
            elif token.value.strip().upper() != "AND":
                raise MlflowException.invalid_parameter_value(
                    f"Invalid filter string: {text!r}. Expected a list of comparisons "
                    "separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."
                )
        return found


def _models_comparison(parts: list[str], text: str) -> Comparison:
    if len(parts) != 3:
        words = f"Invalid comparison: {text}. Expected a comparison with 3 tokens."
        raise MlflowException.invalid_parameter_value(words)
    identifier, comparator, value = parts[0], parts[1].upper(), parts[2]
    match = re.match(r"([a-z]+)\.(.+)$", identifier)
    entity, key = match.groups() if match else ("attributes", identifier)
    if entity not in ("attributes", "metrics", "params", "tags"):
        raise MlflowException.invalid_parameter_value(
            f"Invalid entity type: {entity!r}. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        )
    key = key.strip("`")
    is_number = entity == "metrics" or (entity == "attributes" and key in MODEL_TIMES)
    allowed = ("<", "<=", ">", ">=", "=", "!=") if is_number else ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
    if comparator not in allowed:
        raise MlflowException.invalid_parameter_value(
            f"Invalid comparison operator for {entity}.{key}: {comparator!r}. Expected one of {allowed}."
        )
    return Comparison(entity[:-1], key, comparator, float(value) if is_number else _text_or_texts(value))


def _text_or_texts(value: str) -> Any:
    if not (value.startswith("(") and value.endswith(")")):
        return value.strip("'")
    found = ast.literal_eval(value)
    return [found] if isinstance(found, str) else [str(one) for one in found]


def read_models_offset(page_token: str, experiment_ids: list[str], filter: str | None, order_by: Any) -> int:
    """Return how many logged models come before the page of a token of this search. Raises Refused."""
    with refusing():
        token = SearchLoggedModelsPaginationToken.decode(page_token)
        token.validate(experiment_ids, filter, order_by)
        return int(token.offset)


def write_models_offset(offset: int, experiment_ids: list[str], filter: str | None, order_by: Any) -> str:
    """Return the token of the page of logged models behind `offset` of them, as MLflow writes it."""
    return str(SearchLoggedModelsPaginationToken(experiment_ids, filter, order_by, offset).encode())


def read_place(page_token: str) -> tuple[int, str | None]:
    """Return how many runs come before the page of a token, and the query API's token. Raises Refused."""
    offset = read_offset(page_token)
    if not page_token:
        return 0, None
    with refusing():
        token = json.loads(base64.b64decode(page_token)).get("after")
    if not isinstance(token, str):
        raise invalid(f"Invalid page token, parsed value={page_token:.200}: it is not one of this server")
    return offset, token


def write_place(offset: int, token: str) -> str:
    """Return the token of a page as `read_place` reads it; MLflow's own parser reads it too."""
    return base64.b64encode(json.dumps({"offset": offset, "after": token}).encode()).decode()
