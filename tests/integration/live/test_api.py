"""The query API on a real log and a real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from jsonschema import Draft202012Validator

from consumers.live.stream.positions import parse_positions
from schemas.wire import encode
from tests.support.live_server import Live, fold, serving, settings_for, training, until
from tests.support.log_author import Author, write_records
from tests.support.tcp_proxy import proxy_to


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


async def test_a_server_without_runs_is_healthy_and_lists_none(live: Live) -> None:
    assert await live.json("/healthz") == {"status": "ok"}
    assert await live.json("/v1/runs") == {"runs": [], "next_page_token": None, "as_of": "0:0,1:0"}


async def test_runs_are_listed_newest_first_and_filtered(live: Live) -> None:
    first, second = Author("first"), Author("second")
    second.time += 1_000_000
    await live.publish([*training("old", group="sweep"), first.start(group="sweep"), second.start()])

    async def ids(**parameters: object) -> list[str]:
        return [run["run_id"] for run in (await live.json("/v1/runs", **parameters))["runs"]]

    assert (await ids())[0] == "second"
    assert sorted(await ids()) == ["first", "old", "second"]
    assert sorted(await ids(group="sweep")) == ["first", "old"]
    assert await ids(status="finished") == ["old"]
    assert await ids(limit=1) == ["second"]
    assert await ids(group="' OR 1=1 --") == []


async def test_a_summary_has_what_a_list_shows(live: Live) -> None:
    await live.publish(training("one", values=(0.5, 0.25)))

    (run,) = (await live.json("/v1/runs"))["runs"]

    assert (run["state"], run["points"], run["last"], run["tag"]) == ("finished", 2, {"loss": 0.25}, "digits")
    assert run["params"] == {"lr": 0.1, "net": {"layers": [64, 32]}, "o": "adam"}


async def test_a_run_log_fits_its_published_schema(live: Live) -> None:
    await live.publish(training("one"))

    schema = await live.json("/v1/schemas/run-log")
    document = await live.json("/v1/runs/one/log")

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    assert document["status"] == "SUCCESS"
    assert document["steps"]["main"]["user_defined_metrics"] == {"loss": {"0": 0.5, "1": "NaN", "2": "-Infinity"}}


async def test_series_hold_every_value_and_the_position_where_the_stream_continues(live: Live) -> None:
    await live.publish(training("one"))

    page = await live.json("/v1/runs/one/series")

    (series,) = page["series"]
    assert [value for _, _, value in series["points"]] == [0.5, "NaN", "-Infinity"]
    assert (series["series"], series["count"], page["as_of"]["offset"]) == ("loss", 3, 4)


async def test_series_are_chosen_by_written_name_and_shrunk_without_losing_a_spike(live: Live) -> None:
    values = [0.1] * 5_000
    values[1_234] = 99.0
    author = Author("one")
    await live.publish([author.start(), author.metrics("loss", values), author.metrics("other", [1.0])])

    page = await live.json("/v1/runs/one/series", name="loss", buckets=10)

    (series,) = page["series"]
    assert len(series["points"]) <= 50
    assert [1_234, 99.0] in [[step, value] for step, _, value in series["points"]]
    assert (await live.json("/v1/runs/one/series", name="no such"))["series"] == []


async def test_as_of_follows_the_log_past_what_other_runs_wrote(live: Live) -> None:
    await live.publish(training("one"))
    before = (await live.json("/v1/runs/one/series"))["as_of"]
    others = [Author(f"other-{number}").start() for number in range(40)]
    await live.publish(others)

    after = (await live.json("/v1/runs/one/series"))["as_of"]

    assert after["partition"] == before["partition"]
    assert after["offset"] > before["offset"]


async def test_answers_say_how_far_the_log_is_folded(live: Live) -> None:
    await live.publish(training("one"))
    page = await live.json("/v1/runs/one/series")

    for path in ("/v1/runs", "/v1/runs/one/log"):
        folded = parse_positions((await live.get(path)).headers["x-folded"])
        assert folded[page["as_of"]["partition"]] == 4


async def test_a_run_log_is_shortened_on_request_and_says_so(live: Live) -> None:
    await live.publish(training("one", values=(1.0, 2.0, 3.0)))

    log = await live.json("/v1/runs/one/log", max_points=2)

    assert log["steps"]["main"]["user_defined_metrics"] == {"loss": {"1": 2.0, "2": 3.0}}
    assert log["shortened"] == {"loss": 3}


async def test_status_says_how_far_the_materialiser_is(live: Live) -> None:
    await live.publish(training("one"))
    await live.publish_unfolded([Author("one", "p2").start()])

    status = await live.json("/v1/status")

    assert sum(one["offset"] for one in status["lag"]) == 4
    assert sum(one["lag"] for one in status["lag"]) == 1
    assert (status["dead_letters"], status["deliveries"], status["problems"]) == (0, [], [])


async def test_status_names_a_file_of_tokens_that_is_damaged(live: Live) -> None:
    path = live.settings.tokens_path
    path.write_text("{")
    path.chmod(0o600)

    async def is_named() -> bool:
        problems = (await live.json("/v1/status"))["problems"]
        return any(f"{path} is damaged" in one and "stay in force" in one for one in problems)

    await until(is_named, "the status names the file")


async def test_status_counts_parked_records_and_names_the_newest(live: Live) -> None:
    good = encode(Author("one").start())
    await write_records(live.settings.kafka, live.settings.topic, [good._replace(value=b"no event")])
    await fold(live.settings)

    status = await live.json("/v1/status")

    newest = status["newest_dead_letter"]
    assert status["dead_letters"] == 1
    assert newest["id"].startswith(f"{live.settings.topic}:")
    assert (newest["run"], newest["kind"], newest["reason"][:21]) == ("one", "NotAnEvent", "the value is not JSON")


async def test_a_locked_table_leaves_out_its_part_of_the_status_and_nothing_else(live: Live, database: str) -> None:
    await live.publish(training("one"))
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE deliveries")
            status = await live.json("/v1/status")
    finally:
        await other.close()

    assert [one["lag"] for one in status["lag"]] == [0, 0]
    assert (status["deliveries"], status["dead_letters"]) == ([], 0)
    (problem,) = status["problems"]
    assert problem.startswith("the state of the trackers: ")


async def test_answers_are_protected_and_compressed(live: Live) -> None:
    await live.publish([envelope for number in range(30) for envelope in training(f"run-{number}")])

    answer = await live.get("/v1/runs")

    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["runs"]) == 30


async def test_a_store_that_goes_away_is_reported_and_comes_back_by_itself(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    port = urlsplit(database).port
    assert port is not None
    with proxy_to(port) as line:
        through = database.replace(f":{port}/", f":{line.port}/")
        async with serving(settings_for(kafka, topic, through, tmp_path)) as live:
            await live.publish(training("one"))
            await live.json("/v1/runs/one/log")
            line.cut()

            for path in ["/v1/runs", "/v1/runs/one/log", "/v1/runs/one/series", "/v1/status"]:
                answer = await live.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
                assert "PostgreSQL at" in answer.json()["error"]
                assert database.split("@", maxsplit=1)[0] not in answer.text
            health = await live.get("/healthz")
            assert (health.status_code, list(health.json()["missing"])) == (503, ["postgres"])

            line.heal()
            assert (await live.json("/v1/runs/one/log"))["run_id"] == "one"
            assert await live.json("/healthz") == {"status": "ok"}


async def test_before_anything_is_reached_health_says_what_is_missing(tmp_path: Path) -> None:
    nowhere = settings_for("127.0.0.1:9", "t", "postgresql://u:p@127.0.0.1:9/x", tmp_path)
    async with serving(nowhere, ready=False) as live:
        health = await live.get("/healthz")
        assert (health.status_code, sorted(health.json()["missing"])) == (503, ["kafka", "postgres"])
        for path in ["/v1/runs", "/v1/stream", "/v1/stream?since=0:0"]:
            answer = await live.get(path)
            assert answer.status_code == 503, answer.text
            assert json.loads(answer.text)["next"]


async def test_a_store_without_tables_is_waited_for(
    kafka: str, topic: str, empty_database: str, tmp_path: Path
) -> None:
    async with serving(settings_for(kafka, topic, empty_database, tmp_path), ready=False) as live:
        health = await live.get("/healthz")
        answer = await live.get("/v1/runs")

    assert (health.status_code, answer.status_code) == (503, 503)
