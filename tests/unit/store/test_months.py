"""The month under which points are stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.write.months import UNKNOWN, month_of, month_text, parse_month
from schemas.errors import BadSettings

CENTURY = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59, 999_999), timezones=st.just(UTC))


@given(CENTURY)
def test_a_time_of_this_century_has_the_month_of_its_day_in_utc(at: datetime) -> None:
    time = (at - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400_000_000 + at.hour * 3_600_000_000

    assert month_text(month_of(time)) == f"{at:%Y-%m}"
    assert parse_month(f"{at:%Y-%m}") == month_of(time)


@pytest.mark.parametrize("time", [0, 946_684_799_999_999, 4_102_444_800_000_000, 2**62])
def test_a_clock_that_cannot_be_right_has_no_month(time: int) -> None:
    assert month_of(time) == UNKNOWN
    assert month_text(UNKNOWN) == "unknown"


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-8", "2026-00", "2026-13", "1999-12", "2026-08-01", "20٢٦-08", "x" * 99]
)
def test_what_is_no_month_is_named(text: str) -> None:
    with pytest.raises(BadSettings, match="is not a month: write year and month, such as 2026-08"):
        parse_month(text)
