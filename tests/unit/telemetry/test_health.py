"""Health, readiness and lag in seconds are decided without a clock."""

from __future__ import annotations

from consumers.telemetry.health import Pulse, TimeLag


def test_a_process_that_waits_for_work_or_for_a_service_lives() -> None:
    pulse = Pulse(stall_s=10, moved=0)
    starting = pulse.unhealthy(1_000)
    pulse.consuming = True
    pulse.beat(1_000, "PostgreSQL is away")

    assert (starting, pulse.unhealthy(1_009)) == ("", "")
    assert pulse.unready() == "PostgreSQL is away"


def test_a_process_without_progress_is_unhealthy_until_something_moves() -> None:
    pulse = Pulse(stall_s=10, moved=0, consuming=True)
    stalled = pulse.unhealthy(11)
    pulse.idle(11)

    assert stalled == "records wait and nothing moved for 11 s"
    assert pulse.unhealthy(20) == ""


def test_a_process_to_which_nothing_came_is_not_unhealthy_however_long_the_log_was_not_looked_at() -> None:
    pulse = Pulse(stall_s=1, moved=0, consuming=True)
    pulse.idle(10)
    idle = pulse.unhealthy(12)
    pulse.records_wait()

    assert (idle, pulse.unhealthy(12)) == ("", "records wait and nothing moved for 2 s")


def test_while_the_log_is_away_a_process_lives_and_is_not_ready() -> None:
    pulse = Pulse(stall_s=10, moved=0, consuming=True)
    pulse.log_asked(100, "Kafka is away")
    away = (pulse.unhealthy(105), pulse.unready())
    pulse.log_asked(106)

    assert away == ("", "Kafka is away")
    assert (pulse.unhealthy(105), pulse.unready()) == ("", "")
    assert pulse.unhealthy(111) != ""


def test_a_process_that_does_not_read_is_not_ready() -> None:
    pulse = Pulse(stall_s=10, moved=0)
    starting = pulse.unready()
    pulse.consuming = True

    assert (starting, pulse.unready()) == ("it does not read the log yet", "")


def test_lag_in_seconds_starts_where_nothing_waited() -> None:
    lag = TimeLag()
    lag.applied_at[0] = 100.0

    assert lag.seconds({0: 0, 1: 0}, 500.0) == {0: 0.0, 1: 0.0}
    assert lag.seconds({0: 5, 1: 0}, 503.0) == {0: 3.0, 1: 0.0}  # not the 403 s since the last record


def test_lag_of_a_backlog_is_counted_from_the_last_applied_record() -> None:
    lag = TimeLag()
    unknown = lag.seconds({0: 9}, 500.0)
    lag.applied_at[0] = 100.0

    assert unknown == {}
    assert lag.seconds({0: 8}, 500.0) == {0: 400.0}
    assert lag.seconds({0: 8}, 99.0) == {0: 0.0}  # Kafka's clock is ahead of ours
