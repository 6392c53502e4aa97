"""Requests of every kind, good and bad, to one running API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.support import services
from tests.support.live_server import Live, serving, settings_for, training

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = [
    "plain",
    "hooks/train/7",
    "a/log",
    "log",
    "a/series/log",
    "/leading",
    "trailing/",
    "two words",
    "ü☃🏔",
    "50%2F50",
    "line\nbreak",
    "?q=1#f",
    "'; DROP TABLE runs; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "x" * 256,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(kafka: str, postgres_server: str, session_folder: Path) -> AsyncIterator[Live]:
    """One server for all tests of this file: each uses a run of its own."""
    await services.create_topic(kafka, "live-requests", partitions=2)
    database = await services.create_database(postgres_server)
    async with serving(settings_for(kafka, "live-requests", database, session_folder)) as running:
        yield running
    await services.drop_database(postgres_server, database)


@pytest.mark.parametrize("run_id", IDS)
async def test_any_run_id_can_be_asked_for(shared: Live, run_id: str) -> None:
    await shared.publish(training(run_id))

    path = f"/v1/runs/{quote(run_id, safe='')}"

    assert (await shared.json(f"{path}/log"))["run_id"] == run_id
    assert (await shared.json(f"{path}/series"))["run_id"] == run_id
    assert (await shared.get(f"/runs/{quote(run_id, safe='')}")).status_code == 200


@pytest.mark.parametrize("what", ["log", "series"])
@pytest.mark.parametrize("run_id", ["unknown", "' OR 1=1 --", "%", "\x00", "x" * 3_000])
async def test_an_unknown_run_is_reported_as_unknown(shared: Live, run_id: str, what: str) -> None:
    answer = await shared.get(f"/v1/runs/{quote(run_id, safe='')}/{what}")

    assert answer.status_code == 404
    assert answer.json()["error"].startswith("no run ")
    assert "/v1/runs" in answer.json()["next"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/runs?limit=0", "limit"),
        ("/v1/runs?limit=1000000000", "limit"),
        ("/v1/runs?limit=many", "limit"),
        ("/v1/runs?status=nice", "status"),
        ("/v1/runs?group=%00", "group"),
        ("/v1/runs/x/series?buckets=0", "buckets"),
        ("/v1/runs/x/series?buckets=10001", "buckets"),
        ("/v1/runs/x/series?name=%00", "name"),
        ("/v1/stream?since=1", "since"),
        ("/v1/stream?since=1:x", "since"),
        ("/v1/stream?since=99:0", "since"),
        ("/v1/stream?since=0:1000000", "since"),
        ("/v1/stream?points=some", "points"),
    ],
)
async def test_an_invalid_parameter_is_named(shared: Live, path: str, parameter: str) -> None:
    answer = await shared.get(path)

    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"parameter {parameter}: ")
    assert answer.json()["next"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/x", 404),
        ("GET", "/static/no.js", 404),
        ("POST", "/v1/runs", 405),
        ("GET", "/static/../api.py", 404),
        ("GET", "/static/%2e%2e/api.py", 404),
    ],
)
async def test_what_is_not_there_is_answered_in_the_same_form(
    shared: Live, method: str, path: str, status: int
) -> None:
    answer = await shared.http.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "next"}
