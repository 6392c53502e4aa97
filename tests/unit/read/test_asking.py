"""What callers of `gateway.read` write, and what the API is asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.search.filter_terms import RUN_FACTS
from gateway.client.errors import ClientError
from gateway.client.query import Api
from gateway.read.asking import FACTS, column_key, column_name, order_keys, run_ids
from gateway.read.curves import series
from gateway.read.table import Table


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("state", ["fact", "state"]),
        ("params.lr", ["param", "lr"]),
        ("params.net.layers", ["param", "net.layers"]),
        ("metrics.`val/loss{rank=3}`", ["metric", "val/loss{rank=3}"]),
        ("min(metrics.loss)", ["metric", "loss", "min"]),
        (" count(metrics.`a)b`) ", ["metric", "a)b", "count"]),
        ("tags.team", ["tag", "team"]),
        ("metrics.f(x)", ["metric", "f(x)"]),
    ],
)
def test_columns_are_written_as_in_filters(text: str, key: list[str]) -> None:
    assert column_key(text) == key


@given(st.sampled_from(["param", "metric", "tag", "label"]), st.text("ab`.()/ x", min_size=1, max_size=8))
def test_a_column_is_read_as_it_is_written(kind: str, name: str) -> None:
    name = name.strip() or "x"

    assert column_key(column_name([kind, name])) == [kind, name]


@pytest.mark.parametrize("text", ["", "min(params.lr)", "min(state)", "min(metrics.loss", "loss", "param.lr"])
def test_what_is_no_column_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="is no column: write params"):
        column_key(text)


def test_facts_are_those_of_filters() -> None:
    assert set(RUN_FACTS) == FACTS


def test_an_axis_that_there_is_not_is_refused() -> None:
    with pytest.raises(ClientError, match="axis 'wall' is none of step, time, relative"):
        series("run", axis="wall", api=Api("http://127.0.0.1:9"))


def test_orders_have_a_column_and_a_direction() -> None:
    assert order_keys(["metrics.loss DESC", "created"]) == [
        {"key": ["metric", "loss"], "descending": True}, {"key": ["fact", "created"], "descending": False},
    ]  # fmt: skip
    assert order_keys(None) is None


def test_runs_are_ids_or_rows_or_a_table() -> None:
    assert run_ids("a") == ["a"]
    assert run_ids(["a", "b", "a"]) == ["a", "b"]
    assert run_ids(Table({"run_id": ["a", "b"], "name": ["x", "y"]})) == ["a", "b"]
    assert run_ids({"run_id": "a"}) == ["a"]
    waited: list[float] = []
    assert run_ids([SimpleNamespace(id="open", barrier=waited.append), SimpleNamespace(id="read")]) == ["open", "read"]
    assert len(waited) == 1
    for wrong in (None, 3, {"id": "a"}, [None], [["a"]]):
        with pytest.raises(ClientError, match="is no run: give an id"):
            run_ids(wrong)  # type: ignore[arg-type]  # as a caller may
    with pytest.raises(ClientError, match="no runs are given"):
        run_ids([])
