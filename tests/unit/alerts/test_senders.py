"""What targets get, with real servers: signatures, redirects, mail, and errors that say what to do."""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from pydantic import TypeAdapter

from consumers.alerts.sending.forms import document, example, slack, text
from consumers.alerts.sending.senders import NotTaken, sender
from consumers.alerts.sending.targets import Target, TargetsFile, describe
from consumers.store.alerts.outbox import Message
from gateway.local.ports import HOST, free_ports

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


class Mailbox:
    """Keeps the mails that an SMTP server gets."""

    def __init__(self) -> None:
        self.got: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: SmtpEnvelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.got.append(envelope.content.decode())
        return "250 taken"


def signed_in(_server: object, _session: object, _envelope: object, _mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"u", b"p"), handled=False)


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[str, Mailbox]]:
    """Yield the address of a real mail server, and what it gets."""
    box, (port,) = Mailbox(), free_ports(1)
    controller = Controller(box, hostname=HOST, port=port, **options)
    controller.start()
    try:
        yield f"{HOST}:{port}", box
    finally:
        controller.stop()


def mail_to(smtp: str, **fields: Any) -> Target:
    return target(type="email", smtp=smtp, **{"from": "a@b"}, to=["c@d"], **fields)


def test_mail_is_sent_and_a_password_never_without_tls() -> None:
    with mail_server() as (smtp, box):
        sender(mail_to(smtp), API)(MESSAGE)
        with pytest.raises(NotTaken, match="no STARTTLS"):
            sender(mail_to(smtp, user="u", password="p"), API)(MESSAGE)

    (mail,) = box.got
    assert "Subject: [critical] Loss <nan>: run run/1" in mail
    assert "Message-ID: <00000000-0000-0000-0000-000000000001@gateway.alerts>" in mail
    assert "loss nan is not finite" in mail


def test_mail_with_a_password_over_tls_that_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secured = {"tls_context": context, "authenticator": signed_in, "auth_required": True}
    with mail_server(**secured) as (smtp, box):
        with pytest.raises(NotTaken, match="cannot be reached") as stranger:
            sender(mail_to(smtp, user="u", password="p"), API)(MESSAGE)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with pytest.raises(NotTaken, match="SMTPAuthenticationError") as refused:
            sender(mail_to(smtp, user="u", password="s3cret"), API)(MESSAGE)
        sender(mail_to(smtp, user="u", password="p"), API)(MESSAGE)

    assert len(box.got) == 1
    assert "s3cret" not in f"{stranger.value} {refused.value}"


def test_a_targets_file_that_changes_is_read_again_and_one_that_is_wrong_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", "https://chat.example.org/s3cret")
    path = tmp_path / "targets.yaml"
    path.write_text("targets: {a: {type: log}}\n")
    file = TargetsFile(path)
    assert not file.has_changed()

    path.write_text("targets: {a: {type: log}, chat: {type: slack, url: '${HOOK}'}}\ndefault: [chat]\n")
    assert file.has_changed()
    assert (set(file.now.targets), file.now.default) == ({"a", "chat"}, ["chat"])
    path.write_text("targets: {a: {type: slack, url: 's3cret'}}\n")
    assert not file.has_changed()
    path.unlink()
    assert not file.has_changed()
    assert set(file.now.targets) == {"a", "chat"}
    assert "s3cret" not in f"{caplog.text} {file.now!r} {describe(file.now.targets['chat'])}"
    assert caplog.text.count("the targets of before are used") == 2


def test_a_example_says_where_it_is_from() -> None:
    said = document(example("chat"), API)

    assert (said["event"], said["link"], said["run_id"]) == ("test", f"{API}/alerts", "")
    assert text(example("chat"), API).startswith("[test] Test of a target\ntarget chat gets the alerts")
