"""Tokens that are limited to experiments: what they see at the API, and what they may write at ingest and the door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from consumers.live.api.access.needs import TABLE
from consumers.live.api.routes import routes
from consumers.store.limited import PARTS
from consumers.store.pool import open_database
from consumers.store.statements import sql
from gateway.server.app import create_app as create_ingest
from gateway.server.mlflow.app import create_app as create_door
from schemas import events as ev
from schemas.runtime.access.guard import NOBODY
from schemas.runtime.access.sessions import COOKIE, Sessions
from schemas.runtime.access.token_file import TokenFile
from schemas.runtime.access.tokens import create_token, revoke_token
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope, encode
from tests.support.live_server import Live, fold, folding, serving, settings_for, stream, training, until
from tests.support.log_author import START, Author, write_records

MINE, OTHER = "digits run", "verses run"
# Questions that have a body, which name both runs.
BOTH: dict[str, Any] = {"runs": [MINE, OTHER]}
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/runs/documents": {"run_ids": [MINE, OTHER]},
    "POST /v1/runs/table": {"where": "", "columns": [["fact", "name"]]},
    "POST /v1/runs/columns": {},
    "POST /v1/runs/values": {"key": ["fact", "tag"]},
    "POST /v1/metric-definitions": BOTH,
    "POST /v1/series": BOTH | {"names": ["loss", "secret"]},
    "POST /v1/series/index": BOTH,
    "POST /v1/series/deltas": BOTH | {"since": "0:0,1:0"},
    "POST /v1/series/groups": BOTH | {"group_by": [["fact", "tag"]], "names": ["loss", "secret"]},
}
QUERIES: dict[str, Any] = {
    "GET /v1/run-labels": {"experiment_id": ["7", "8", ""], "prefix": "l", "path": ["$"]},
    "GET /v1/points": {"run_id": [MINE, OTHER], "name": ["loss", "secret"]},
    "GET /v1/points/sample": {"run_id": [MINE, OTHER], "name": ["loss", "secret"]},
    "GET /v1/export/points": {"run_id": [MINE], "format": "csv"},
    "GET /v1/runs": {"order_by": "metrics.loss desc", "where": "params.lr > 0 or tag like '%'"},
}
OF_RUN: dict[str, Any] = {"history": {"name": "loss"}, "artifacts/content": {"path": "x"}}
SECRETS = (OTHER, "verses", "secret")


def created(experiment_id: str, name: str) -> RegistryEnvelope:
    event = ev.ExperimentCreated(time=START, name=name)
    return RegistryEnvelope(Subject("experiments", experiment_id), ProducerId(f"p{experiment_id}"), 0, START, event)


def other_run(run_id: str) -> list[Envelope]:
    author = Author(run_id)
    return [author.start(name="of verses", experiment_id="8"), author.metrics("secret", [1.0]), author.finish()]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        await running.publish([created("7", "digits"), created("8", "verses"), *training(MINE), *other_run(OTHER)])
        text = create_token(tmp_path / "tokens.json", "anna", ["emit", "read", "write"], experiments=["digits"])[1]
        running.http.headers["Authorization"] = f"Bearer {text}"

        async def is_known() -> bool:
            return bool((await running.get("/v1/me")).json().get("name") == "anna")  # 401 until then

        await until(is_known, "the token is in force")
        yield running


async def test_no_answer_about_runs_has_those_of_other_experiments(live: Live) -> None:
    served = {(method, one.path) for one in routes().routes for method in one.methods}  # type: ignore[attr-defined]
    rows = [row for row, need in TABLE.items() if need.limited and "read" in need.scopes]
    rows = [row for row in rows if tuple(row.split(" ", 1)) in served]
    by_id = ("POST /v1/runs/diff", "POST /v1/runs/divergence")
    parked = encode(Author(OTHER, "broken").start())._replace(value=b"no event")
    await write_records(live.settings.kafka, live.settings.topic, [parked])
    await fold(live.settings)
    lists = [row for row in rows if "{" not in row and "/stream" not in row and row not in by_id]
    for row in lists:
        method, _, path = row.partition(" ")
        answer = await live.http.request(method, path, params=QUERIES.get(row), json=BODIES.get(row))

        if answer.status_code == 404 and "runs" in BODIES.get(row, {}):  # it names a run that is unknown to this token
            assert OTHER in answer.json()["error"], row
            answer = await live.http.request(method, path, json=BODIES[row] | {"runs": [MINE]})
        assert answer.status_code < 500, (row, answer.text)
        assert answer.status_code == 200 or (row not in BODIES and row not in QUERIES), (row, answer.text)
        assert [one for one in SECRETS if one in answer.text] == [], row
    assert [run["run_id"] for run in (await live.json("/v1/runs"))["runs"]] == [MINE]


async def test_no_filter_and_no_order_tells_of_other_experiments(live: Live) -> None:
    wheres = (
        "experiment = 'verses'",
        "experiment_id != '7'",
        "name = 'of verses'",
        "metrics.secret > 0",
        "tag != 'digits'",
    )
    keys = (["fact", "experiment"], ["fact", "name"], ["metric", "secret"])
    for where, key in [(where, key) for where in wheres for key in keys]:
        order = [{"key": key, "descending": True}]
        asked = {"where": where, "order_by": order}
        found = await live.http.post("/v1/runs/documents", json=asked)
        every = await live.http.post("/v1/runs/documents", json={"order_by": order})

        assert (found.status_code, found.json()["runs"]) == (200, [])
        assert [one["run_id"] for one in every.json()["runs"]] == [MINE]


async def test_a_run_of_another_experiment_is_unknown(live: Live) -> None:
    served = {(method, one.path) for one in routes().routes for method in one.methods}  # type: ignore[attr-defined]
    for row, need in TABLE.items():
        if "{run_id:run}" not in row or tuple(row.split(" ", 1)) not in served or "read" not in need.scopes:
            continue
        ending = row.partition("{run_id:run}/")[2]
        if ending != "received":  # numbers of a producer, whose name must be known
            asked = OF_RUN.get(ending)
            answers = [await live.get(f"/v1/runs/{run}/{ending}", **(asked or {})) for run in (MINE, OTHER, "none")]

            codes = [one.status_code for one in answers]
            assert codes[1:] == [404, 404], (row, codes)
            assert codes[0] == (404 if ending == "artifacts/content" else 200), (row, answers[0].text)
            assert answers[1].text.replace(OTHER, "none") == answers[2].text
    assert (await live.http.post("/v1/runs/diff", json=BOTH)).status_code == 404
    assert (await live.http.post("/v1/runs/divergence", json={"a": MINE, "b": OTHER})).status_code == 404
    assert (await live.http.post(f"/v1/runs/{OTHER}/edits", json={"tags": {"a": "b"}})).status_code == 404
    assert (await live.http.post(f"/v1/runs/{MINE}/edits", json={"tags": {"a": "b"}})).status_code == 200


async def test_a_stream_has_only_runs_of_its_experiments(live: Live) -> None:
    async with stream(
        live, since=",".join(f"{part}:0" for part in live.server.connections.tail.positions), points="last"
    ) as frames:
        first = await frames.next()
        assert first["run_id"] == MINE
        author = Author("new verses")
        await live.publish([author.start(tag="verses"), author.finish(), *training("new digits")])
        seen = {event["run_id"] for event in await frames.take(7)}

        assert seen <= {MINE, "new digits"}
        assert "new digits" in seen


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/stream/series", "/v1/stream/runs"])
async def test_a_stream_of_a_revoked_token_has_nothing_more(live: Live, path: str) -> None:
    asked = {"run_id": MINE} if path.endswith("series") else {}
    async with live.http.stream("GET", path, params=asked) as answer:
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(("retry", "id"))
        revoke_token(live.settings.tokens_path, "anna")
        await until(lambda: is_refused(live), "the token is refused")
        await live.publish([Author(MINE, "later").metrics("loss", [0.25])])
        rest = [line async for line in lines]

        assert [line for line in rest if MINE in line] == []


async def is_refused(live: Live) -> bool:
    return (await live.get("/v1/me")).status_code == 401


async def test_each_table_with_rows_of_runs_is_limited(live: Live) -> None:
    database = await open_database(live.settings.postgres.get_secret_value())
    try:
        async with database.acquire() as connection:
            tables = {row["relname"] for row in await connection.fetch(sql("tables_of_runs"))}
    finally:
        await database.close()

    assert tables == {*PARTS, "runs"}


@asynccontextmanager
async def running(app: FastAPI, live: Live) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=live.http.headers) as http,
    ):

        async def is_connected() -> bool:
            return not app.state.writer.problem

        await until(is_connected, "the log is reached")
        async with folding(live.settings):
            yield http


def body_of(envelopes: list[Envelope]) -> dict[str, Any]:
    records = [encode(one) for one in envelopes]
    texts = [
        {
            "key": one.key.decode(),
            "headers": {name: value.decode() for name, value in one.headers},
            "value": one.value.decode(),
        }
        for one in records
    ]
    return {"records": texts}


async def test_ingest_takes_events_about_runs_of_its_experiments_only(live: Live) -> None:
    mine, theirs, moved, nowhere = (Author(f"run {number}", "p") for number in range(4))
    taken = [Author(OTHER, "q").start(tag="digits")]  # of a run that is there, in another experiment
    move = ev.Moved(time=START, experiment_id="8")
    async with running(create_ingest(live.settings), live) as http:

        async def codes(*bodies: list[Envelope]) -> list[int]:
            return [(await http.post("/v1/events", json=body_of(one))).status_code for one in bodies]

        assert await codes([mine.start(tag="digits"), mine.metrics("loss", [1.0])]) == [200]
        assert await codes([mine.metrics("loss", [0.5])], [mine.envelope(move)]) == [200, 403]
        assert await codes([theirs.start(tag="verses")], [moved.start(experiment_id="8")], taken) == [403, 403, 403]
        told = [await http.post("/v1/events", json=body_of([Author(run, "q").metrics("loss", [1.0])]))
                for run in (OTHER, "nowhere run")]  # fmt: skip
        assert [one.status_code for one in told] == [403, 403]
        assert told[0].text.replace(OTHER, "nowhere run") == told[1].text
        assert await codes([nowhere.metrics("loss", [1.0])], [Author(MINE, "q").metrics("loss", [2.0])]) == [403, 200]
        assert await codes([Author("run 0", "q").metrics("loss", [0.1])]) == [200]


async def is_allowed(http: httpx.AsyncClient) -> bool:
    return (await http.get("/api/2.0/mlflow/runs/get", params={"run_id": OTHER})).status_code == 200


async def test_the_door_is_limited_as_well(live: Live) -> None:
    base = "/api/2.0/mlflow"
    async with running(create_door(live.settings), live) as http:

        async def code(method: str, path: str, **asked: Any) -> int:
            is_post = method == "POST"
            answer = await http.request(
                method, base + path, json=asked if is_post else None, params=None if is_post else asked
            )
            assert answer.status_code < 500, answer.text
            return answer.status_code

        assert await code("GET", "/runs/get", run_id=MINE) == 200
        assert await code("GET", "/runs/get", run_id=OTHER) == 404
        assert await code("POST", "/runs/set-tag", run_id=MINE, key="a", value="b") == 200
        assert await code("POST", "/runs/set-tag", run_id=OTHER, key="a", value="b") == 404
        limited = http.headers["Authorization"]
        everyone = create_token(live.settings.tokens_path, "all", ["emit", "read"])[1]
        http.headers["Authorization"] = f"Bearer {everyone}"
        await until(lambda: is_allowed(http), "the token is in force")
        assert await code("POST", "/runs/set-tag", run_id=OTHER, key="a", value="b") == 200
        assert await code("POST", "/runs/create", experiment_id="8") == 200
        http.headers["Authorization"] = limited  # now the door remembers the run and the experiment
        assert await code("POST", "/runs/create", experiment_id="8") == 404
        assert await code("POST", "/runs/set-tag", run_id=OTHER, key="a", value="c") == 404
        assert await code("POST", "/runs/log-metric", run_id=OTHER, key="loss", value=1.0, timestamp=1, step=1) == 404
        assert await code("POST", "/runs/create", experiment_id="7") == 200
        assert await code("POST", "/runs/create", experiment_id="8") == 404
        assert await code("POST", "/experiments/create", name="other") == 403
        assert await code("POST", "/experiments/delete", experiment_id="7") == 403
        assert await code("GET", "/registered-models/search") == 403
        found = await http.post(f"{base}/runs/search", json={"experiment_ids": ["7", "8"]})
        assert [one for one in SECRETS if one in found.text] == []
        token = http.headers.pop("Authorization").split()[1]
        tokens = TokenFile(live.settings.tokens_path)
        session = Sessions(tokens).begin(tokens.find(token)[0] or NOBODY)  # who holds a token can make one
        cookie = {"Cookie": f"{COOKIE}={session.cookie if session else ''}"}
        refused = await http.get(f"{base}/runs/get", params={"run_id": OTHER}, headers=cookie)
        assert (refused.status_code, OTHER in refused.text) == (403, False)
        http.headers["Authorization"] = f"Bearer {token}"
        listed = await http.post(f"{base}/experiments/search", json={"max_results": 10})
        assert [one["name"] for one in listed.json()["experiments"]] == ["digits"]
