"""Tables of runs: any columns in any order, on a real store."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas import events as ev
from schemas.api.tables import ColumnsFound, FilterCheck, RunsTable, ValuesFound
from schemas.values import BoolValue, FloatValue, IntValue, JsonValue, StringValue, Typed
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

NET = JsonValue(value={"layers": [3, 64], "name": "vit"})
COLUMNS = [
    ["fact", "name"], ["fact", "state"], ["fact", "duration"], ["param", "lr"], ["param", "net.layers.1"],
    ["metric", "loss"], ["metric", "loss", "min"], ["metric", "loss", "first"], ["metric", "loss", "count"],
    ["metric", "loss", "non_finite"], ["metric", "loss", "step"], ["metric", "fit/acc{rank=1}", "max"],
    ["tag", "team"], ["label", "data"],
]  # fmt: skip


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def trained(run_id: str, at: int, params: dict[str, Typed], losses: list[float], **tags: str) -> list[Envelope]:
    author = Author(run_id, time=START + at * 1_000_000)
    made = [
        author.start(name=f"name {run_id}", tag="digits"),
        author.envelope(ev.Params(time=author.now(), params=params)),
        author.envelope(ev.Tags(time=author.now(), tags=tags)),
        author.envelope(ev.RunLabels(time=author.now(), labels={"data": StringValue(value=f"set {run_id}")})),
    ]
    if losses:
        made.append(author.metrics("loss", losses))
        columns = {"steps": array("q", [0, 1]), "times": array("q", [author.now()] * 2)}
        acc = ev.Series(name="acc", labels={"rank": "1"}, values=array("d", [0.5, 0.25]), **columns)
        made.append(author.envelope(ev.Metrics(time=author.now(), step_name="fit", series=[acc])))
    return made


def runs() -> list[Envelope]:
    a = trained("a", 1, {"lr": FloatValue(value=0.1), "net": NET}, [9.0, 0.1, math.nan, 0.5], team="x")
    b = trained("b", 2, {"lr": IntValue(value=2), "net": StringValue(value="n" * 3_000)}, [3.0], team="y")
    c = trained("c", 3, {"lr": StringValue(value="high"), "fast": BoolValue(value=True)}, [], team="z" * 2_000)
    again = Author("b", "p2", time=START + 60_000_000)
    second = [again.start(name="name b", attempt=2), again.metrics("loss", [-1.0], first_step=1, attempt=2)]
    return [*a, Author("a", "end", time=START + 9_000_000).finish(), *b, *second, *c]


async def ask(live: Live, path: str, **body: Any) -> Any:
    answer = await live.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def table(live: Live, **body: Any) -> Any:
    page = await ask(live, "/v1/runs/table", **body)
    RunsTable.model_validate(page, extra="forbid")
    return page


async def order(live: Live, *key: str, descending: bool = False, **body: Any) -> str:
    page = await table(live, order=[{"key": key, "descending": descending}], **body)
    return "".join(page["run_ids"])


async def test_a_table_has_the_columns_that_were_asked_for_in_the_order_that_was_asked_for(live: Live) -> None:
    await live.publish(runs())
    page = await table(live, columns=COLUMNS, order=[{"key": ["fact", "run_id"]}])

    assert (page["run_ids"], page["total"], page["next_page_token"]) == (["a", "b", "c"], 3, None)
    assert dict(zip(map(tuple, COLUMNS), page["columns"], strict=True)) == {
        ("fact", "name"): ["name a", "name b", "name c"], ("fact", "state"): ["finished", "lost", "lost"],
        ("fact", "duration"): [8_000_000, 58_001_500, 4_500], ("param", "lr"): [0.1, 2, "high"],
        ("param", "net.layers.1"): [64, None, None], ("metric", "loss"): [0.5, -1.0, None],
        ("metric", "loss", "min"): [0.1, -1.0, None], ("metric", "loss", "first"): [9.0, 3.0, None],
        ("metric", "loss", "count"): [4, 2, None], ("metric", "loss", "non_finite"): [1, 0, None],
        ("metric", "loss", "step"): [3, 1, None], ("metric", "fit/acc{rank=1}", "max"): [0.5, 0.5, None],
        ("tag", "team"): ["x", "y", "z" * 1_000], ("label", "data"): ["set a", "set b", "set c"],
    }  # fmt: skip
    assert page["cut"] == [[12, 2]]
    long = await table(live, columns=[["param", "net"]], where="name = 'name b'")
    assert (long["columns"], long["cut"]) == ([["n" * 1_000]], [[0, 0]])


async def test_tables_follow_any_order_by_tokens_and_by_offsets(live: Live) -> None:
    await live.publish(runs())

    assert [await order(live, "param", "lr"), await order(live, "param", "lr", descending=True)] == ["abc", "bac"]
    assert [await order(live, "metric", "loss", "first"), await order(live, "metric", "loss", "count")] == [
        "bac",
        "bac",
    ]
    assert [await order(live, "tag", "team", descending=True), await order(live, "fact", "duration")] == ["cba", "cab"]
    assert await order(live, "fact", "experiment", where="min(metrics.loss) < 1") == "ab"
    assert await order(live, "fact", "created", offset=2, columns=[["fact", "name"]]) == "c"

    pages, token = list[list[str]](), None
    while token is not None or not pages:
        page = await table(live, order=[{"key": ["metric", "loss"]}], limit=1, page_token=token, total=False)
        pages.append(page["run_ids"])
        token = page["next_page_token"]
    assert (pages, page["total"]) == ([["b"], ["a"], ["c"]], None)
    await live.publish(trained("d", 4, {"none": JsonValue(value=None)}, [], team="w"))
    assert await order(live, "param", "none") == "abcd"  # each once


FOUND = [
    ("min(metrics.loss) <= 0.1", "ab"), ("max(metrics.loss) = 9", "a"), ("count(metrics.loss) > 3", "a"),
    ("first(metrics.loss) >= 3", "ab"), ("non_finite(metrics.loss) > 0", "a"), ("step(metrics.loss) = 3", "a"),
    ("min(metrics.`fit/acc{rank=1}`) < 0.3", "ab"), ("min(metrics.none) is null", "abc"),
    ("first(metrics.loss) is not null", "ab"), ("attempt = 2", "b"), ("duration > '20s' and duration < '1h 30m'", "b"),
    ("duration < 5", "c"), ("stage = 'active'", "abc"), ("lifecycle_stage != 'active'", ""),
    ("labels.data = 'set c'", "c"), ("labels.data like 'set%' and labels.data != 'set c'", "ab"),
    ("text has 'NAME X'", "a"), ("text not has 'x'", "bc"), ("name has 'B'", "b"), ("tags.team not has 'x'", "bc"),
    ("params.lr has 'ig'", "c"), ("experiment like 'dig%'", "abc"), ("experiment != 'digits'", ""),
    ("experiment has 'GITS' and points > 4", "a"), ("points >= 1e300", ""), ("attempt in (1, 1e308)", "ac"),
]  # fmt: skip


async def test_filters_find_summaries_labels_durations_and_words(live: Live) -> None:
    await live.publish(runs())

    assert [(text, await order(live, "fact", "run_id", where=text)) for text, _ in FOUND] == FOUND


async def test_which_columns_and_values_there_are(live: Live) -> None:
    await live.publish(runs())
    found = await ask(live, "/v1/runs/columns")
    ColumnsFound.model_validate(found, extra="forbid")
    by_key = {tuple(one["key"]): (one["types"], one["runs"]) for one in found["columns"]}

    assert by_key["fact", "created"] == (["time"], 3)
    assert {key: one for key, one in by_key.items() if key[0] != "fact"} == {
        ("param", "lr"): (["float", "int", "string"], 3), ("param", "net"): (["json", "string"], 2),
        ("param", "fast"): (["bool"], 1), ("tag", "team"): (["string"], 3), ("label", "data"): (["string"], 3),
        ("metric", "loss"): (["float"], 2), ("metric", "fit/acc{rank=1}"): (["float"], 2),
    }  # fmt: skip
    some = await ask(live, "/v1/runs/columns", prefix="LO", where="params.lr = 0.1")
    assert [(one["key"], one["runs"]) for one in some["columns"]] == [(["metric", "loss"], 1)]
    cut = await ask(live, "/v1/runs/columns", limit=3)
    assert (len(cut["columns"]), cut["is_complete"]) == (3, False)

    async def values(*key: str, **body: Any) -> list[tuple[Any, int]]:
        answer = await ask(live, "/v1/runs/values", key=key, **body)
        ValuesFound.model_validate(answer, extra="forbid")
        return [(one["value"], one["runs"]) for one in answer["values"]]

    assert await values("fact", "state") == [("lost", 2), ("finished", 1)]
    assert await values("fact", "experiment") == [("digits", 3)]
    assert await values("tag", "team", prefix="X") == [("x", 1)]
    assert await values("param", "lr") == [(0.1, 1), (2, 1), ("high", 1)]
    assert await values("label", "data", where="state = 'finished'") == [("set a", 1)]
    assert [(await values("param", "net"))[-1]] == [({"layers": [3, 64], "name": "vit"}, 1)]


HOSTILE = [
    ("(" * 100_000, 10_000), ("not " * 60 + "name = 'x'", 204), ("name = 'a\x00b'", 9),
    ("name = 'x' ; drop table runs", 11), ("min(name) < 3", 4),
    ("tags.x like '" + "%a" * 10_000 + "'", 10_000), ("metrics.loss < 'x'", 15), ("points > 99x", 9),
    ("text = 'x'", 5), ("name = $1", 7), ("created > 1e30", 10), ("min(min(metrics.loss)) < 1", 4), ("name has ''", 9),
    ("duration > '1 year'", 11), (" and ".join(["a = 1"] * 9), 0),
]  # fmt: skip
WRONG = [
    ("table", {"columns": [["x", "y"]]}, "columns"), ("table", {"columns": "name"}, "columns"),
    ("table", {"columns": [["metric", "loss", "median"]]}, "columns"),
    ("table", {"columns": [["label", "a*b"]]}, "columns"),
    ("table", {"order": [["metric", "loss"]]}, "order"), ("table", {"order": [{"key": ["label", "x"]}]}, "order"),
    ("table", {"limit": 1_001}, "limit"), ("table", {"offset": 1_000_001}, "offset"), ("table", {"x": 1}, "x"),
    ("table", {"page_token": "x"}, "page_token"), ("table", {"filter": {"op": "<"}}, "filter"),
    ("values", {"key": ["metric", "loss"]}, "key"), ("values", {"key": ["fact", "created"]}, "key"),
    ("values", {}, "key"),
    ("columns", {"prefix": "\x00"}, "prefix"), ("columns", {"where": "x"}, "where"),
]  # fmt: skip


async def test_wrong_questions_are_answered_with_400_and_where_they_are_wrong(live: Live) -> None:
    for text, position in HOSTILE:
        answer = await live.http.post("/v1/runs/table", json={"where": text})
        checked = await ask(live, "/v1/filters/check", where=text)
        FilterCheck.model_validate(checked, extra="forbid")
        assert (answer.status_code, answer.json().get("position")) == (400, position), (text[:40], answer.text)
        assert (checked["ok"], checked["position"], checked["message"]) == (False, position, answer.json()["error"][7:])
    for path, body, field in WRONG:
        answer = await live.http.post(f"/v1/runs/{path}", json=body)
        assert (answer.status_code, field in answer.json()["error"]) == (400, True), (path, body, answer.text)


async def test_what_may_follow_is_said_at_a_position(live: Live) -> None:
    checked = await ask(live, "/v1/filters/check", where="state = 'run' and params.l", position=26)

    assert (checked["ok"], checked["position"], "'running'" in checked["expected"]) == (False, 8, True)
    assert checked["follow"] is None  # what is before is wrong
    read = await ask(live, "/v1/filters/check", where="not (min(metrics.a) < 1 or params.b = 'x') and state = 'lost'")
    assert read["keys"] == [["metric", "a", "min"], ["param", "b"], ["fact", "state"]]
    checked = await ask(live, "/v1/filters/check", where="state != 'running' and min(metrics.lo", position=37)
    assert checked["follow"] == {"start": 27, "words": [], "key": None, "name": ["metric", "lo"]}
