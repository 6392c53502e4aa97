"""POST /v1/series and its neighbours: charts of many series and runs in one answer, and wrong questions refused."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas import events as ev
from schemas.values import Histogram, HistogramValue, StringValue
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

MANY = 10_000  # series of a run


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


async def asked(live: Live, path: str, status: int = 200, **question: Any) -> Any:
    answer = await live.http.post(path, json=question)
    assert answer.status_code == status, answer.text
    return answer.json()


def labelled(author: Author, rank: int, values: list[float]) -> Envelope:
    series = ev.Series(
        name="loss",
        labels={"rank": str(rank)},
        steps=array("q", range(len(values))),
        times=array("q", [START + 1_000_000 * at for at in range(len(values))]),
        values=array("d", values),
    )
    return author.envelope(ev.Metrics(time=author.now(), series=[series]))


def two_runs() -> list[Envelope]:
    one, two = Author("one"), Author("two")
    return [
        one.start(), one.metrics("loss", [0.0, math.nan, math.inf, 3.0]), one.metrics("val/loss", [1.0]),
        one.envelope(ev.MetricDefined(time=one.now(), name="loss", goal="min", unit="nats")),
        one.envelope(ev.RunResumed(time=one.now(), attempt=2)),
        one.metrics("loss", [5.0, 6.0], first_step=3, attempt=2),
        two.start(), *(labelled(two, rank, [float(rank + at) for at in range(5_000)]) for rank in range(2)),
    ]  # fmt: skip


async def test_charts_of_several_runs_in_pages_by_range_and_with_what_was_replaced(live: Live) -> None:
    await live.publish(two_runs())
    runs = ["two", "one"]

    page = await asked(live, "/v1/series", runs=runs, buckets=100, superseded=True)
    assert [(one["run_id"], one["series"], one["in_range"], one["exact"]) for one in page["series"]] == [
        ("two", "loss{rank=0}", 5_000, False),
        ("two", "loss{rank=1}", 5_000, False),
        ("one", "loss", 5, True),
        ("one", "val/loss", 1, True),
    ]
    assert sum(int(one.partition(":")[2]) for one in page["as_of"].split(",")) == 9
    assert (page["total"], page["next_page_token"]) == (4, None)
    loss = page["series"][2]
    assert loss["columns"]["values"] == [0.0, "NaN", "Infinity", 5.0, 6.0]
    assert [(mark["step"], mark["kinds"], mark["count"]) for mark in loss["marks"]] == [
        (1, ["NaN"], 1),
        (2, ["Infinity"], 1),
    ]
    assert [(one["attempt"], one["from_step"], one["columns"]["values"]) for one in loss["attempts"]] == [(1, 3, [3.0])]
    assert (loss["goal"], loss["unit"], loss["count"], loss["non_finite"]) == ("min", "nats", 6, 2)

    found, token = [], None
    while True:
        part = await asked(live, "/v1/series", runs=runs, buckets=100, points_limit=1, page_token=token)
        found += [(one["run_id"], one["series"]) for one in part["series"]]
        token = part["next_page_token"]
        if token is None:
            break
    assert found == [(one["run_id"], one["series"]) for one in page["series"]]

    for axis, low, high in (
        ("step", 9.5, 19.5),
        ("time", START + 10_000_000, START + 19_999_999),
    ):
        near = await asked(
            live, "/v1/series", runs=["two"], match={"prefix": "loss{"}, range={"axis": axis, "from": low, "to": high}
        )
        assert [one["columns"]["steps"] for one in near["series"]] == [list(range(10, 20))] * 2
    began = await asked(
        live, "/v1/series", runs=["two"], range={"axis": "relative", "to": 5_000_000}, names=["loss{rank=1}"]
    )
    assert began["series"][0]["columns"]["values"][0] == 1.0
    for match, names in (
        ({"regex": "^val/.*s$"}, ["val/loss"]),
        ({"words": "LOSS val"}, ["val/loss"]),
        ({"prefix": "los"}, ["loss{rank=0}", "loss{rank=1}", "loss"]),
    ):
        matching = await asked(live, "/v1/series/index", runs=runs, match=match)
        assert matching["series"] == names


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "runs"),
    ({"runs": []}, 400, "runs"),
    ({"runs": ["missing"]}, 404, "missing"),
    ({"runs": ["a\x00"]}, 400, "runs"),
    ({"runs": ["one"], "names": [""]}, 400, "names"),
    ({"runs": ["one"], "buckets": 0}, 400, "buckets"),
    ({"runs": ["one"], "match": {"regex": "("}}, 400, "match.regex"),
    ({"runs": ["one"], "match": {"regex": "(a{1,200}){1,200}"}}, 400, "match.regex"),
    ({"runs": ["one"], "range": {"axis": "epoch"}}, 400, "range.axis"),
    ({"runs": ["one"], "range": {"from": 2, "to": 1}}, 400, "range"),
    ({"runs": ["one"], "range": {"axis": "relative", "from": -(2**63), "to": 2**63 - 1}}, 200, ""),
    ({"runs": ["one"], "page_token": "x"}, 400, "page_token"),
    ({"runs": ["one"], "page_token": "WyJ0d28iLCAiIl0"}, 400, "page_token"),
    ({"runs": ["one"], "more": 1}, 400, "more"),
]


async def test_wrong_questions_are_refused_with_the_field(live: Live) -> None:
    author = Author("one")
    await live.publish([author.start(), author.metrics("loss", [1.0])])

    answers = [await live.http.post("/v1/series", json=question) for question, _, _ in WRONG]

    assert [one.status_code for one in answers] == [status for _, status, _ in WRONG]
    missing = [
        word for one, (_, _, word) in zip(answers, WRONG, strict=True) if word not in one.json().get("error", "")
    ]
    assert missing == []


async def test_ten_thousand_series_of_a_run_are_listed_without_points(live: Live) -> None:
    author = Author("wide")
    times = array("q", [START])
    await live.publish([author.start()] + [
        author.envelope(ev.Metrics(time=author.now(), series=[
            ev.Series(name=f"s{at:05}", steps=array("q", [at]), times=times, values=array("d", [float(at)]))
            for at in range(first, first + 500)
        ]))
        for first in range(0, MANY, 500)
    ])  # fmt: skip

    page = await asked(live, "/v1/series/index", runs=["wide"])
    assert (page["total"], page["next_page_token"]) == (MANY, None)
    assert page["series"] == [f"s{at:05}" for at in range(MANY)]
    assert page["last"] == page["min"] == page["max"] == [float(at) for at in range(MANY)]
    assert (set(page["count"]), set(page["last_time"]), page["last_step"][7]) == ({1}, {START}, 7)


async def test_groups_have_the_statistics_of_their_runs_and_histograms_come_by_step(live: Live) -> None:
    envelopes: list[Envelope] = []
    for number in range(5):
        author = Author(f"r{number}")
        team, long = StringValue(value="ab"[number % 2]), StringValue(value="x" * 1_000 + str(number))
        envelopes += [
            author.start(),
            author.envelope(ev.Params(time=author.now(), params={"team": team, "long": long})),
            author.metrics("loss", [float(number * 10 + at) for at in range(8)]),
            author.metrics("loss", [math.nan], first_step=8),
        ]
    seen = [
        ev.Observation(name="weights", step=step, time=author.now(), value=HistogramValue(value=histogram(step)))
        for step in range(7)
    ]
    envelopes.append(author.envelope(ev.Values(time=author.now(), values=seen)))
    await live.publish(envelopes)

    groups = await asked(
        live, "/v1/series/groups", where="params.team = 'a' or params.team = 'b'", group_by=[["param", "team"]],
        names=["loss", "none"], buckets=3, range={"to": 7},
    )  # fmt: skip
    assert groups["exact"]
    assert [(one["key"], one["runs"], len(one["series"])) for one in groups["groups"]] == [(["a"], 3, 1), (["b"], 2, 1)]
    of_a = groups["groups"][0]["series"][0]
    assert (of_a["steps"], of_a["mean"], of_a["count"]) == ([2, 5, 7], [22.0, 25.0, 27.0], [3, 3, 3])
    assert (of_a["std"], of_a["min"], of_a["max"]) == ([20.0] * 3, [2, 5, 7], [42, 45, 47])
    assert of_a["median"] == of_a["mean"]
    margin = 4.3027 * 20 / math.sqrt(3)
    assert math.isclose(of_a["ci95_high"][0], 22 + margin, rel_tol=1e-5)
    (every,) = (await asked(live, "/v1/series/groups", runs=["r1", "r0"], names=["loss"]))["groups"]
    assert (every["key"], every["run_ids"], every["series"][0]["steps"]) == ([], ["r1", "r0"], list(range(8)))

    found = await asked(live, "/v1/series/histograms", run_id="r4", name="weights", steps_limit=3)
    assert (found["steps"], found["total"], found["exact"]) == ([0, 3, 6], 7, False)
    assert (found["edges"][1], found["counts"][1]) == ([0.0, 1.0, 2.0], [3.0, 1.0])
    whole = await asked(live, "/v1/series/histograms", run_id="r4", name="weights")
    assert (whole["steps"], whole["exact"]) == (list(range(7)), True)
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"names": ["loss"], "where": "metrics."}, 400), ({"names": ["loss"], "group_by": [["x", "y"]]}, 400),
        ({"names": [], "runs": ["r1"]}, 400), ({"names": ["loss"], "runs": ["r9"]}, 404),
        ({"names": ["loss"], "group_by": [["param", "long"]]}, 400),  # they differ behind what is read of them
    ]  # fmt: skip
    for question, status in wrong:
        await asked(live, "/v1/series/groups", status, **question)


def histogram(step: int) -> Histogram:
    return Histogram(counts=array("d", [step, 1]), edges=array("d", [0, 1, 2]))


async def test_deltas_are_refused_where_since_lacks_a_partition_that_may_have_points(live: Live) -> None:
    authors = [Author(f"run {number}") for number in range(8)]  # in both partitions
    await live.publish([author.start() for author in authors])
    runs = [author.run_id for author in authors]
    since = (await asked(live, "/v1/series/index", runs=runs))["as_of"]
    await live.publish([author.metrics("loss", [0.5, 0.25]) for author in authors])

    whole = await asked(live, "/v1/series/deltas", runs=runs, since=since)
    assert ([one["columns"]["values"] for one in whole["series"]], whole["too_old"]) == ([[0.5, 0.25]] * 8, False)
    for part in since.split(","):
        some = await asked(live, "/v1/series/deltas", runs=runs, since=part)
        assert (some["series"], some["too_old"]) == ([], True)
        assert "since has no offset of partition" in some["reason"]
