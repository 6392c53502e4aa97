"""What targets get, with real servers: signatures, redirects, mail, and errors that say what to do."""

from __future__ import annotations

import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import TypeAdapter

from consumers.alerts.sending.forms import document, slack
from consumers.alerts.sending.senders import NotTaken, sender
from consumers.alerts.sending.targets import Target
from consumers.store.alerts.outbox import Message

API = "http://gateway:8700"
MESSAGE = Message(
    1, uuid.UUID(int=1), "fired", 0, datetime(2026, 1, 1, tzinfo=UTC), uuid.UUID(int=2), "r", 3, "Loss <nan>",
    "critical", "run/1", "loss", 1_700_000_000_000_000, None, 7, float("nan"), "loss nan is not finite", "",
)  # fmt: skip


def target(**fields: Any) -> Target:
    made: Target = TypeAdapter(Target).validate_python(fields)
    return made


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that answers so, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_redirect_is_not_followed() -> None:
    with (
        answering(200, {}) as (inside, asked_inside),
        answering(302, {"Location": f"{inside}/metadata"}) as (url, asked),
    ):
        with pytest.raises(NotTaken, match=r"redirects.*302"):
            sender(target(type="webhook", url=f"{url}/hook"), API)(MESSAGE)

        assert (asked, asked_inside) == (["/hook"], [])


@pytest.mark.parametrize(("status", "headers", "after"), [(429, {"Retry-After": "7"}, 7.0), (500, {}, None)])
def test_a_refusal_is_tried_again_when_the_target_says(
    status: int, headers: dict[str, str], after: float | None
) -> None:
    with answering(status, headers) as (url, _), pytest.raises(NotTaken, match=str(status)) as raised:
        sender(target(type="slack", url=url), API)(MESSAGE)

    assert raised.value.after_s == after


def test_an_address_where_nothing_listens_is_not_shown() -> None:
    with pytest.raises(NotTaken, match="cannot be reached") as raised:
        sender(target(type="webhook", url="http://127.0.0.1:1/s3cret"), API)(MESSAGE)

    assert "s3cret" not in str(raised.value)


def test_what_a_message_says() -> None:
    said = document(MESSAGE, API)

    assert (said["event"], said["value"], said["step"]) == ("fired", "NaN", 7)
    assert said["link"] == "http://gateway:8700/runs/run%2F1"
    assert "Loss &lt;nan&gt;" in slack(MESSAGE, API)["text"]


class _Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as one mail needs (RFC 5321)."""

    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        for raw in self.rfile:
            verb = raw[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.got.append(b"".join(lines).decode())
                self.wfile.write(b"250 taken\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


def test_mail_is_sent_and_a_password_never_without_tls() -> None:
    class Server(_Smtp):
        got: list[str] = []  # noqa: RUF012 -- of this test

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        smtp = f"127.0.0.1:{server.server_address[1]}"
        sender(target(type="email", smtp=smtp, **{"from": "a@b"}, to=["c@d"]), API)(MESSAGE)
        signed_in = target(type="email", smtp=smtp, **{"from": "a@b"}, to=["c@d"], user="u", password="p")
        with pytest.raises(NotTaken, match="no STARTTLS"):
            sender(signed_in, API)(MESSAGE)
        server.shutdown()

    (mail,) = Server.got
    assert "Subject: [critical] Loss <nan>: run run/1" in mail
    assert "Message-ID: <00000000-0000-0000-0000-000000000001@gateway.alerts>" in mail
    assert "loss nan is not finite" in mail
