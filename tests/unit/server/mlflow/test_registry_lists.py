"""Searches of experiments, models and versions in the words of the query API."""

from __future__ import annotations

import pytest

from consumers.store.registry.search import FACTS, ORDERS
from consumers.store.search.filter import parse_filter
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.search.grammar import Listed, write_offset
from gateway.server.mlflow.search.registry_lists import question

NO_PROMPTS = "not (tags.`mlflow.prompt.is_prompt` = 'true')"
NEWEST_VERSIONS = ["updated desc", "name asc", "version desc"]

FILTERS: list[tuple[Listed, str, str]] = [
    ("experiments", "", ""),
    ("experiments", "name = 'it''s'", "name = 'it''''s'"),  # MLflow keeps doubled quotes as they are
    ("experiments", 'name ILIKE "A%"', "name ILIKE 'A%'"),
    ("experiments", "tags.`a b` = 'c' AND name != 'd'", "tags.`a b` = 'c' and name != 'd'"),
    ("experiments", "tags.x IS NOT NULL AND tag.y IS NULL", "tags.`x` is not null and tags.`y` is null"),
    ("experiments", "experiment_id IN ('1', '2')", "experiment_id in ('1', '2')"),
    ("experiments", "creation_time = 5", "(created >= 5 and created < 6)"),
    ("experiments", "last_update_time > 5 and creation_time <= 7", "updated >= 6 and created < 8"),
    ("experiments", "name LIKE 'a\\%'", "name LIKE 'a\\\\%'"),  # a backslash is a character, as on SQLite
    ("experiments", "tags.x ILIKE 'a\\'", "tags.`x` ILIKE 'a\\\\'"),
    ("models", "name LIKE 'a%'", f"name LIKE 'a%' and {NO_PROMPTS}"),
    ("models", "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` = 'true'"),
    ("models", "tags.`mlflow.prompt.is_prompt` != 'true'", NO_PROMPTS),
    ("model_versions", "version_number >= 2 and run_id IN ('a')", f"version >= 2 and run_id in ('a') and {NO_PROMPTS}"),
    ("model_versions", "source_path = 's3://x'", f"source = 's3://x' and {NO_PROMPTS}"),
]

ORDERINGS: list[tuple[Listed, list[str], list[str]]] = [
    ("experiments", [], ["created desc", "experiment_id asc"]),
    ("experiments", ["name"], ["name asc", "experiment_id desc"]),
    ("experiments", ["last_update_time DESC", "experiment_id"], ["updated desc", "experiment_id asc"]),
    ("models", [], ["name asc"]),
    ("models", ["timestamp DESC"], ["updated desc", "name asc"]),
    ("model_versions", [], NEWEST_VERSIONS),
    ("model_versions", ["creation_timestamp"], ["created asc", "name asc", "version desc"]),
]

REFUSED: list[tuple[Listed, str, list[str], str]] = [
    ("experiments", "name = x", [], ""),
    ("experiments", "name > 'x'", [], ""),
    ("experiments", "state = 'x'", [], ""),
    ("experiments", "name = 'a' OR name = 'b'", [], ""),
    ("experiments", "creation_time = 1.5", [], ""),
    ("experiments", "creation_time LIKE 1", [], ""),
    ("experiments", "experiment_id LIKE '1%'", [], ""),
    ("experiments", "name IS NULL", [], ""),
    ("experiments", "", ["tags.x"], ""),
    ("models", "version_number = 1", [], ""),
    ("models", "tags.x IS NULL", [], ""),
    ("models", "", ["creation_timestamp"], ""),
    ("models", "", ["name", "name DESC"], ""),
    ("model_versions", "source_path IN ('a')", [], ""),
    ("model_versions", "stage = 'Production'", [], ""),
    ("models", "", [], "x"),
    ("models", "", [], "W10="),  # [] in Base64: no object
    ("models", "'; DROP TABLE models; --", [], ""),
]


@pytest.mark.parametrize(("listed", "filter", "where"), FILTERS)
def test_a_filter_of_mlflow_is_one_of_the_query_api(listed: Listed, filter: str, where: str) -> None:
    asked = question(listed, filter, [], "")

    assert asked.where == where
    parse_filter(asked.where, FACTS[listed])


@pytest.mark.parametrize(("listed", "order_by", "order"), ORDERINGS)
def test_an_order_of_mlflow_ends_with_what_makes_it_total(
    listed: Listed, order_by: list[str], order: list[str]
) -> None:
    asked = question(listed, "", order_by, write_offset(7))

    assert (asked.order, asked.offset) == (order, 7)
    assert {one.partition(" ")[0] for one in order} <= set(ORDERS[listed])


@pytest.mark.parametrize(("listed", "filter", "order_by", "page_token"), REFUSED)
def test_what_mlflow_refuses_is_refused(listed: Listed, filter: str, order_by: list[str], page_token: str) -> None:
    with pytest.raises(Refused) as caught:
        question(listed, filter, order_by, page_token)

    assert caught.value.code == "INVALID_PARAMETER_VALUE"
