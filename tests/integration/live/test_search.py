"""Runs are found by any filter that users type, on a real store."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from schemas import events as ev
from schemas.values import BoolValue, FloatValue, IntValue, JsonValue, StringValue, Typed
from schemas.wire import Envelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START, Author

MODEL = JsonValue(value={"layers": [3, 64], "lr": 1e-3, "name": "vit", "on": True, "gone": None})


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


def trained(
    run_id: str,
    *,
    at: int = 0,
    metrics: dict[str, float] | None = None,
    params: dict[str, Typed] | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[Envelope]:
    """Yield the envelopes of a finished run that started at second `at`."""
    author = Author(run_id, time=START + at * 1_000_000)
    yield author.start(name=f"name of {run_id}", group="sweep")
    if params:
        yield author.envelope(ev.Params(time=author.now(), params=params))
    if tags:
        yield author.envelope(ev.Tags(time=author.now(), tags=tags))
    for name, value in (metrics or {}).items():
        yield author.metrics(name, [9.0, value])
    yield author.finish()


SOME = [
    *trained(
        "a",
        at=1,
        metrics={"loss": 0.1, "val/loss": 0.5},
        params={"lr": FloatValue(value=0.1), "net": StringValue(value="resnet")},
        tags={"team": "x"},
    ),
    *trained(
        "b",
        at=2,
        metrics={"loss": 0.2},
        params={"lr": FloatValue(value=0.01), "net": StringValue(value="vit")},
        tags={"team": "y's"},
    ),
    *trained(
        "c",
        at=3,
        metrics={"loss": math.nan},
        params={"lr": IntValue(value=1), "fast": BoolValue(value=True), "big": JsonValue(value=["x" * 9_000])},
        tags={"team": "z" * 9_000},
    ),
    *trained("d", at=4, metrics={"loss": -math.inf}, params={"lr": StringValue(value="0.1"), "model": MODEL}),
    Author("e", time=START + 5_000_000).start(tag="digits"),
]

FOUND = [
    ("", "edcba"),
    ("metrics.loss < 0.15", "da"),
    ("metrics.loss > 0.15", "b"),  # NaN is not greater than any number
    ("metrics.loss = nan", "c"),
    ("metrics.loss = -inf", "d"),
    ("metrics.loss != 0.1", "dcb"),
    ("metrics.loss is null", "e"),
    ("metrics.loss is not null and not metrics.loss < 0.15", "cb"),
    ("metrics.`val/loss` >= 0.5 or metrics.loss = 0.2", "ba"),
    ("metrics.val/loss >= 0.5", "a"),
    ("params.lr = 0.1", "a"),
    ("params.lr = '0.1'", "da"),
    ("params.lr < 0.1", "b"),
    ("params.lr in (0.01, 1)", "cb"),
    ("params.lr != 0.1", "dcb"),
    ("params.fast = true", "c"),
    ("params.fast = 'True'", "c"),
    ("params.net like 'res%'", "a"),
    ("params.net ilike 'RES%' or params.net = 'vit'", "ba"),
    ("params.net not in ('vit')", "a"),
    ("not params.net = 'vit'", "edca"),
    ("params.model.layers.0 = 3", "d"),
    ("params.model.lr < 0.01", "d"),
    ("params.model/name = 'vit'", "d"),
    ("params.model.name like 'v%'", "d"),
    ("params.model.on = true", "d"),
    ("params.model.name != 'vit'", ""),
    ("params.model.depth = 3", ""),
    ("params.model.name is null", "ecba"),
    ("params.net like 'vi_'", "b"),
    ("params.net like '%net'", "a"),
    ("params.net like 're\\\\_%'", ""),
    ("tags.team like 'z%'", "c"),
    (f"tags.team like '{'z' * 300}%'", "c"),
    ("tags.team = 'x'", "a"),
    ("tags.team = 'y''s'", "b"),
    ("tags.team != 'x'", "cb"),
    (f"tags.team = '{'z' * 9_000}'", "c"),
    ("state = 'finished' and metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x'", "a"),
    ("attributes.status = 'FINISHED'", "dcba"),
    ("status = 'RUNNING'", ""),
    ("state = 'lost'", "e"),
    ("state != 'lost'", "dcba"),
    ("state in ('lost', 'finished') and tag = 'digits'", "e"),
    ("name like 'name of %' and run_id != 'a'", "dcb"),
    ("points >= 4", "a"),
    ("created >= '2023-11-14T22:13:23'", "edc"),
    ("start_time < 1700000002000", "a"),
    ("ended is null", "e"),
    ("group = ''", "e"),
    ("tags.`' or 1=1 --` = 'x'", ""),
    ("tags.team = '$1; drop table runs --'", ""),
    ("metrics.`:limit` > 1", ""),
]

ORDERED = [
    ("metrics.loss", "dabec"),  # runs without a number come last, newest first
    ("metrics.loss desc", "badec"),
    ("params.lr desc", "cabed"),
    ("tags.team", "abced"),
    ("created", "abcde"),
    ("points desc", "abcde"),
    ("ended", "abcde"),
]


async def ids(live: Live, **parameters: object) -> str:
    return "".join(run["run_id"] for run in (await live.json("/v1/runs", **parameters))["runs"])


async def test_each_form_finds_its_runs(live: Live) -> None:
    await live.publish(SOME)

    found = {text: await ids(live, where=text) for text, _ in FOUND}

    assert found == dict(FOUND)


async def test_runs_come_in_the_order_asked_for(live: Live) -> None:
    await live.publish(SOME)

    whole = {text: await ids(live, order_by=text) for text, _ in ORDERED}

    assert whole == dict(ORDERED)


async def test_the_newest_attempt_counts(live: Live) -> None:
    first, second = Author("run", "one"), Author("run", "two", time=START + 9_000_000)

    def attempt(author: Author, number: int, value: float) -> Sequence[Envelope]:
        return [
            author.envelope(ev.RunResumed(time=author.now(), attempt=number)),
            author.envelope(ev.Params(time=author.now(), attempt=number, params={"lr": FloatValue(value=value)})),
            author.metrics("loss", [value], attempt=number),
        ]

    await live.publish([*attempt(first, 1, 0.5), *attempt(second, 2, 0.25)])

    assert await ids(live, where="metrics.loss = 0.25 and params.lr = 0.25") == "run"
    assert await ids(live, where="metrics.loss = 0.5 or params.lr = 0.5") == ""
    assert await ids(live, order_by="metrics.loss") == "run"


async def test_series_of_named_steps_and_with_labels_are_found_by_their_written_name(live: Live) -> None:
    author = Author("run")
    labelled = author.metrics("loss", [0.1])
    series = [one.model_copy(update={"labels": {"rank": "3"}}) for one in labelled.event.series]  # type: ignore[union-attr]  # it is Metrics
    labelled = labelled._replace(event=ev.Metrics(time=author.time, step_name="val", series=series))
    await live.publish([author.start()._replace(seq=1), labelled._replace(seq=0)])

    assert await ids(live, where="metrics.`val/loss{rank=3}` = 0.1") == "run"
    assert await ids(live, where="metrics.`loss{rank=3}` = 0.1") == ""
    assert await ids(live, where="metrics.val/loss = 0.1") == ""


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"where": "metrics.loss <"}, "parameter where: character 15, at the end: expected a number"),
        ({"where": "loss < 3"}, "parameter where: character 1, at 'loss': expected metrics.NAME"),
        ({"order_by": "metrics.loss up"}, "parameter order_by: character 14, at 'up': expected asc, desc or the end"),
        ({"page_token": "x"}, "parameter page_token: it is not a token of this API"),
    ],
)
async def test_a_syntax_error_is_reported_with_its_position(
    live: Live, parameters: dict[str, object], message: str
) -> None:
    answer = await live.get("/v1/runs", **parameters)

    assert answer.status_code == 422
    assert answer.json()["error"].startswith(message)
    assert answer.json()["next"]
