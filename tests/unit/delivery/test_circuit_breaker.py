"""The circuit and the pace on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.flow.circuit_breaker import FAILURES, LAST_RETRY_S, LONGEST_WAIT_S, Circuit, retry_delay
from consumers.delivery.flow.rate_limit import Pace


def opened(at: float = 0.0) -> Circuit:
    circuit = Circuit()
    for number in range(FAILURES):
        circuit.failed(f"run-{number}", "away", at, jitter=1.0)
    return circuit


def test_few_failures_leave_it_closed() -> None:
    circuit = Circuit()
    for number in range(FAILURES - 1):
        circuit.failed(f"run-{number}", "away", 0.0, jitter=1.0)

    assert (circuit.state, circuit.admits("run-9", 0.0)) == ("closed", True)


def test_an_answer_in_between_starts_the_count_anew() -> None:
    circuit = Circuit()
    for number in range(3 * FAILURES):
        circuit.failed(f"run-{number}", "away", 0.0, jitter=1.0)
        circuit.answered(0.0)

    assert circuit.state == "closed"


def test_many_failures_in_a_row_open_it_with_the_reason() -> None:
    circuit = opened(at=7.0)

    assert (circuit.state, circuit.since, circuit.error) == ("open", 7.0, "away")
    assert not circuit.admits("run-9", circuit.retry_at - 0.01)
    assert circuit.admits("run-9", circuit.retry_at)


def test_one_probe_at_a_time() -> None:
    circuit = opened()
    circuit.called()

    assert circuit.state == "probing"
    assert not circuit.admits("run-9", 1e9)


def test_a_probe_that_fails_opens_it_again_for_longer_up_to_a_bound() -> None:
    circuit = opened()
    waits = []
    for _ in range(10):
        now = circuit.retry_at
        circuit.called()
        circuit.failed("run-1", "still away", now, jitter=1.0)
        waits.append(round(circuit.retry_at - now, 6))

    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY_S
    assert circuit.since == 0.0


def test_a_probe_that_succeeds_closes_it() -> None:
    circuit = opened()
    circuit.called()

    assert circuit.answered(0.0)
    assert (circuit.state, circuit.failures, circuit.error) == ("closed", 0, "")
    assert not circuit.answered(0.0)


def test_one_run_that_always_fails_keeps_no_other_out() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit.failed("bad", "timed out", 0.0, jitter=1.0)

    assert not circuit.admits("bad", 0.0)
    assert circuit.admits("good", 0.0)


def test_two_runs_that_fail_keep_all_out() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit.failed("bad", "timed out", 0.0, jitter=1.0)
    circuit.called()
    circuit.failed("good", "timed out", 0.0, jitter=1.0)

    assert not circuit.admits("another", 0.0)


def test_a_tracker_that_asks_to_be_left_alone_is_left_alone_at_once() -> None:
    circuit = Circuit()
    circuit.failed("run-1", "429", 100.0, jitter=0.0, retry_after_s=30.0)

    assert not circuit.admits("run-1", 129.9)
    assert not circuit.admits("run-2", 129.9)
    assert circuit.admits("run-2", 130.0)


def test_a_failure_of_a_call_that_was_under_way_does_not_shorten_what_was_asked_for() -> None:
    circuit = Circuit()
    circuit.failed("run-1", "429", 0.0, jitter=0.0, retry_after_s=30.0)
    circuit.failed("run-2", "reset", 1.0, jitter=0.0)

    assert circuit.retry_at == 30.0


def test_an_answer_to_a_call_that_was_under_way_does_not_end_what_was_asked_for() -> None:
    circuit = Circuit()
    circuit.failed("run-1", "429", 0.0, jitter=0.0, retry_after_s=30.0)
    closed = circuit.answered(1.0)

    assert (closed, circuit.state, circuit.admits("run-2", 29.0)) == (False, "open", False)
    circuit.called()
    assert circuit.answered(30.5)


@pytest.mark.parametrize(("asked", "waits"), [(1e12, LONGEST_WAIT_S), (-5.0, 0.0)])
def test_what_a_tracker_asks_for_has_bounds(asked: float, waits: float) -> None:
    circuit = Circuit()
    circuit.failed("run-1", "429", 0.0, jitter=0.0, retry_after_s=asked)

    assert circuit.retry_at == waits


def test_retries_get_rarer_up_to_a_bound() -> None:
    assert [retry_delay(failures, 1.0) for failures in (0, 1, 2)] == [0.2, 0.4, 0.8]
    assert (retry_delay(50, 1.0), retry_delay(50, 0.0)) == (LAST_RETRY_S, LAST_RETRY_S / 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 60)), max_size=60))
def test_whatever_happens_some_run_is_admitted_in_the_end(calls: list[tuple[str, bool, float]]) -> None:
    circuit, now = Circuit(), 0.0
    for run, fails, passed in calls:
        now += passed
        if not circuit.admits(run, now):
            continue
        circuit.called()
        if fails:
            circuit.failed(run, "away", now, jitter=0.5)
        else:
            circuit.answered(0.0)

    assert circuit.admits("d", now + LAST_RETRY_S)


def test_without_a_bound_nothing_waits() -> None:
    pace = Pace()
    pace.spent(10**9, 0.0)

    assert pace.wait(0.0) == 0.0


def test_points_are_paid_off_at_the_pace() -> None:
    pace = Pace(1_000)
    pace.spent(500, 10.0)
    pace.spent(1_500, 10.0)

    assert (pace.wait(10.0), pace.wait(11.5), pace.wait(12.0)) == (2.0, 0.5, 0.0)


def test_an_idle_time_is_not_saved_up() -> None:
    pace = Pace(1_000)
    pace.spent(1_000, 0.0)
    pace.spent(1_000, 100.0)

    assert pace.wait(100.0) == 1.0
