"""The server when Kafka is away, when its memory budget is used up, and when senders are slow on purpose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.client.transports.http_transport import encode_body
from gateway.local.ports import HOST, free_ports
from gateway.server import app as app_module
from gateway.server import log_writer, serve
from gateway.server.app import create_app
from gateway.server.ingest import bodies
from schemas.runtime.settings import Settings
from tests.support.client_harness import raw_log
from tests.support.machine import allowed
from tests.support.server_process import note

DEADLINE_S = 150.0
JSON = {"Content-Type": "application/json"}
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def running(kafka: str, topic: str) -> AsyncIterator[tuple[serve.Server, httpx.AsyncClient]]:
    """Give a server in this event loop, so that a test can shorten its timeouts, and a client of it."""
    (port,) = free_ports(1)
    settings = Settings(kafka=kafka, topic=topic, ingest_port=port)
    with serve.listen(serve.ingest_place(settings)) as listening:
        server = serve.Server(create_app(settings), settings)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        async with httpx.AsyncClient(
            base_url=f"http://{HOST}:{port}", timeout=DEADLINE_S, trust_env=False, headers=JSON
        ) as http:
            try:
                yield server, http
            finally:
                server.should_exit = True
                await task


async def until_ready(http: httpx.AsyncClient, status: int = 200) -> httpx.Response:
    async with asyncio.timeout(DEADLINE_S):
        while (answer := await http.get("/readyz")).status_code != status:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
    return answer


def port_of(http: httpx.AsyncClient) -> int:
    port = http.base_url.port
    assert port is not None
    return port


async def test_without_kafka_requests_are_refused_at_once_and_nothing_is_held() -> None:
    (unused,) = free_ports(1)
    async with running(f"{HOST}:{unused}", "t") as (server, http):
        began = time.monotonic()
        answers = [await http.post("/v1/events", content=encode_body([note("r", 0)])) for _ in range(20)]

        assert {(one.status_code, one.headers["retry-after"]) for one in answers} == {(503, "1")}
        assert f"{HOST}:{unused}" in answers[0].json()["error"]
        assert time.monotonic() - began < allowed(5)
        assert server.budget.held == 0
        assert (await http.get("/healthz")).status_code == 200
        assert (await until_ready(http, 503)).json()["next"] == "start Kafka, or correct GATEWAY_KAFKA"


async def test_a_missing_log_is_named(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.client.transports import kafka_transport as client_kafka

    monkeypatch.setattr(client_kafka, "REQUEST_TIMEOUT_MS", 500)
    async with running(kafka, "no-such-topic") as (server, _):
        async with asyncio.timeout(DEADLINE_S):
            while "no topic" not in server.writer.problem:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.02)

        assert server.writer.problem.startswith("there is no topic no-such-topic: start the materialiser")


async def test_a_broker_that_stops_answering_is_an_error_in_time_and_the_next_producer_serves(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "ACKNOWLEDGE_TIMEOUT_S", 0.0)
    async with running(kafka, topic) as (_, http):
        await until_ready(http)
        late = await http.post("/v1/events", content=encode_body([note("r", 0)]))
        monkeypatch.setattr(log_writer, "ACKNOWLEDGE_TIMEOUT_S", 10.0)
        await until_ready(http)
        again = await http.post("/v1/events", content=encode_body([note("r", 0)]))

    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert "no acknowledgement" in late.json()["error"]
    assert again.status_code == 200
    found = await asyncio.to_thread(raw_log, kafka, topic)
    assert {(r.key, r.value, r.headers) for r in found} == {(r.key, r.value, r.headers) for r in [note("r", 0)]}


async def test_requests_beyond_the_budget_are_refused_and_accepted_later(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "IN_FLIGHT", 100_000)
    small, large = encode_body([note("r", 0)]), encode_body([note("r", 1, "x" * 50_000)])
    async with running(kafka, topic) as (server, http):
        await until_ready(http)
        answers = [(await http.post("/v1/events", content=body)).status_code for body in (small, large, small)]

        assert answers == [200, 503, 200]
        assert server.budget.held == 0


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("sent", [b"", b"P", HEAD, HEAD + b"X-Slow: "], ids=["nothing", "byte", "line", "header"])
async def test_a_request_whose_headers_do_not_arrive_is_ended(
    kafka: str, topic: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT_S", 0.3)
    async with running(kafka, topic) as (server, http):
        reader, line = await asyncio.open_connection(HOST, port_of(http))
        line.write(sent)
        answer = await read_all(reader)
        line.close()

        assert b" 200 " not in answer
        assert not [
            one
            for one in server.server_state.connections
            if isinstance(one, serve.Protocol) and not one.transport.is_closing()
        ]


async def test_headers_sent_byte_by_byte_do_not_extend_the_deadline(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT_S", 0.4)
    async with running(kafka, topic) as (_, http):
        reader, line = await asyncio.open_connection(HOST, port_of(http))
        began = time.monotonic()
        reading = asyncio.ensure_future(read_all(reader))
        while not reading.done() and time.monotonic() < began + DEADLINE_S:
            line.write(b"X")
            await asyncio.wait({reading}, timeout=0.05)
        line.close()

        assert reading.done()
        assert time.monotonic() - began < allowed(5)


async def test_a_connection_waits_between_requests_without_being_ended(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT_S", 0.2)
    async with running(kafka, topic) as (_, http):
        await until_ready(http)
        reader, line = await asyncio.open_connection(HOST, port_of(http))
        for _ in range(2):
            line.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n")
            async with asyncio.timeout(DEADLINE_S):
                assert b"200 OK" in await reader.readuntil(b'{"ok":true}')
            with pytest.raises(TimeoutError):  # nothing arrives, not even the end of the connection
                await asyncio.wait_for(reader.read(1), 0.5)
        line.close()


async def test_a_body_that_does_not_arrive_is_ended_and_its_memory_is_released(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.3)
    async with running(kafka, topic) as (server, http):
        lines = [await asyncio.open_connection(HOST, port_of(http)) for _ in range(50)]
        for _, line in lines:
            line.write(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000)
        answers = [await read_all(reader) for reader, _ in lines]
        for _, line in lines:
            line.close()

        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}
        assert server.budget.held == 0


async def test_connections_beyond_the_limit_are_asked_to_retry(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 3)
    async with running(kafka, topic) as (_, http):
        lines = [await asyncio.open_connection(HOST, port_of(http)) for _ in range(3)]

        assert (await http.get("/healthz")).status_code == 503
        for _, line in lines:
            line.close()
        async with asyncio.timeout(DEADLINE_S):
            while (await http.get("/healthz")).status_code != 200:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "head", [b"X-Long: " + b"x" * 100_000, b"GET / HTTP/1.1\r\nX: y\r\n" * 3_000], ids=["one", "many"]
)
async def test_headers_that_are_too_long_are_refused(kafka: str, topic: str, head: bytes) -> None:
    async with running(kafka, topic) as (_, http):
        reader, writer = await asyncio.open_connection(HOST, port_of(http))
        try:
            writer.write(HEAD + head)
            answer = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        finally:
            writer.close()

    assert answer == b"HTTP/1.1 400 Bad Request\r\n"


async def test_what_follows_of_a_body_after_its_answer_is_no_header(kafka: str, topic: str) -> None:
    size = 12_000_000  # of which the server reads 8 MB before it answers
    async with running(kafka, topic) as (_, http):
        reader, writer = await asyncio.open_connection(HOST, port_of(http))
        try:
            writer.write(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n")
            writer.write(
                b"Content-Length: %d\r\n\r\n" % size + bytes(size) + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            first = await asyncio.wait_for(reader.readuntil(b"\r\n"), DEADLINE_S)
            await asyncio.wait_for(reader.readuntil(b"HTTP/1.1 200 OK\r\n"), DEADLINE_S)
        finally:
            writer.close()

    assert first == b"HTTP/1.1 415 Unsupported Media Type\r\n"
