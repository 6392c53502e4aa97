"""Runs side by side, where they part, and what they wrote besides points, on a real store."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest

from consumers.store.maintenance.retention import Retention
from consumers.store.pool import open_database
from schemas import events as ev
from schemas.api.comparison import Divergence, RunsDiff
from schemas.api.content import ConsolePage, DeliveriesOfRun, ObservationsPage, ValueSeriesPage
from schemas.values import FloatValue, JsonValue, StringValue, Typed
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def trained(run_id: str, params: dict[str, Typed], losses: list[float]) -> list[Envelope]:
    author = Author(run_id)
    return [
        author.start(name="one name"),
        author.envelope(ev.Params(time=author.now(), params=params)),
        author.envelope(ev.Tags(time=author.now(), tags={"team": "x"})),
        author.metrics("loss", losses),
        author.metrics("val/acc", [0.5] * 3),
        author.metrics(f"only_{run_id}", [1.0]),
        author.finish(),
    ]


async def asked(live: Live, path: str, model: Any, **body: Any) -> Any:
    answer = await live.http.post(f"/v1/runs/{path}", json=body)
    assert answer.status_code == 200, answer.text
    model.model_validate(answer.json(), extra="forbid")
    return answer.json()


def rows_of(diff: Any) -> dict[str, dict[str, list[Any]]]:
    return {one["name"]: {row["key"]: row["values"] for row in one["rows"]} for one in diff["sections"]}


async def test_a_diff_has_what_differs_by_path(live: Live) -> None:
    nets = [JsonValue(value={"layers": [3, width], "name": "vit"}) for width in (64, 32)]
    first: dict[str, Typed] = {"lr": FloatValue(value=1), "net": nets[0]}
    second: dict[str, Typed] = {"lr": FloatValue(value=1), "net": nets[1], "x": StringValue(value="y" * 2_000)}
    await live.publish([*trained("a", first, [1.0, math.nan]), *trained("b", second, [1.0, 0.5])])
    diff = await asked(live, "diff", RunsDiff, runs=["a", "b"], sections=["params", "tags", "metrics"])

    only = [("last", 1), ("min", 1), ("max", 1), ("count", 1), ("non_finite", 0)]
    assert rows_of(diff) == {
        "params": {"net.layers.1": [64, 32], "x": [None, "y" * 1_000]},
        "tags": {},
        "metrics": {
            "loss.last": ["NaN", 0.5], "loss.min": [1.0, 0.5], "loss.non_finite": [1, 0],
            **{f"only_a.{stat}": [value, None] for stat, value in only},
            **{f"only_b.{stat}": [None, value] for stat, value in only},
        },
    }  # fmt: skip
    assert [row["cut"] for row in diff["sections"][0]["rows"]] == [False, True]
    whole = rows_of(await asked(live, "diff", RunsDiff, runs=["a", "b"], changed_only=False))
    assert (whole["facts"]["name"], whole["tags"]) == (["one name", "one name"], {"team": ["x", "x"]})
    assert (whole["params"]["lr"], whole["attempts"]["main/1.state"]) == ([1, 1], ["finished", "finished"])
    for runs, status in ((["a"], 400), (["a", "c"], 404)):
        assert (await live.http.post("/v1/runs/diff", json={"runs": runs})).status_code == status


async def test_a_diff_has_long_texts_that_differ_behind_what_it_shows(live: Live) -> None:
    authors = [Author(name) for name in "ab"]
    await live.publish([
        author.envelope(event) for author in authors
        for event in (
            ev.RunStarted(time=author.now(), name="m" * 2_000),
            ev.Note(time=author.now(), text="n" * 2_000 + author.run_id),
        )
    ])  # fmt: skip
    diff = await asked(live, "diff", RunsDiff, runs=["a", "b"], sections=["facts"])

    rows = {row["key"]: (row["values"], row["cut"]) for row in diff["sections"][0]["rows"]}
    assert rows["note"] == (["n" * 1_000] * 2, True)
    assert rows.keys() == {"run_id", "note"}


async def test_two_runs_part_at_their_first_step_beyond_the_tolerance(live: Live) -> None:
    same = [1.0 / (1 + step) for step in range(3_000)]
    other = [*same[:2_000], same[2_000] + 0.001, *(value + 0.5 for value in same[2_001:])]
    params: dict[str, Typed] = {"p": FloatValue(value=1)}
    await live.publish([*trained("a", params, same), *trained("b", params, other)])
    found = await asked(live, "divergence", Divergence, a="a", b="b")

    assert {name: found["first"][name] for name in ("series", "step", "a", "b", "compared")} == {
        "series": "loss", "step": 2_000, "a": same[2_000], "b": other[2_000], "compared": 2_001,
    }  # fmt: skip
    assert (found["only_a"], found["only_b"], found["exact"]) == (["only_a"], ["only_b"], True)
    assert [(one["series"], one["step"]) for one in found["series"]] == [("loss", 2_000), ("val/acc", None)]
    loose = await asked(live, "divergence", Divergence, a="a", b="b", absolute=0.01, match={"words": "LOSS"})
    assert (loose["first"]["step"], loose["compared"]) == (2_001, 1)
    assert (await asked(live, "divergence", Divergence, a="a", b="b", relative=0.9))["first"]["step"] == 2_001
    assert (await asked(live, "divergence", Divergence, a="a", b="b", names=["val/acc"]))["first"] is None
    for body, status in (({"a": "a", "b": "x"}, 404), ({"a": "a", "b": "b", "absolute": -1}, 400), ({"a": "a"}, 400)):
        assert (await live.http.post("/v1/runs/divergence", json=body)).status_code == status


async def test_of_several_values_at_a_step_the_last_one_counts_however_close_they_are(live: Live) -> None:
    for run_id, last in (("a", 0.5), ("b", 0.25)):
        author, times = Author(run_id), array("q", [START, START + 1])
        twice = ev.Series(name="loss", steps=array("q", [7, 7]), times=times, values=array("d", [1.0, last]))
        again = author.metrics("again", [0.5], first_step=-(2**63), attempt=2)  # the lowest step that there is
        both = [author.envelope(ev.Metrics(time=author.now(), series=[twice])), author.metrics("again", [1.0])]
        await live.publish([author.start(), *both, author.envelope(ev.RunResumed(time=author.now(), attempt=2)), again])
    found = (await asked(live, "divergence", Divergence, a="a", b="b"))["first"]

    assert (found["step"], found["a"], found["b"], found["time_a"]) == (7, 0.5, 0.25, START + 1)


async def test_runs_whose_points_were_dropped_are_not_taken_for_equal(live: Live, database: str) -> None:
    await live.publish(
        [*trained("a", {"p": FloatValue(value=1)}, [1.0]), *trained("b", {"p": FloatValue(value=1)}, [2.0])]
    )
    store = await open_database(database)
    try:
        assert await Retention(store).drop(202311)
    finally:
        await store.close()
    refused = await live.http.post("/v1/runs/divergence", json={"a": "a", "b": "b"})
    groups = (await live.http.post("/v1/series/groups", json={"runs": ["a", "b"], "names": ["loss"]})).json()

    assert (refused.status_code, "retention dropped the points of run a" in refused.text) == (410, True)
    assert (groups["exact"], [(one["runs"], one["series"]) for one in groups["groups"]]) == (False, [(2, [])])


def console(author: Author, lines: dict[int, str], stream: Literal["stdout", "stderr"] = "stdout") -> Envelope:
    """Return an envelope of lines by their second."""
    times = array("q", [START + at * 1_000_000 for at in lines])
    return author.envelope(ev.ConsoleText(time=times[0], stream=stream, times=times, lines=list(lines.values())))


def seconds(page: Any) -> list[int]:
    return [(line["time"] - START) // 1_000_000 for line in page["lines"]]


async def test_lines_of_several_processes_are_one_text_in_pages_both_ways(live: Live) -> None:
    first, second = Author("r", "p1"), Author("r", "p2")
    await live.publish([
        first.start(), console(first, {at: f"first {at}" for at in range(0, 100, 2)}),
        console(second, {at: f"second {at}" for at in range(1, 100, 2)}, "stderr"),
        console(first, {100: "x" * 20_000, 101: "loss=0.25 (done)"}),
    ])  # fmt: skip

    async def page(**parameters: Any) -> Any:
        found = await live.json("/v1/runs/r/console", **parameters)
        ConsolePage.model_validate(found, extra="forbid")
        return found

    found = await page(limit=7)
    pages = seconds(found)
    while found["has_next"]:
        found = await page(limit=7, after=found["next_token"])
        pages += seconds(found)
    assert pages == list(range(102))
    assert (await page(after=found["next_token"]))["lines"] == []  # and later what came meanwhile
    last = await page(before="end", limit=3)
    assert (seconds(last), last["has_previous"], last["has_next"]) == ([99, 100, 101], True, False)
    assert [line["cut"] for line in last["lines"]] == [False, True, False]
    assert seconds(await page(before=last["previous_token"], limit=4)) == [95, 96, 97, 98]
    assert seconds(await page(around=START + 50_000_000, limit=4)) == [48, 49, 50, 51]
    assert seconds(await page(from_time=START + 98_500_000, limit=2)) == [99, 100]
    assert seconds(await page(search="SECOND 9")) == [9, 91, 93, 95, 97, 99]
    assert seconds(await page(regex=r"loss=\d+\.\d+ \(")) == [101]
    assert seconds(await page(stream="stderr", limit=2)) == [1, 3]
    assert (await live.get("/v1/runs/r/console", regex="(a{1,200}){1,200}")).status_code == 400, "it needs over 1 GB"
    for wrong in ({"regex": "("}, {"after": "x"}, {"after": "1.2.3", "around": 1}, {"search": "\x00"}):
        assert (await live.get("/v1/runs/r/console", **wrong)).status_code == 400
    assert (await live.get("/v1/runs/none/console")).status_code == 404


async def test_values_that_are_no_numbers_in_pages(live: Live) -> None:
    author = Author("r")
    values: list[Typed] = [*(StringValue(value=f"text {at}") for at in range(5)), JsonValue(value={"a": [1]})]
    seen = [
        author.envelope(ev.Values(time=author.now(), step_name="fit", values=[
            ev.Observation(name="note", step=at, time=author.time, value=value)
        ]))
        for at, value in enumerate(values)
    ]  # fmt: skip
    await live.publish([author.start(), *seen])
    first = await live.json("/v1/runs/r/observations", limit=4)
    ObservationsPage.model_validate(first, extra="forbid")
    rest = await live.json("/v1/runs/r/observations", after=first["next_token"])

    shown = [one["value"] for one in (*first["observations"], *rest["observations"])]
    assert shown == [*(f"text {at}" for at in range(5)), {"a": [1]}]
    assert (first["has_next"], rest["has_next"], rest["observations"][0]["series"]) == (True, False, "fit/note")
    found = await live.json("/v1/runs/r/observations", name="fit/note", search="TEXT 3")
    assert [one["step"] for one in found["observations"]] == [3]
    assert (await live.json("/v1/runs/r/observations", name="note"))["observations"] == []
    index = ValueSeriesPage.model_validate(await live.json("/v1/runs/r/observations/index"), extra="forbid")
    (note,) = [one for one in index.series if one.series == "fit/note"]
    assert (note.types, note.count, index.exact) == (["json", "string"], 6, True)
    assert (await live.json("/v1/runs/r/observations/index", limit=1))["exact"] is (len(index.series) == 1)
    assert (await live.get("/v1/runs/unknown/observations/index")).status_code == 404


async def test_a_run_says_what_is_missing_and_what_trackers_have_of_it(live: Live) -> None:
    author = Author("r")
    start, lost, loss = author.start(), author.metrics("lost", [1.0]), author.metrics("loss", [1.0])
    await live.publish([start, loss])
    before = DeliveriesOfRun.model_validate(await live.json("/v1/runs/r/deliveries"), extra="forbid")
    assert (before.missing, before.dead_letters, before.deliveries) == (1, 0, [])

    end = before.folded.offset
    db = await open_database(live.settings.postgres.get_secret_value(), size=1)
    async with db.acquire() as connection:
        for tracker, offset in {"a": end, "b": end - 1, "c": 2**62 + 5}.items():
            await connection.execute(
                "INSERT INTO deliveries (tracker, run_id, topic, partition, next_offset, ledgers, state, status, "
                "error, skipped) VALUES ($1, 'r', $2, $3, $4, '{}', '{}', 'waiting', 'why', 0)",
                tracker, live.settings.topic, before.folded.partition, offset,
            )  # fmt: skip
    await db.close()
    there = DeliveriesOfRun.model_validate(await live.json("/v1/runs/r/deliveries"))
    assert [(one.tracker, one.is_complete, one.error) for one in there.deliveries] == [
        ("a", True, "why"), ("b", False, "why"), ("c", None, "why"),
    ]  # fmt: skip
    await live.publish([lost])
    after = DeliveriesOfRun.model_validate(await live.json("/v1/runs/r/deliveries"), extra="forbid")
    assert (after.missing, after.folded.offset) == (0, end + 1)
    assert [one.is_complete for one in after.deliveries] == [False, False, None]
    assert (await live.get("/v1/runs/unknown/deliveries")).status_code == 404
