"""
What an MLflow server's answer means for the delivery: taken, come again later, or never.

Pure. An answer of MLflow itself is JSON with an `error_code`; whatever else comes (a proxy's page, half an answer) says
nothing about the run, so it is an outage and the call is made again. `Retry-After` (RFC 9110, 10.2.3) is seconds or a
date.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from schemas.errors import TrackerRefused, TrackerUnavailable

MISSING = "RESOURCE_DOES_NOT_EXIST"
EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
# Not BAD_REQUEST: a server whose database has no connection left answers with it.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", MISSING, "NOT_FOUND", "RESOURCE_CONFLICT", *EXISTS}
_TOO_LARGE = 413
_SIGN_IN = (
    "put user and password into its address (https://user:password@host), or set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, for the delivery, and start it again"
)
MAX_TOLD = 300  # characters of an answer in a reason


class MlflowRefused(TrackerRefused):
    """MLflow refuses a call; `code` says why."""

    def __init__(self, detail: str = "", *, code: str = "") -> None:
        super().__init__(detail or "MLflow refuses a call.")
        self.code = code


class TooLarge(TrackerRefused):
    """Something between us and MLflow takes no body of this size; smaller ones may pass."""


class NothingDone(TrackerUnavailable):
    """MLflow cannot be reached now, and for certain it did not begin with the call."""


def refused(where: str, text: str, code: str) -> TrackerRefused | TrackerUnavailable:
    """Return the error for an `error_code` of MLflow: whether the run is parked or waits."""
    told = " ".join(text.split())[:MAX_TOLD]
    if code in _REFUSALS:
        return MlflowRefused(f"MLflow at {where} refuses it ({code}: {told})", code=code)
    return TrackerUnavailable(f"MLflow at {where} does not take events now ({code or 'no code'}: {told})")


def parse(where: str, status: int, body: bytes, retry_after: str, now: datetime) -> dict[str, Any]:
    """
    Return the answer of a call. Raises TrackerUnavailable, TrackerRefused.

    NothingDone, a TrackerUnavailable, means that the server turned the call away before it did anything.
    """
    found = _json(body)
    if status == 200 and found is not None:
        return found
    if status in (401, 403):
        verb = "asks for user and password, or refuses them" if status == 401 else "does not allow it to this user"
        raise NothingDone(f"MLflow at {where} {verb} (HTTP {status}): {_SIGN_IN}")
    wait = seconds(retry_after, now)
    if status == 429:
        raise NothingDone(
            f"MLflow at {where} is asked too often (HTTP 429)", retry_after_s=1.0 if wait is None else wait
        )
    if status == _TOO_LARGE:
        raise TooLarge(f"MLflow at {where} takes no request of this size (HTTP {status})")
    if found is not None and 400 <= status < 500:
        raise refused(where, str(found.get("message", "")), str(found.get("error_code", "")))
    told = " ".join(body[: 4 * MAX_TOLD].decode("utf-8", "replace").split())[:MAX_TOLD]
    if status == 200:
        told = f"not the JSON that MLflow answers: is this its address? {told}"
    raise TrackerUnavailable(f"MLflow at {where} does not take events now (HTTP {status}: {told})", retry_after_s=wait)


def seconds(retry_after: str, now: datetime) -> float | None:
    """Return how many seconds a `Retry-After` asks for, not below 0; None when it says nothing that can be read."""
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
