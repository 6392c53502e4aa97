"""
What a response of an MLflow server means for the delivery: accepted, retry later, or refused for good.

Pure. A response of MLflow itself is JSON with an `error_code`. Any other body (a proxy's page, half a response) says
nothing about the run, so it counts as an outage and the call is repeated. `Retry-After` (RFC 9110, 10.2.3) is a number
of seconds or a date.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from schemas.errors import TrackerRefused, TrackerUnavailable

MISSING = "RESOURCE_DOES_NOT_EXIST"
EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
# Without BAD_REQUEST: a server whose database has no free connection responds with it.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", MISSING, "NOT_FOUND", "RESOURCE_CONFLICT", *EXISTS}
_TOO_LARGE = 413
_SIGN_IN = (
    "put user and password into its address (https://user:password@host), or set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, for the delivery, and start it again"
)
MAX_QUOTED = 300  # characters of a response in a reason


class MlflowRefused(TrackerRefused):
    """MLflow refuses a call; `code` says why."""

    def __init__(self, detail: str = "", *, code: str = "") -> None:
        super().__init__(detail or "MLflow refuses a call.")
        self.code = code


class TooLarge(TrackerRefused):
    """The server or a proxy does not accept a body of this size; smaller ones may pass."""


class NothingDone(TrackerUnavailable):
    """MLflow cannot be reached now, and it certainly did not start to process the call."""


def error_of(address: str, text: str, code: str) -> TrackerRefused | TrackerUnavailable:
    """Return the error for an `error_code` of MLflow: TrackerRefused parks the run, TrackerUnavailable waits."""
    quoted = " ".join(text.split())[:MAX_QUOTED]
    if code in _REFUSALS:
        return MlflowRefused(f"MLflow at {address} refuses it ({code}: {quoted})", code=code)
    return TrackerUnavailable(f"MLflow at {address} does not take events now ({code or 'no code'}: {quoted})")


def parse(address: str, status: int, body: bytes, retry_after: str, now: datetime) -> dict[str, Any]:
    """
    Return the JSON of a response. Raises TrackerUnavailable, TrackerRefused.

    NothingDone, a TrackerUnavailable, means that the server rejected the call before it did anything.
    """
    found = _json(body)
    if status == 200 and found is not None:
        return found
    if status in (401, 403):
        verb = "asks for user and password, or refuses them" if status == 401 else "does not allow this user to do it"
        raise NothingDone(f"MLflow at {address} {verb} (HTTP {status}): {_SIGN_IN}")
    wait = seconds(retry_after, now)
    if status == 429:
        raise NothingDone(
            f"MLflow at {address} gets too many requests (HTTP 429)", retry_after_s=1.0 if wait is None else wait
        )
    if status == _TOO_LARGE:
        raise TooLarge(f"MLflow at {address} does not accept a request of this size (HTTP {status})")
    if found is not None and 400 <= status < 500:
        raise error_of(address, str(found.get("message", "")), str(found.get("error_code", "")))
    quoted = " ".join(body[: 4 * MAX_QUOTED].decode("utf-8", "replace").split())[:MAX_QUOTED]
    if status == 200:
        quoted = f"not the JSON of an MLflow response: is this its address? {quoted}"
    raise TrackerUnavailable(
        f"MLflow at {address} does not take events now (HTTP {status}: {quoted})", retry_after_s=wait
    )


def seconds(retry_after: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for, at least 0; None if it cannot be read."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
