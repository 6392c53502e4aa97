from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.trackers.mlflow.responses import MlflowRefused, NothingDone, TooLarge, parse, seconds
from schemas.errors import TrackerRefused, TrackerUnavailable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAGE = b"<html>Sign in</html>"


def failure(status: int, body: bytes, retry_after: str = "") -> Exception:
    with pytest.raises((TrackerUnavailable, TrackerRefused)) as raised:
        parse("http://m", status, body, retry_after, NOW)
    return raised.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5.0), (" 120 ", 120.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None), ("1.5", None), ("٣", None),
        (format_datetime(NOW + timedelta(seconds=90)), 90.0),
        (format_datetime((NOW + timedelta(seconds=90)).astimezone(timezone(timedelta(hours=2)))), 90.0),
        (format_datetime(NOW - timedelta(days=1)), 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert seconds(text, NOW) == expected


@given(st.text())
def test_every_header_is_accepted(text: str) -> None:
    assert (seconds(text, NOW) or 0.0) >= 0.0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, PAGE, TrackerUnavailable),
        (200, b"[]", TrackerUnavailable),
        (200, b'{"run": {', TrackerUnavailable),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "x"}', TrackerUnavailable),
        (503, b"", TrackerUnavailable),
        (404, PAGE, TrackerUnavailable),
        (400, b'{"error_code": "BAD_REQUEST", "message": "QueuePool limit"}', TrackerUnavailable),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "x"}', MlflowRefused),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}', MlflowRefused),
        (413, PAGE, TooLarge),
        (401, PAGE, NothingDone),
        (403, b'{"error_code": "PERMISSION_DENIED"}', NothingDone),
        (429, b"", NothingDone),
    ],
)
def test_the_meaning_of_a_response(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(failure(status, body)) is kind


def test_a_good_response_is_returned() -> None:
    assert parse("http://m", 200, b'{"run": 1}', "", NOW) == {"run": 1}


@pytest.mark.parametrize(("status", "header", "expected"), [(429, "7", 7.0), (503, "7", 7.0), (429, "", 1.0)])
def test_the_pause_that_the_server_asks_for(status: int, header: str, expected: float) -> None:
    error = failure(status, b"", header)

    assert isinstance(error, TrackerUnavailable)
    assert error.retry_after_s == expected
