"""
What a message says, as JSON and as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from consumers.store.alerts.outbox import Message
from schemas.columns import float_to_json

VERSION = 1


def example(target: str) -> Message:
    """Return a message that says that a target gets messages."""
    now = datetime.now(UTC)
    return Message(
        0, uuid4(), "test", 0, now, uuid4(), "test", 0, "Test of a target", "info", "", "",
        round(now.timestamp() * 1e6), None, None, None, f"target {target} gets the alerts of this system", "",
    )  # fmt: skip


def document(message: Message, api: str) -> dict[str, Any]:
    """Return the body that a webhook gets; `api` is the address of the dashboard."""
    is_resolved = message.event == "resolved"
    return {
        "version": VERSION, "delivery_id": str(message.delivery_id), "event": message.event,
        "alert_id": str(message.alert_id), "rule_id": message.rule_id, "rule_version": message.version,
        "rule": message.name, "severity": message.severity, "run_id": message.run_id, "series": message.series,
        "fired": message.fired, "resolved": message.resolved if is_resolved else None, "step": message.step,
        "value": None if message.value is None else float_to_json(message.value), "message": message.message,
        "resolution": message.resolution if is_resolved else "", "link": link(message, api),
    }  # fmt: skip


def link(message: Message, api: str) -> str:
    """Return the address of the run's page, or that of alerts for a message about none."""
    if not message.run_id:
        return f"{api}/alerts"
    return f"{api}/runs/{quote(message.run_id, safe='')}"


def headline(message: Message) -> str:
    """Return one line that says what happened."""
    what = message.severity if message.event == "fired" else message.event
    return f"[{what}] {message.name}: run {message.run_id}" if message.run_id else f"[{what}] {message.name}"


def text(message: Message, api: str) -> str:
    """Return a few lines for people."""
    is_resolved = message.event == "resolved"
    lines = [headline(message), message.resolution if is_resolved else message.message]
    if message.step is not None and not is_resolved:
        lines.append(f"step {message.step}")
    at = message.resolved if is_resolved and message.resolved is not None else message.fired
    return "\n".join([*lines, _time(at), link(message, api)])


def slack(message: Message, api: str) -> dict[str, Any]:
    """Return the body that an incoming webhook of Slack takes; names that users chose are no markup there."""
    return {"text": text(message, api).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _time(at: int) -> str:
    try:
        return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # of a producer whose clock is wrong
        return f"{at} µs since 1970"
