"""The real server with a real log: accepted records arrive as they were sent, and bad requests do not stop it."""

from __future__ import annotations

import errno
import gzip
import json
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cramjam
import pytest

from gateway.client.transports.http_transport import encode_body
from gateway.local.ports import HOST
from gateway.server.ingest.bodies import MAX_BODY
from tests.support.client_harness import raw_log
from tests.support.server_process import Server, note, request, serving

TOKEN = "a-token-of-tests"


@pytest.fixture(scope="module")
def server(kafka: str, session_folder: Path) -> Iterator[Server]:
    """One server for all tests that only send, each to a run of its own."""
    from tests.support import services

    services.run(services.create_topic(kafka, "ingest", partitions=2))
    with serving(session_folder, kafka, "ingest", token=TOKEN) as one:
        yield one


def post(server: Server, body: bytes, **headers: str) -> tuple[int, Mapping[str, str], Any]:
    """Send a body with the token, unless another is given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, found, text = request(
        server.port, "POST", "/v1/events", body, {"Authorization": f"Bearer {TOKEN}", **named}
    )
    return status, found, json.loads(text)


def arrived(kafka: str, run_id: str) -> list[tuple[bytes, Any, int]]:
    """Return value, headers and time (ms) of a run's records in the order of the log."""
    return [(r.value, r.headers, r.time // 1_000) for r in raw_log(kafka, "ingest") if r.key == run_id.encode()]


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "zstd"])
def test_records_arrive_in_order_with_the_bytes_that_were_sent(server: Server, kafka: str, encoding: str) -> None:
    run_id = f"läuft/{encoding}"
    records = [note(run_id, seq, 'naïve \u2028 𝄞 " \\ \n') for seq in range(50)]
    packers: dict[str, Any] = {"gzip": gzip.compress, "zstd": lambda body: bytes(cramjam.zstd.compress(body))}
    body = packers.get(encoding, bytes)(encode_body(records))

    status, _, answer = post(server, body, **({"Content_Encoding": encoding} if encoding else {}))
    assert (status, answer) == (200, {"taken": 50})
    assert arrived(kafka, run_id) == [(r.value, r.headers, r.time // 1_000) for r in records]


def test_spaces_that_a_sender_left_in_its_json_are_kept(server: Server, kafka: str) -> None:
    record = note("spaced", 0)
    record.value = b'{ "kind" : "note",\t"time": 1700000000000000, "text":"\\u0041" }'

    assert post(server, encode_body([record]))[0] == 200
    assert [value for value, _, _ in arrived(kafka, "spaced")] == [record.value]


def test_a_request_with_one_bad_record_is_refused_as_a_whole(server: Server, kafka: str) -> None:
    records = [note("whole", seq) for seq in range(3)]
    records[2].key = b"another"
    status, _, answer = post(server, encode_body(records))

    assert (status, answer["record"]) == (422, 2)
    assert "key is not that of its ce_source" in answer["error"]
    assert arrived(kafka, "whole") == []


def test_an_empty_request_is_answered(server: Server) -> None:
    assert post(server, b'{"records":[]}')[::2] == (200, {"taken": 0})


BOMB = bytes(64 * 1024 * 1024)
GOOD = encode_body([note("never", 0)])
BAD: dict[str, tuple[bytes, dict[str, str], int]] = {
    "not-json": (b"{not json", {}, 400),
    "nothing": (b"", {}, 400),
    "another-form": (b'{"events":[]}', {}, 400),
    "not-gzip": (GOOD, {"Content_Encoding": "gzip"}, 400),
    "cut-gzip": (gzip.compress(GOOD)[:-5], {"Content_Encoding": "gzip"}, 400),
    "gzip-bomb": (gzip.compress(BOMB), {"Content_Encoding": "gzip"}, 413),
    "zstd-bomb": (bytes(cramjam.zstd.compress(BOMB)), {"Content_Encoding": "zstd"}, 413),
    "huge": (b" " * (MAX_BODY + 1), {}, 413),
    "huge-record": (encode_body([note("never", 0, "x" * 1_100_000)]), {}, 413),
    "packed-twice": (gzip.compress(gzip.compress(GOOD)), {"Content_Encoding": "gzip, gzip"}, 415),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered_with_its_error_and_the_next_is_accepted(
    server: Server, kafka: str, name: str
) -> None:
    body, headers, expected = BAD[name]
    status, _, answer = post(server, body, **headers)

    assert (status, sorted(set(answer) - {"record"})) == (expected, ["error", "next"])
    assert post(server, encode_body([note(f"after-{name}", 0)]))[0] == 200
    assert arrived(kafka, "never") == []


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ÿ"])
def test_without_the_token_nothing_is_accepted(server: Server, kafka: str, shown: str) -> None:
    status, headers, answer = post(server, GOOD, Authorization=shown)

    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "GATEWAY_TOKEN" in answer["next"]
    assert arrived(kafka, "never") == []


def test_a_refused_sender_of_a_huge_body_can_read_why(server: Server) -> None:
    assert post(server, b" " * MAX_BODY, Authorization="Bearer wrong")[0] == 401


def raw(server: Server, text: bytes) -> bytes:
    """Send raw bytes and return everything that the server answers until it closes."""
    with socket.create_connection((HOST, server.port), timeout=30) as line:
        found = b""
        try:
            line.sendall(text)
            line.shutdown(socket.SHUT_WR)
            while more := line.recv(65_536):
                found += more
        except ConnectionError:
            return found  # closed with some of our bytes unread or unsent
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # closed before we closed our side
                raise
        return found


START = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HOSTILE = {
    "not-http": b"\x16\x03\x01\x02\x00\x01\x00",
    "no-version": b"GET /v1/events\r\n\r\n",
    "long-line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "long-header": START + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many-headers": START + b"".join(b"X%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    "control-characters": START + b"X: a\x00b\r\n\r\n",
    "two-lengths": START + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd",
    "length-and-chunks": START
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "negative-length": START + b"Content-Length: -1\r\n\r\n",
    "endless-length": START + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "bad-chunk": START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "folded-header": START + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_get_an_error_or_nothing_and_the_next_is_accepted(server: Server, name: str) -> None:
    answer = raw(server, HOSTILE[name])

    assert b" 200 " not in answer
    assert b" 500 " not in answer
    assert post(server, encode_body([note(f"after-{name}", 0)]))[0] == 200
    assert "Traceback" not in server.text()


def test_sigterm_answers_the_request_under_way_first(kafka: str, topic: str, tmp_path: Path) -> None:
    body = encode_body([note("last", 0)])
    with serving(tmp_path, kafka, topic) as one, socket.create_connection((HOST, one.port), timeout=30) as line:
        line.sendall(START + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        assert one.process is not None
        one.process.send_signal(signal.SIGTERM)
        line.sendall(body)

        assert b'{"taken":1}' in b"".join(iter(lambda: line.recv(1_000), b""))
        assert one.end(signal.SIGTERM) == 0
    assert len(raw_log(kafka, topic)) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"GATEWAY_KAFKA": "h:1", "GATEWAY_INGEST_HOST": "0.0.0.0"}, "GATEWAY_TOKEN"),
        ({"GATEWAY_KAFKA": "h:1", "GATEWAY_INGEST_CERT": "/none", "GATEWAY_INGEST_KEY": "/none"}, "ingest_cert"),
        ({"GATEWAY_KAFKA": "h:1", "GATEWAY_INGEST_HOST": "no.such.host.invalid", "GATEWAY_TOKEN": "t"}, "INGEST_HOST"),
        ({}, "setting kafka has no value"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line_and_is_not_restarted(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    one = Server(tmp_path, settings).start()
    assert one.process is not None

    assert one.process.wait(150) == 78
    assert message in one.text()
    assert len(one.text().splitlines()) == 1


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    one = Server(tmp_path, {"GATEWAY_KAFKA": "h:1"})
    with socket.create_server((HOST, one.port)):
        one.start()
        assert one.process is not None

        assert one.process.wait(150) == 78
    assert f"port {one.port} on {HOST} is in use by another program" in one.text()
