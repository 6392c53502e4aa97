"""The limit on points per second, on a clock that the test controls."""

from __future__ import annotations

from consumers.delivery.flow.rate_limit import RateLimit


def test_without_a_limit_nothing_waits() -> None:
    limit = RateLimit()
    limit.record(10**9, 0.0)

    assert limit.delay(0.0) == 0.0


def test_points_are_paid_off_at_the_limit() -> None:
    limit = RateLimit(1_000)
    limit.record(500, 10.0)
    limit.record(1_500, 10.0)

    assert (limit.delay(10.0), limit.delay(11.5), limit.delay(12.0)) == (2.0, 0.5, 0.0)


def test_an_idle_time_is_not_saved_up() -> None:
    limit = RateLimit(1_000)
    limit.record(1_000, 0.0)
    limit.record(1_000, 100.0)

    assert limit.delay(100.0) == 1.0
