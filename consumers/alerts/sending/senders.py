"""
Send one message to one target. Blocking: each target has a thread of its own.

A redirect is an error and is not followed: it could lead to an address that the targets file does not name. Proxies of
the environment are used, as by every program.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage

import orjson

from consumers.alerts.sending.forms import document, headline, slack, text
from consumers.alerts.sending.targets import Email, Slack, Target, Webhook
from consumers.store.alerts.outbox import Message

SIGNATURE, TIMESTAMP, DELIVERY = "X-Gateway-Signature", "X-Gateway-Timestamp", "X-Gateway-Delivery"
READ_BYTES = 65_536  # of an answer; the rest does not matter
_TLS_PORT = "465"

log = logging.getLogger("consumers.alerts")


class NotTaken(Exception):
    """A target did not take a message; a later attempt may help. `after_s`: how long it asks to wait, if it does."""

    def __init__(self, why: str, *, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


Send = Callable[[Message], None]


def sender(target: Target, api: str) -> Send:
    """Return what sends a message to a target and raises NotTaken. `api` is the address of the dashboard."""

    def to_webhook(message: Message) -> None:
        assert isinstance(target, Webhook)
        body = orjson.dumps(document(message, api))
        _post(target.url.get_secret_value(), body, target.timeout_s, _headers(target, message, body))

    def to_slack(message: Message) -> None:
        assert isinstance(target, Slack)
        _post(target.url.get_secret_value(), orjson.dumps(slack(message, api)), target.timeout_s, {})

    match target:
        case Webhook():
            return to_webhook
        case Slack():
            return to_slack
        case Email():
            return lambda message: _mail(target, message, api)
        case _:
            return lambda message: log.warning("alert: %s", " | ".join(text(message, api).splitlines()))


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256 of the timestamp, a dot and the body, in hex."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _headers(target: Webhook, message: Message, body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time()))
    headers = {name: value.get_secret_value() for name, value in target.headers.items()}
    headers |= {DELIVERY: str(message.delivery_id), TIMESTAMP: timestamp}
    if secret := target.secret.get_secret_value():
        headers[SIGNATURE] = signature(secret, timestamp, body)
    return headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _post(url: str, body: bytes, timeout_s: float, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            answer.read(READ_BYTES)
    except urllib.error.HTTPError as error:
        error.close()
        what = "it redirects, which is not followed" if 300 <= error.code < 400 else "it refused the message"
        raise NotTaken(f"{what} ({error.code})", after_s=_retry_after(error.headers.get("Retry-After"))) from None
    except urllib.error.URLError as error:
        raise NotTaken(f"it cannot be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that cannot be used
        raise NotTaken(f"it cannot be reached ({type(error).__name__})") from None


def _mail(target: Email, message: Message, api: str) -> None:
    mail = EmailMessage()
    mail["Subject"] = " ".join(headline(message).split())[:200]
    mail["From"], mail["To"] = target.sender, ", ".join(target.to)
    mail["Message-ID"] = f"<{message.delivery_id}@gateway.alerts>"  # the same in every attempt
    mail.set_content(text(message, api))
    host, _, port = target.smtp.partition(":")
    password = target.password.get_secret_value()
    try:
        if port == _TLS_PORT:
            tls = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=target.timeout_s, context=tls)
        else:
            server = smtplib.SMTP(host, int(port or 25), timeout=target.timeout_s)
        with server:
            server.ehlo()
            if port != _TLS_PORT and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            elif port != _TLS_PORT and password:
                raise NotTaken("it offers no STARTTLS, so the password is not sent")
            if target.user:
                server.login(target.user, password)
            server.send_message(mail)
    except smtplib.SMTPException as error:
        raise NotTaken(f"it refused the mail ({type(error).__name__})") from None
    except OSError as error:
        raise NotTaken(f"it cannot be reached ({error})") from None


def _retry_after(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdecimal() and len(header) < 6 else None
