"""The client's HTTP transport alone: responses, missing responses, and connections that end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.encoding.wire import Record
from gateway.client.errors import Unsent
from gateway.client.transports import http_transport as http_module
from gateway.client.transports.factory import make_transport
from gateway.client.transports.http_transport import HttpTransport
from gateway.client.transports.transport import Refusal
from tests.support.client_harness import Memory, new_run, points, shipping
from tests.support.server_process import note

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@asynccontextmanager
async def scripted_server(*answers: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Yield the address of a server that sends one response for each connection, and the lengths of the requests."""
    rest = list(answers)
    seen: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            seen.append(length)
            writer.write(rest.pop(0) if rest else b"")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}", seen


async def send_to(url: str, count: int = 2) -> str:
    """Send records; return "" or the reason why they did not arrive."""
    transport = HttpTransport(url)
    try:
        await transport.open()
        await transport.send([note("r", seq) for seq in range(count)])
    except Unsent as error:
        return str(error)
    finally:
        await transport.close()
    return ""


def answer_of(status: str, body: bytes = b"{}", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed connection without response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "HTTP 200: no gateway server answers there"),
        (answer_of("200 OK", b"<html>please log in"), "HTTP 200: no gateway server answers there"),
        (answer_of("200 OK", b'{"taken":1}'), "HTTP 200: no gateway server answers there"),
        (b"\x00\x01 nonsense\r\n\r\n", "nonsense"),
        (answer_of("404 Not Found", b"<html>"), "HTTP 404: no gateway server answers there: correct GATEWAY_URL"),
        (answer_of("302 Found", b"", b"Location: http://elsewhere/"), "HTTP 302: no gateway server answers there"),
        (answer_of("502 Bad Gateway", b"<html>"), "HTTP 502"),
        (answer_of("401 Unauthorized", b'{"error":"no"}'), "HTTP 401: no: set GATEWAY_TOKEN to the server's"),
        (answer_of("422 X", b'{"error":"odd","record":7}'), "HTTP 422: odd"),
        (answer_of("422 X", b'{"error":"odd","record":true}'), "HTTP 422: odd"),
        (answer_of("400 X", b'[{"record":0}]'), "HTTP 400"),
        (answer_of("503 X", b'{"error":"away"}', b"Retry-After: soon"), "HTTP 503: away"),
    ],
)
async def test_events_wait_after_any_response_but_success(answer: bytes, why: str) -> None:
    async with scripted_server(answer) as (url, _):
        assert why in await send_to(url)


async def test_success_ends_the_request() -> None:
    async with scripted_server(answer_of("200 OK", b'{"taken":2}')) as (url, seen):
        assert await send_to(url) == ""
        assert len(seen) == 1


async def test_a_refused_connection_is_reported_in_words() -> None:
    async with scripted_server() as (url, _):
        pass

    assert "refused" in await send_to(url)


async def test_the_requested_pause_is_followed_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_PAUSE_S", 0.2)
    loop = asyncio.get_running_loop()
    async with scripted_server(answer_of("503 X", b"{}", b"Retry-After: 3600")) as (url, _):
        began = loop.time()
        why = await send_to(url)

    assert why == "HTTP 503"
    assert 0.2 <= loop.time() - began < 5


async def test_a_missing_response_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "ANSWER_TIMEOUT_S", 0.2)
    with socket.create_server((HOST, 0)) as silent:
        assert await send_to(f"http://{HOST}:{silent.getsockname()[1]}") == "timed out"


async def test_closing_ends_a_request_that_waits_for_its_response() -> None:
    with socket.create_server((HOST, 0)) as silent:
        transport = HttpTransport(f"http://{HOST}:{silent.getsockname()[1]}")
        await transport.open()
        sending = asyncio.ensure_future(transport.send([note("r", 0)]))
        await asyncio.sleep(0)
        await transport.close()

        with pytest.raises(Unsent):
            await asyncio.wait_for(sending, 10)


def test_an_authority_that_cannot_be_read_is_named() -> None:
    async def opened() -> None:
        await HttpTransport("https://h:1", ca="/no/such.pem").open()

    with pytest.raises(Unsent, match=r"GATEWAY_TLS_CA /no/such\.pem"):
        asyncio.run(opened())


class Refusing(Memory):
    """A transport whose other end will never take a record that contains a certain word."""

    async def send(self, records: Sequence[Record]) -> list[Refusal]:
        taken = [record for record in records if b"poison" not in record.value]
        await super().send(taken)
        return [Refusal(number, "it is poison") for number, one in enumerate(records) if b"poison" in one.value]


def test_a_refused_record_is_counted_as_lost_and_the_others_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    memory = Refusing()
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5, 0)
        run.emit("poison", 0.5, 0)
        run.emit("loss", "a text with poison", 1)
        assert run.flush(10)
        run.emit("loss", 0.25, 2)
        report = run.finish(timeout_s=10)

    assert shipper.last_error == "it is poison"
    assert capsys.readouterr().err.count("will never take a record") == 1
    assert [seen.value for seen in points(memory.events())][-1:] == [0.25]
    assert (report.emitted, report.sent + report.dropped, report.unsent) == (4, 4, 0)
    assert report.dropped >= 2


def test_the_address_chooses_the_transport() -> None:
    assert isinstance(make_transport(Address("https://h:1", "t", options={"token": "t"})), HttpTransport)


def test_http_is_imported_only_when_it_is_used() -> None:
    code = "import sys, gateway, gateway.client.run.current; print('http' in sys.modules, 'ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False False\n"
