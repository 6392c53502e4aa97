"""Streams of topics on a real log and store: complete, coalesced, resumable and limited."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumers.live.api import connections
from consumers.live.api.streams.questions import RunsTopic
from consumers.live.feeds.alerts import AlertChanges, AlertsFeed
from consumers.live.feeds.feed import Begin
from consumers.live.feeds.runs import RunsFeed, RunsQuestion
from consumers.live.stream.positions import parse_positions
from consumers.store.alerts.firings import AlertChange
from consumers.store.alerts.states import AlertStates, Batch, FiringRow, Resolution
from consumers.store.pool import Database, open_database
from consumers.store.read.reader import StoreReader
from schemas import events as ev
from schemas.runtime.access.tokens import create_token
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope
from tests.support.live_server import Live, fold, serving, settings_for, until
from tests.support.log_author import START, Author, write
from tests.support.topic_streams import follow, steps_of, take_steps


async def test_every_topic_tells_what_happens(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        await check_runs_that_begin_and_cease_to_match(live)
        await check_names(live)
        await check_what_makes_points_wrong(live)
        await check_saved_items_and_alerts(live)
        await check_deltas(live)
        await check_wrong_questions(live)
        await check_limited_tokens(live)


async def check_runs_that_begin_and_cease_to_match(live: Live) -> None:
    author, other = Author("runs 1"), Author("runs 2")
    where = "metrics.loss < 0.5"
    async with (
        follow(live.http, "/v1/stream/runs", where=where) as events,
        follow(
            live.http, "/v1/stream/runs", filter='{"key": ["fact", "state"], "op": "in", "values": ["finished"]}'
        ) as finished,
    ):
        await live.publish([author.start(), author.metrics("loss", [1.0]), other.start()])
        first = await events.named("runs")
        assert (first["changed"], sorted(first["gone"])) == ([], ["runs 1", "runs 2"])
        await live.publish([author.metrics("loss", [0.25], first_step=1), other.metrics("loss", [2.0])])
        begun = await events.named("runs")
        assert (begun["changed"], begun["gone"]) == (["runs 1"], [])
        table = {"where": where, "columns": [], "min_offsets": begun["as_of"]}
        assert (await live.http.post("/v1/runs/table", json=table)).json()["run_ids"] == ["runs 1"]
        position = events.position
        await live.publish([author.metrics("loss", [0.75], first_step=2), other.finish()])
        ceased = await events.named("runs")
        assert (ceased["changed"], ceased["gone"]) == ([], ["runs 1"])
        told = [await finished.named("runs")]
        while "runs 2" not in told[-1]["changed"]:
            told.append(await finished.named("runs"))
        assert told[-1]["gone"] == []
    async with follow(live.http, "/v1/stream/runs", at=position, where=where) as events:
        assert sorted((await events.named("runs"))["gone"]) == ["runs 1", "runs 2"]


async def check_names(live: Live) -> None:
    author = Author("names")
    questions: list[dict[str, Any]] = [
        {"name": ["train/loss"]},
        {"match_prefix": "val/"},
        {"match_regex": "^(val|train)/loss$"},
        {"match_words": "ACC val"},
        {},
    ]
    wanted = [{"train/loss"}, {"val/loss", "val/acc"}, {"val/loss", "train/loss"}, {"val/acc"}]
    names = ["train/loss", "val/loss", "val/acc"]
    streams = [follow(live.http, "/v1/stream/series", run_id=["names", "x"], **one) for one in questions]
    async with streams[0] as a, streams[1] as b, streams[2] as c, streams[3] as d, streams[4] as e:
        await live.publish_unfolded([author.start(), *(author.metrics(name, [float("nan")]) for name in names)])
        for events, expected in zip((a, b, c, d, e), [*wanted, set(names)], strict=True):
            found: set[str] = set()
            while found != expected:
                data = await events.named("series")
                assert {row["columns"]["values"][0] for row in data["series"]} == {"NaN"}
                assert {row["run_id"] for row in data["series"]} == {"names"}
                found |= {row["series"] for row in data["series"]}
                assert found <= expected


async def check_what_makes_points_wrong(live: Live) -> None:
    author = Author("again")
    await live.publish([author.start(), author.metrics("loss", [1.0, 2.0])])
    async with follow(live.http, "/v1/stream/series", run_id="again", since="0:0,1:0") as events:
        assert steps_of(await events.named("series")) == [0, 1]
        twice = author.metrics("loss", [3.0], first_step=2)
        await live.publish_unfolded([twice, twice, author.metrics("loss", [4.0], first_step=3)])
        assert await take_steps(events, 3) == [2, 3]
        await live.publish_unfolded(
            [author.envelope(ev.Renamed(time=author.now(), what="series", old="loss", new="x"))]
        )
        assert (await events.named("reread"))["run_ids"] == ["again"]
        await live.publish_unfolded([author.metrics("loss", [5.0], attempt=2)])
        assert (await events.named("reread"))["run_ids"] == ["again"]
        assert (await events.named("series"))["series"][0]["attempt"] == 2


async def check_saved_items_and_alerts(live: Live) -> None:
    body = {"saved": {}, "alerts": {"rule_id": "mine"}}
    async with follow(live.http, "/v1/stream", body=body) as events:
        first = events.position
        await live.publish([saved_view("one", 1), saved_view("two", 1)])
        told = [await events.named("saved") for _ in range(2)]
        assert {(one["collection"], one["id"], one["version"], one["state"]) for one in told} == {
            ("views", "one", 1, "active"), ("views", "two", 1, "active"),
        }  # fmt: skip
        dsn = live.settings.postgres.get_secret_value()
        database = await open_database(dsn)
        states = AlertStates(database, live.settings.topic)
        firing, other = fired("mine"), fired("other")
        await states.commit(Batch({}, (), (), (firing, other), ()))
        alert = await events.named("alert")
        assert (alert["alert_id"], alert["state"]) == (str(firing.alert_id), "firing")
        position = events.position
        await states.commit(Batch({}, (), (), (Resolution(firing.alert_id, START + 1, "over"),), ()))
        assert (await events.named("alert"))["state"] == "resolved"
        await database.close()
    for at, expected in ((position, ["alert"]), (first, ["alert", "saved", "saved"])):
        async with follow(live.http, "/v1/stream", at=at, body=body) as events:
            assert sorted([(await events.next())[0] for _ in expected]) == expected


def saved_view(item_id: str, version: int) -> RegistryEnvelope:
    event = ev.ViewSaved(time=START, name=item_id, type="table", body={}, author="", based_on=version - 1)
    return RegistryEnvelope(Subject("views", item_id), ProducerId(f"saves {item_id} {version}"), 0, START, event)


def fired(rule_id: str) -> FiringRow:
    return FiringRow(uuid.uuid4(), rule_id, 1, rule_id, "warning", ("log",), "run", "loss", START, 1, 0.5, "it fired")


async def check_deltas(live: Live) -> None:
    author = Author("deltas")

    async def ask(since: str, **more: Any) -> Any:
        question = {"runs": ["deltas"], "since": since, "min_offsets": "end", **more}
        answer = await live.http.post("/v1/series/deltas", json=question)
        assert answer.status_code == 200, answer.text
        return answer.json()

    await live.publish([author.start(), author.metrics("loss", [1.0]), author.metrics("val/loss", [2.0])])
    index = (await live.http.post("/v1/series/index", json={"runs": ["deltas"]})).json()
    assert (await ask(index["as_of"]))["series"] == []
    await live.publish([author.metrics("loss", [3.0, float("inf")], first_step=1), author.metrics("val/loss", [4.0])])
    found = await ask(index["as_of"])
    assert [(row["series"], row["columns"]["steps"], row["columns"]["values"]) for row in found["series"]] == [
        ("loss", [1, 2], [3.0, "Infinity"]), ("val/loss", [0], [4.0]),
    ]  # fmt: skip
    assert (found["too_old"], found["as_of"]) == (False, (await ask(found["as_of"]))["as_of"])
    for some in ({"names": ["loss"]}, {"match": {"regex": "^loss"}}):
        assert {row["series"] for row in (await ask(index["as_of"], **some))["series"]} == {"loss"}
    await live.publish([author.envelope(ev.Deleted(time=author.now(), what="series", name="loss"))])
    edited = await ask(index["as_of"])
    assert (edited["too_old"], edited["series"]) == (True, [])
    assert "deleted" in edited["reason"]
    twice = author.metrics("loss", [5.0])
    await live.publish([twice, twice])
    assert "twice" in (await ask(edited["as_of"]))["reason"]


async def check_wrong_questions(live: Live) -> None:
    for path, said in {
        "runs?where=metrics.loss%20%3C": "where",
        "runs?filter=%7B": "filter",
        "runs?stage=x": "stage",
        "series": "series.runs",
        "series?run_id=a&match_regex=(": "match.regex",
        "series?run_id=a&since=x": "since",
        "series?run_id=a&since=9:1": "since",
        "series?run_id=a&since=runs%3D0:1;runs%3D0:1": "since",
        "saved?collection=x": "saved.collections",
        "alerts?run_id=%00": "alerts.run_id",
    }.items():
        answer = await live.get(f"/v1/stream/{path}")
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), (path, answer.text)
    wrong = await live.get("/v1/stream/runs?where=metrics.loss%20%3C")
    assert wrong.json()["position"] == 14
    wrong_bodies: list[dict[str, Any]] = [
        {},
        {"runs": {"x": 1}},
        {"series": {"runs": []}},
        {"series": {"runs": ["a"], "match": {"regex": "("}}},
    ]
    for body in wrong_bodies:
        assert (await live.http.post("/v1/stream", json=body)).status_code == 400, body
    for since in ("x", "9:1", ""):
        question = {"runs": ["deltas"], "since": since}
        assert (await live.http.post("/v1/series/deltas", json=question)).status_code == 400, since
    async with follow(live.http, "/v1/stream/series", run_id="a", since="0:1000000") as events:
        assert "ends at offset" in (await events.named("reset"))["reason"]


async def check_limited_tokens(live: Live) -> None:
    experiment = RegistryEnvelope(
        Subject("experiments", "7"), ProducerId("creates"), 0, START, ev.ExperimentCreated(time=START, name="digits")
    )
    await live.publish([experiment])
    text = create_token(live.settings.tokens_path, "anna", ["read"], experiments=["digits"])[1]
    mine, other = Author("of digits"), Author("of verses")
    async with httpx.AsyncClient(base_url=live.url, headers={"Authorization": f"Bearer {text}"}, timeout=60) as http:
        await until(lambda: is_anna(http), "the token is in force")
        assert (await http.get("/v1/stream/alerts")).status_code == 403
        assert (await http.post("/v1/stream", json={"saved": {}})).status_code == 403
        body = {"runs": {}, "series": {"runs": ["of digits", "of verses"]}, "saved": {"collections": ["views"]}}
        async with follow(http, "/v1/stream", body=body) as events:
            await live.publish([other.start(tag="verses"), other.metrics("loss", [1.0])])
            await live.publish([mine.start(experiment_id="7"), mine.metrics("loss", [2.0])])
            told: dict[str, Any] = {}
            while told.keys() != {"runs", "series"}:
                name, data = await events.next()
                assert "verses" not in json.dumps(data)
                told[name] = data
        assert told["runs"]["changed"] == ["of digits"]
        assert {row["run_id"] for row in told["series"]["series"]} == {"of digits"}


async def is_anna(http: httpx.AsyncClient) -> bool:
    return bool((await http.get("/v1/me")).json().get("name") == "anna")


async def test_a_position_moves_past_what_was_missed_only_when_that_was_told(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    missed, other = Author("missed"), Author("other")
    await write(kafka, topic, [missed.start()])
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:  # what is older is not in its memory
        now = live.server.connections
        await until(lambda: is_connected(live), "the tail reads the log")
        feed = RunsFeed(RunsTopic().wanted(), None, now.changes, now.store, Begin(parse_positions("0:0,1:0")))
        begun = feed.token
        async for events in feed.catch_up():
            assert not events
        await live.publish([other.start()])
        while not (told := await feed.take()):
            assert feed.token == begun
            await asyncio.sleep(0.01)
        feed.close()

    assert "missed" in json.loads(told[0].data)["changed"]


async def is_connected(live: Live) -> bool:
    return bool(live.server.connections.tail.positions)


async def test_streams_do_not_wait_for_records_that_only_a_former_log_had(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_WAIT_S", 0.1)
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        now = live.server.connections
        await until(lambda: is_connected(live), "the tail reads the log")
        async with follow(live.http, "/v1/stream/runs") as events:
            now.tail.positions[0] += 1_000_000
            now.tail.recent.changed.set()
            await until(lambda: is_looking(live), "the stream waits for these records")
            now.tail.positions[0] -= 1_000_000  # the log was deleted, and created again
            await live.publish([Author("after").start()])
            assert (await events.named("runs"))["changed"] == ["after"]


async def test_a_question_that_breaks_ends_its_own_streams_only(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, asked = RunsQuestion.find, list[RunsQuestion]()

    async def first_breaks(self: RunsQuestion, *values: Any) -> dict[Any, Any]:
        asked.append(self)
        if self is asked[0]:
            raise ZeroDivisionError("no such luck")
        return await find(self, *values)

    monkeypatch.setattr(RunsQuestion, "find", first_breaks)
    async with (
        serving(settings_for(kafka, topic, database, tmp_path)) as live,
        follow(live.http, "/v1/stream/runs", where="run_id = 'one'") as first,
        follow(live.http, "/v1/stream/runs") as second,
    ):
        await live.publish([Author("one").start()])
        told = [await first.next(), await second.next()]
        assert sorted(name for name, _ in told) == ["dropped", "runs"]
        assert {"reason": "unexpected ZeroDivisionError: see the log of the API"} in [data for _, data in told]


async def test_runs_that_are_not_folded_when_a_stream_begins_are_told_once_they_are(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        await live.publish([Author("before").start()])
        await live.publish_unfolded([Author("one").start(), Author("two").start()])
        await until(lambda: has_read(live, 3), "the tail reads them")
        async with follow(live.http, "/v1/stream/runs") as events:
            await fold(live.settings)
            told = set[str]()
            while told != {"one", "two"}:
                told |= set((await events.named("runs"))["changed"])


async def has_read(live: Live, records: int) -> bool:
    return sum(live.server.connections.tail.positions.values()) == records


async def is_looking(live: Live) -> bool:
    return not live.server.connections.tail.recent.changed.is_set()


class SlowChanges(AlertChanges):
    """Asks, while `goes_on` is set."""

    def __init__(self, database: Database) -> None:
        super().__init__(lambda: StoreReader(database))
        self.goes_on, self.is_asking = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def after(self, number: int) -> list[AlertChange]:
        self.is_asking.set()
        await self.goes_on.wait()
        return await super().after(number)


async def test_a_reader_that_joins_while_alerts_are_asked_for_has_those_before(database: str) -> None:
    db = await open_database(database)
    changes = SlowChanges(db)

    async def fire(rule_id: str) -> None:
        await AlertStates(db, "topic").commit(Batch({}, (), (), [fired(rule_id)], ()))

    try:
        known, late = (AlertsFeed(changes, 0, None, None) for _ in range(2))
        await fire("one")
        changes.join(known)
        await told_of(known, ["one"])
        changes.goes_on.clear()
        changes.is_asking.clear()
        await changes.is_asking.wait()  # for what follows the first alert
        changes.join(late)
        await fire("two")
        changes.goes_on.set()
        await told_of(late, ["one", "two"])
    finally:
        changes.close()
        await db.close()


async def told_of(feed: AlertsFeed, rules: list[str]) -> None:
    """Take alerts until those of these rules have come."""
    told: list[str] = []

    async def is_told() -> bool:
        told.extend(json.loads(one.data)["rule_id"] for one in await feed.take())
        return len(told) >= len(rules)

    await until(is_told, f"the reader has the alerts of {rules}")
    assert told == rules
