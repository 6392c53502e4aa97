"""
How alerts, rules and back-tests look: as JSON and as lines.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schemas.columns import float_to_json
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from consumers.alerts.evaluator.state import Transition
    from schemas.api.alerts import AlertDocument

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str, option: str) -> float:
    """Return seconds of a text such as 90s, 15m, 2h or 7d. Raises BadSettings, naming the option."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise BadSettings(f"{option} {text!r:.40} is no duration: write for example 90s, 15m, 2h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_since(text: str, option: str = "--since") -> int:
    """Return µs of a time such as 2026-11-21T08:00 (UTC), or of one as long ago as 2h. Raises BadSettings."""
    if _DURATION.fullmatch(text.strip().lower()):
        return round((time.time() - parse_duration(text, option)) * 1e6)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, round(moment.timestamp() * 1e6))
    except (ValueError, OverflowError):
        raise BadSettings(f"{option} {text!r:.40} is no time: write 2026-11-21T08:00 (UTC), or 2h") from None


def time_text(at: int | None) -> str:
    """Return µs since 1970 as text in UTC, or as their number when they are out of range; "" for None."""
    if at is None:
        return ""
    try:
        return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(at)


def alert_line(alert: AlertDocument) -> str:
    """Return one line about an alert."""
    ended = f" (resolved {time_text(alert.resolved)}: {alert.resolution})" if alert.resolved is not None else ""
    muted = " muted" if alert.muted else ""
    where = f"{alert.run_id} step {alert.step}" if alert.step is not None else alert.run_id
    return f"{time_text(alert.fired)} {alert.severity}{muted} {alert.rule_id}: {where}: {alert.message}{ended}"


def transition_document(one: Transition) -> dict[str, Any]:
    """Return a transition of a back-test as JSON."""
    value = None if one.value is None else float_to_json(one.value)
    return {
        "event": "fired" if one.fired else "resolved", "rule_id": one.rule.id, "run_id": one.run_id,
        "series": one.series, "time": one.time, "step": one.step, "value": value, "message": one.message,
    }  # fmt: skip


def transition_line(one: Transition) -> str:
    """Return one line about a transition of a back-test."""
    what = "would fire" if one.fired else "would be resolved"
    where = f"{one.run_id} step {one.step}" if one.step is not None else one.run_id
    return f"{time_text(one.time)} {one.rule.id} {what}: {where}: {one.message}"
