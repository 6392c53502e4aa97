"""Telemetry of processes is true: counts, health, readiness, lag, and flat memory while PostgreSQL is away."""

from __future__ import annotations

import asyncio
import json
import signal
from array import array
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from gateway.client.transports.http_transport import encode_body
from gateway.local.ports import HOST, free_ports
from schemas import events as ev
from schemas.wire import Envelope, encode
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.live_server import serving as live_serving
from tests.support.live_server import settings_for
from tests.support.live_server import stream as live_stream
from tests.support.log_author import Author, write, write_records
from tests.support.materialiser_process import environment, materialiser, reading, until, until_complete, until_folded
from tests.support.postgres_server import PostgresServer
from tests.support.probe_client import ask, failure_reason, metrics, status, total
from tests.support.server_process import note, request, serving

MIB = 1024 * 1024


@pytest.fixture
def port() -> int:
    """A free port for the probes of one process."""
    return free_ports(1)[0]


async def until_true(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await until(holds, what)


def run_of(run_id: str, envelopes: int, points: int) -> list[Envelope]:
    """Return a complete run of one series; all envelopes hold the same values at increasing steps."""
    author = Author(run_id)
    found = [author.start()]
    times, values = array("q", [author.now()] * points), array("d", [0.123456789 * i for i in range(points)])
    for first in range(0, envelopes * points, points):
        series = ev.Series(name="loss", steps=array("q", range(first, first + points)), times=times, values=values)
        found.append(author.envelope(ev.Metrics(time=author.now(), series=[series])))
    found.append(author.finish())
    found.append(
        author.envelope(ev.ProducerClosed(time=author.now(), batches=author.seq + 1, points=envelopes * points))
    )
    return found


async def test_the_materialiser_counts_what_it_folds_refuses_and_parks(
    kafka: str, topic: str, database: str, tmp_path: Path, port: int
) -> None:
    envelopes = run_of("a-run-with-a-name", 5, 100)
    good = [encode(envelope) for envelope in envelopes]
    broken = [good[2]._replace(headers=[]), good[2]._replace(value=b'{"kind": "metr')]
    sent = [*good, good[1], good[2], *broken]
    with materialiser(tmp_path, environment(kafka, topic, database, metrics_port=str(port))):
        await write_records(kafka, topic, sent)
        await until_folded(database, topic, len(sent))
        await until_true(lambda: total(metrics(port), "gateway_next_offset") == len(sent), "the lag was looked at")
        found = metrics(port)
        answers = [status(port, path) for path in ("/healthz", "/readyz", "/", "/metrics?x=1")]
        text = ask(port, "/metrics")[1].decode()

    assert found["gateway_records_applied_total"] == len(sent)
    assert found["gateway_points_applied_total"] == 5 * 100
    assert found["gateway_duplicates_refused_total"] == 2
    assert total(found, "gateway_records_parked_total") == 2
    assert found["gateway_batch_records_sum"] == len(sent)
    assert found["gateway_commit_seconds_count"] == found["gateway_batch_points_count"] > 0
    assert found["gateway_producer_skew_seconds_count"] == len(sent) - 2
    assert total(found, "gateway_lag_records") == total(found, "gateway_lag_seconds") == 0
    assert answers == [200, 200, 404, 200]
    assert "a-run-with-a-name" not in text


async def test_a_blocked_transaction_makes_it_late_then_unhealthy_and_it_recovers(
    kafka: str, topic: str, database: str, tmp_path: Path, port: int
) -> None:
    envelopes = run_of("r1", 20, 100)
    variables = environment(kafka, topic, database, metrics_port=str(port), stall_s="1")
    with materialiser(tmp_path, variables):
        await write(kafka, topic, envelopes[:5])
        await until_folded(database, topic, 5)
        blocker = await asyncpg.connect(database)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
            await write(kafka, topic, envelopes[5:])
            await until_true(lambda: total(metrics(port), "gateway_lag_records") == 18, "all that waits is counted")
            await until_true(lambda: status(port, "/healthz") == 503, "it is unhealthy")
            reason, ready, found = failure_reason(port, "/healthz"), status(port, "/readyz"), metrics(port)
        await blocker.close()
        await until_true(lambda: status(port, "/healthz") == 200, "it is healthy again")
        await until_folded(database, topic, len(envelopes))
        await until_true(lambda: total(metrics(port), "gateway_lag_records") == 0, "nothing is behind")

    assert "nothing moved" in reason
    assert ready == 503
    assert total(found, "gateway_lag_records") == 18 == len(envelopes) - 5
    assert total(found, "gateway_lag_seconds") > 0


async def test_a_process_that_is_stuck_does_not_report_that_it_is_alive(
    kafka: str, topic: str, database: str, tmp_path: Path, port: int
) -> None:
    with materialiser(tmp_path, environment(kafka, topic, database, metrics_port=str(port))) as one:
        await until_true(lambda: status(port, "/healthz") == 200, "it lives")
        one.process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(ask, port, "/healthz", 2.0)
        one.process.send_signal(signal.SIGCONT)
        await until_true(lambda: status(port, "/healthz") == 200, "it lives again")


async def test_while_postgres_is_away_reading_pauses_memory_stays_flat_and_the_group_keeps_its_member(
    kafka: str, topic: str, tmp_path: Path, port: int
) -> None:
    envelopes = run_of("r1", 2_000, 1_000)
    store = PostgresServer(tmp_path / "postgres")
    try:
        store.start()
        with materialiser(tmp_path, environment(kafka, topic, store.dsn, metrics_port=str(port))) as one:
            await write(kafka, topic, envelopes[:200])
            await until_folded(store.dsn, topic, 200)
            store.kill()
            await write(kafka, topic, envelopes[200:210])
            await until_true(lambda: status(port, "/readyz") == 503, "it says that it waits")
            before = psutil.Process(one.process.pid).memory_info().rss
            await write(kafka, topic, envelopes[210:])
            await until_true(lambda: total(metrics(port), "gateway_lag_records") == len(envelopes) - 200, "it is late")
            alive, reason, found = status(port, "/healthz"), failure_reason(port, "/readyz"), metrics(port)
            grown = psutil.Process(one.process.pid).memory_info().rss - before
            store.start()
            await until_folded(store.dsn, topic, len(envelopes))
            async with reading(store.dsn) as read:
                await until_complete(read, ["r1"])
                log = await read.run_log("r1", max_points=1)
            await until_true(lambda: status(port, "/readyz") == 200, "it is ready again")
            words = one.text()
    finally:
        store.kill()

    assert (alive, found["gateway_paused"]) == (200, 1)
    assert f"{HOST}:{store.port}" in reason
    assert sum(len(encode(envelope).value) for envelope in envelopes[210:]) > 60 * MIB
    assert grown < 32 * MIB  # in flight when it paused: at most 8 MiB per partition
    assert words.count(f"reading {topic}") == 1
    assert log is not None
    assert [(one.missing, one.refused_duplicates) for one in log.completeness] == [([], 0)]


async def test_reading_ahead_of_a_slow_postgres_is_bounded_in_bytes(
    kafka: str, topic: str, database: str, tmp_path: Path, port: int
) -> None:
    envelopes = run_of("r1", 2_000, 1_000)
    with materialiser(tmp_path, environment(kafka, topic, database, metrics_port=str(port))) as one:
        await write(kafka, topic, envelopes[:1])
        await until_folded(database, topic, 1)
        blocker = await asyncpg.connect(database)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
            await write(kafka, topic, envelopes[1:])
            await until_true(lambda: metrics(port)["gateway_paused"] == 1, "reading pauses")
            held = metrics(port)["gateway_held_bytes"]
        await blocker.close()
        await until_folded(database, topic, len(envelopes))
        words = one.text()

    assert 48 * MIB <= held < 72 * MIB  # the bound, and at most one fetch above it
    assert words.count(f"reading {topic}") == 1


async def test_hostile_text_cannot_break_a_line_of_the_log(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = [encode(envelope) for envelope in run_of("r1", 2, 10)]
    name = b'9\n{"level": "FORGED"}\r\n\x1b[2J'
    hostile = good[1]._replace(headers=[(n, name if n == "schema" else v) for n, v in good[1].headers])
    with materialiser(tmp_path, environment(kafka, topic, database, log_format="json")) as one:
        await write_records(kafka, topic, [good[0], hostile, *good[1:]])
        await until_folded(database, topic, len(good) + 1)
        await until_true(lambda: "parked" in one.text(), "it message so")
        one.kill(signal.SIGTERM)
        lines = one.log.read_bytes().decode("ascii").split("\n")

    entries = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == ""
    assert {entry["process"] for entry in entries} == {"materialiser"}
    assert all({"time", "level", "logger", "message"} <= set(entry) for entry in entries)
    assert "FORGED" not in {entry["level"] for entry in entries}


async def test_a_delivery_counts_what_its_tracker_accepted(
    kafka: str, topic: str, database: str, tmp_path: Path, port: int
) -> None:
    envelopes = run_of("r1", 5, 100)
    place = Place(kafka, topic, database, tmp_path)
    variables = {"GATEWAY_METRICS_PORT": str(port)}
    await write(kafka, topic, envelopes)
    with delivery(place, "wandb", variables) as one:
        await until_caught_up(place, one, "wandb")
        await until_true(lambda: total(metrics(port), "gateway_next_offset") == len(envelopes), "the lag was looked at")
        found, answers = metrics(port), [status(port, path) for path in ("/healthz", "/readyz")]

    assert found["gateway_delivered_records_total"] == len(envelopes)
    assert found["gateway_delivery_call_seconds_count"] > 0
    assert total(found, "gateway_lag_records") == 0
    assert found["gateway_delivery_runs_parked_total"] == 0
    assert answers == [200, 200]


async def test_the_api_counts_requests_by_route_and_open_streams(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    async with live_serving(settings_for(kafka, topic, database, tmp_path)) as live:
        for path in ("/v1/runs/one/log", "/v1/runs/two/log", "/no/such/page"):
            await live.get(path)
        async with live_stream(live):
            text = live.server.probes().metrics().decode()

    assert 'gateway_http_requests_total{method="GET",route="/v1/runs/{run_id:run}/log",status="404"} 2.0' in text
    assert 'route="unknown",status="404"} 1.0' in text
    assert "gateway_stream_subscribers 1.0" in text
    assert "runs/one" not in text


def test_the_ingest_server_counts_what_kafka_acknowledged(kafka: str, topic: str, tmp_path: Path, port: int) -> None:
    records = [note("r1", seq) for seq in range(3)]
    with serving(tmp_path, kafka, topic, metrics_port=str(port)) as one:
        answer = request(one.port, "POST", "/v1/events", encode_body(records))
        refused = request(one.port, "POST", "/v1/events", b"nonsense")
        found, answers = metrics(port), [status(port, path) for path in ("/healthz", "/readyz")]
        outside = request(one.port, "GET", "/metrics")[0]

    assert (answer[0], refused[0] >= 400) == (200, True)
    assert found["gateway_ingest_records_total"] == 3
    assert found['gateway_http_requests_total{method="POST",route="/v1/events",status="200"}'] == 1
    assert found["gateway_ingest_kafka_connected"] == 1
    assert answers == [200, 200]
    assert outside == 404  # clients that may send events need not see the metrics
