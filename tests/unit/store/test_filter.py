"""The filter language: what it parses, and the position of each error."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.search.filter import parse_filter, parse_order
from consumers.store.search.filter_terms import MAX_SERIES, All, Compare, Either, Key, Not, meanings
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.names import param_paths, series_candidates
from consumers.store.search.sql_builder import Search

WORDS = [
    *["metrics.loss", "params.`a b`", "tags.x", "state", "<", ">=", "=", "!=", "0.3", "'x'", "and", "or", "not", "("],
    *[")", "in", "like", "is", "null", ",", "-inf", "nan", "true", "'", "`", "\\", ";", "--", "$1", ":limit", "%"],
]


def shape(text: str) -> str:
    """Return a short text of a tree, with all parentheses."""

    def read(node: object) -> str:
        match node:
            case Compare(key, op, values):
                return f"{key.name} {op} {','.join(value.text for value in values)}".strip()
            case Not(part):
                return f"not({read(part)})"
            case All(parts):
                return f"all({'; '.join(map(read, parts))})"
            case Either(parts):
                return f"either({'; '.join(map(read, parts))})"
        raise AssertionError(node)

    return read(parse_filter(text))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", "all()"),
        ("metrics.loss<0.3", "loss < 0.3"),
        ("metric.loss <> -1e-3", "loss not in -1e-3"),
        ("name = 'x'", "name in x"),
        ("params.a = 1 and params.b = 2 or params.c = 3", "either(all(a in 1; b in 2); c in 3)"),
        ("params.a = 1 AND (params.b = 2 OR params.c = 3)", "all(a in 1; either(b in 2; c in 3))"),
        ("not params.a = 1 and params.b = 2", "all(not(a in 1); b in 2)"),
        ("not (params.a = 1 and params.b = 2)", "not(all(a in 1; b in 2))"),
        ("params.`a \"b\"` in (1, 'x''y', TRUE)", 'a "b" in 1,x\'y,true'),
        ('tags."mlflow.user" like "%me"', "mlflow.user like %me"),
        ("tags.mlflow.runName ilike 'a%'", "mlflow.runName ilike a%"),
        ("attributes.run_name not like 'a'", "name not like a"),
        ("status = 'RUNNING'", "state in running"),
        ("params.x is not null", "x is not null"),
    ],
)
def test_a_filter_is_read_as_people_mean_it(text: str, tree: str) -> None:
    assert shape(text) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics.loss <", "character 15, at the end: expected a number"),
        ("metrics.loss < 'low'", "character 16, at \"'low'\": expected a number without quotes"),
        ("metrics.loss 3", "character 14, at '3': expected one of ="),
        ("loss < 3", "character 1, at 'loss': expected metrics.NAME"),
        ("metrics. < 3", "character 10, at '<': expected a name right after metrics."),
        ("tags.x < 'a'", "character 8, at '<': expected one of = != like has in, because x is text"),
        ("params.x < 'a'", "character 12, at \"'a'\": expected a number without quotes"),
        ("params.x = y", "character 12, at 'y': expected a number, true, false, or text in quotes"),
        ("state = 'gone'", "character 9, at \"'gone'\": expected one of created"),
        ("created > 'soon'", "character 11, at \"'soon'\": expected a time"),
        ("tags.x like 'a", 'character 13, at "\'a": expected a closing quote'),
        ("tags.x like 'a\\'", "character 13"),
        ("params.x in 1", "character 13, at '1': expected values in parentheses"),
        ("(params.x = 1", "character 14, at the end: expected `and`, `or` or a closing parenthesis"),
        ("params.x = 1 params.y = 2", "character 14, at 'params.y': expected `and`, `or` or the end"),
        ("params.x = 1 ; drop table runs", "character 14"),
        ("(" * 60, "character 52"),
        (" and ".join(["params.x = 1"] * 101), "character 1701"),
        ("a" * 10_001, "it has 10,001 characters"),
        ("tags.x = '\x00'", "character 11 is U+0000"),
    ],
)
def test_an_error_states_its_position(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)

    assert str(caught.value).startswith(message)


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.text(string.printable, max_size=8))
def test_anything_typed_is_understood_or_refused_and_never_part_of_the_statement(words: list[str], more: str) -> None:
    try:
        tree = parse_filter(" ".join([*words, more]))
    except FilterError:
        return
    query = Search(tree, None, lost_after_s=90).runs(limit=1)

    assert not {"'x'", "a b", ":limit", "0.3"} & {word for word in words if word in query.statement}
    assert query.statement.count("$") >= len(query.parameters)


def test_an_order_is_a_key_and_a_direction() -> None:
    assert parse_order("metrics.`val/loss` DESC") == (Key("metric", "val/loss"), True)
    assert parse_order("created") == (Key("time", "created"), False)
    with pytest.raises(FilterError, match="character 14, at 'down': expected asc, desc or the end"):
        parse_order("metrics.loss down")


def test_a_written_name_can_mean_several_series() -> None:
    assert series_candidates("loss") == [("main", "loss", {})]
    assert series_candidates("val/loss{rank=3}")[-2:] == [
        ("main", "val/loss", {"rank": "3"}),
        ("val", "loss", {"rank": "3"}),
    ]


def test_the_name_of_a_parameter_can_be_a_path_into_another() -> None:
    assert param_paths("lr") == []
    assert param_paths("model.layers/0") == [("model", ["layers", "0"]), ("model.layers", ["0"])]
    assert param_paths(".a") == param_paths("a.") == []
    assert len(param_paths("a." * 500 + "b")) == 4


NAMES = st.text(alphabet="ab/{}=,", min_size=1, max_size=40)


@given(names=st.lists(NAMES, min_size=1, max_size=100), order=NAMES)
def test_whatever_is_asked_the_statement_stays_short(names: list[str], order: str) -> None:
    text = " or ".join(f"metrics.`{name}` < 1" for name in names)
    assert all(len(series_candidates(name)) <= meanings(name) for name in names)
    if sum(map(meanings, names)) > MAX_SERIES:
        with pytest.raises(FilterError, match=f"at most {MAX_SERIES} series"):
            parse_filter(text)
        return
    asked = Search(parse_filter(text), parse_order(f"metrics.`{order}`"), lost_after_s=90)

    assert len(asked.runs(limit=10).statement) < 150_000


def test_a_filter_that_would_become_a_long_statement_is_refused_with_the_reason() -> None:
    text = " or ".join(["metrics.`a/b/c/d/e/f/g/h/i{x=1}` < 1"] * 100)

    with pytest.raises(FilterError, match="fewer metrics with slashes"):
        parse_filter(text)
    parse_filter(" or ".join(["metrics.loss < 1"] * 100))
