"""MLflow's comparisons of runs become filters of the query API with the same meaning."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.store.search.filter_tree import read_orders, read_tree
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.search.grammar import parse_run_filter, parse_run_orders, read_place, write_place
from gateway.server.mlflow.search.run_filter import run_filter, run_order

LOSS, LR, BEGAN, LARGEST = ["metric", "loss"], ["param_text", "lr"], ["fact", "began"], 1.7976931348623157e308
NUMBER = {"any": [{"key": LOSS, "op": ">=", "values": [0.0]}, {"key": LOSS, "op": "<", "values": [0.0]}]}


def on(key: list[str], op: str, *values: Any) -> dict[str, Any]:
    return {"key": key, "op": op} | ({"values": list(values)} if values else {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metrics.loss < 0.5", on(LOSS, "<", 0.5)),
        ("metrics.loss = 1e999", False), ("metrics.loss >= 1e999", False), ("metrics.loss < 1e999", NUMBER),
        ("metrics.loss <= 1.7976931348623157e308", NUMBER), ("metrics.loss > 1.7976931348623157e308", False),
        ("metrics.loss = 1.7976931348623157e308", on(LOSS, ">=", LARGEST)), ("metrics.loss >= -1e999", NUMBER),
        ("metrics.loss < -1e999", False),
        ("params.lr = '0.10'", on(LR, "in", "0.10")),
        ("params.lr LIKE 'a\\%'", on(LR, "like", "a\\\\%")),
        ("params.lr = '\x00'", False), ("params.lr != '\x00'", on(LR, "is not null")),
        ("tags.x IS NULL", on(["tag", "x"], "is null")), ("tags.`mlflow.runName` IS NULL", False),
        ("status = 'FAILED'", on(["fact", "state"], "in", "failed", "lost")), ("status = 'failed'", False),
        ("run_id IN ('a', 'b')", on(["fact", "run_id"], "in", "a", "b")),
        ("start_time > 5", on(BEGAN, ">=", 6_000)), ("start_time <= 5.5", on(BEGAN, "<", 6_000)),
        ("start_time = 5.5", False), ("start_time != 5.5", on(BEGAN, "is not null")),
        ("datasets.digest != 'd'", on(["label", "mlflow.dataset/*dataset/digest"], "not in", "d")),
        ("params.lr = 'a' and metrics.loss = 1e999", False),
    ],
)  # fmt: skip
def test_a_comparison_has_this_meaning(text: str, expected: Any) -> None:
    assert run_filter(parse_run_filter(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["metrics.`a/b` > 1", "params.`a b` ILIKE 'x'", "tags.mlflow.parentRunId != 'x'", "user_id LIKE '%'",
     "artifact_uri LIKE 'x%'", "end_time != 5", "datasets.context IN ('a')", "run_name != 'x'", "metrics.x != 1e999",
     "start_time < 1e400", "params.`a_x20_b` IS NOT NULL"],
)  # fmt: skip
def test_the_query_api_accepts_every_tree(text: str) -> None:
    tree = run_filter(parse_run_filter(text))

    assert tree is not False
    read_tree({} if tree is True else tree)


def test_the_newest_come_first_unless_the_start_is_asked_for() -> None:
    newest = {"key": BEGAN, "descending": True}
    loss = {"key": LOSS, "descending": False}

    assert run_order(parse_run_orders([])) == [newest]
    assert run_order(parse_run_orders(["metrics.loss"])) == [loss, newest]
    assert run_order(parse_run_orders(["created", "metrics.loss"])) == [
        {"key": BEGAN, "descending": False},
        loss,
    ]
    every = ["params.x", "tags.y", "run_name", "user_id", "artifact_uri", "status", "end_time", "run_id DESC"]
    assert len(read_orders(run_order(parse_run_orders(every)))) == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [("metrics.a > 1 OR metrics.b > 1", "Invalid clause(s) in filter string"), ("x = 'y'", "Invalid attribute key 'x'"),
     ("params.a > 'b'", "Invalid comparator '>'"), ("metrics.a = 'b'", "Expected numeric value type for metric"),
     ("run_id = ('a')", "IN and NOT IN take a list")],
)  # fmt: skip
def test_what_mlflow_refuses_is_refused_in_its_words(text: str, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_run_filter(text)
    assert words in refusal.value.message


def test_a_page_token_is_one_of_mlflow_that_names_a_place_too() -> None:
    assert read_place(write_place(7, "abc")) == (7, "abc")
    assert read_place("") == (0, None)
    for damaged in ("x", "e30=", "eyJvZmZzZXQiOiA1fQ==", "bnVsbA=="):
        with pytest.raises(Refused):
            read_place(damaged)
