"""
MLflow's own parsers of filters, orders and page tokens (mlflow/utils/search_utils.py); imports mlflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchModelUtils, SearchModelVersionUtils, SearchUtils

from gateway.server.mlflow.errors import Refused, invalid

Listed = Literal["experiments", "models", "model_versions"]

_PARSERS = {
    "experiments": SearchExperimentsUtils,
    "models": SearchModelUtils,
    "model_versions": SearchModelVersionUtils,
}


class Comparison(NamedTuple):
    """One comparison of a filter, which is true where all of its comparisons are."""

    kind: str  # attribute, tag
    key: str
    comparator: str  # = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL
    value: Any  # text, number, texts, or None


class Ordering(NamedTuple):
    """What a list is sorted by."""

    kind: str  # attribute, tag
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


def read_offset(page_token: str) -> int:
    """Return how many rows come before the page of a token; 0 for no token. Raises Refused."""
    with refusing():
        return int(SearchUtils.parse_start_offset_from_page_token(page_token))


def write_offset(offset: int) -> str:
    """Return the token of the page behind `offset` rows, as MLflow writes it."""
    return bytes(SearchUtils.create_page_token(offset)).decode()
