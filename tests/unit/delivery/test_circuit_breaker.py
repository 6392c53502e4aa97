"""The circuit and the limit on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.flow.circuit_breaker import FAILURES, LAST_RETRY_S, LONGEST_WAIT_S, CircuitBreaker, retry_delay


def opened(at: float = 0.0) -> CircuitBreaker:
    circuit = CircuitBreaker()
    for number in range(FAILURES):
        circuit.record_failure(f"run-{number}", "away", at, jitter=1.0)
    return circuit


def test_few_failures_leave_it_closed() -> None:
    circuit = CircuitBreaker()
    for number in range(FAILURES - 1):
        circuit.record_failure(f"run-{number}", "away", 0.0, jitter=1.0)

    assert (circuit.state, circuit.admits("run-9", 0.0)) == ("closed", True)


def test_an_answer_in_between_starts_the_count_again() -> None:
    circuit = CircuitBreaker()
    for number in range(3 * FAILURES):
        circuit.record_failure(f"run-{number}", "away", 0.0, jitter=1.0)
        circuit.record_answer(0.0)

    assert circuit.state == "closed"


def test_many_failures_in_a_row_open_it_with_the_reason() -> None:
    circuit = opened(at=7.0)

    assert (circuit.state, circuit.since, circuit.error) == ("open", 7.0, "away")
    assert not circuit.admits("run-9", circuit.retry_at - 0.01)
    assert circuit.admits("run-9", circuit.retry_at)


def test_one_probe_at_a_time() -> None:
    circuit = opened()
    circuit.start_call()

    assert circuit.state == "probing"
    assert not circuit.admits("run-9", 1e9)


def test_a_probe_that_fails_opens_it_again_for_longer_up_to_a_bound() -> None:
    circuit = opened()
    waits = []
    for _ in range(10):
        now = circuit.retry_at
        circuit.start_call()
        circuit.record_failure("run-1", "still away", now, jitter=1.0)
        waits.append(round(circuit.retry_at - now, 6))

    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY_S
    assert circuit.since == 0.0


def test_a_probe_that_succeeds_closes_it() -> None:
    circuit = opened()
    circuit.start_call()

    assert circuit.record_answer(0.0)
    assert (circuit.state, circuit.failures, circuit.error) == ("closed", 0, "")
    assert not circuit.record_answer(0.0)


def test_one_run_that_always_fails_blocks_no_other() -> None:
    circuit = CircuitBreaker()
    for _ in range(FAILURES):
        circuit.record_failure("bad", "timed out", 0.0, jitter=1.0)

    assert not circuit.admits("bad", 0.0)
    assert circuit.admits("good", 0.0)


def test_two_runs_that_fail_block_all() -> None:
    circuit = CircuitBreaker()
    for _ in range(FAILURES):
        circuit.record_failure("bad", "timed out", 0.0, jitter=1.0)
    circuit.start_call()
    circuit.record_failure("good", "timed out", 0.0, jitter=1.0)

    assert not circuit.admits("another", 0.0)


def test_a_tracker_that_asks_for_a_pause_gets_it_at_once() -> None:
    circuit = CircuitBreaker()
    circuit.record_failure("run-1", "429", 100.0, jitter=0.0, retry_after_s=30.0)

    assert not circuit.admits("run-1", 129.9)
    assert not circuit.admits("run-2", 129.9)
    assert circuit.admits("run-2", 130.0)


def test_a_failure_of_a_call_that_was_under_way_does_not_shorten_a_requested_pause() -> None:
    circuit = CircuitBreaker()
    circuit.record_failure("run-1", "429", 0.0, jitter=0.0, retry_after_s=30.0)
    circuit.record_failure("run-2", "reset", 1.0, jitter=0.0)

    assert circuit.retry_at == 30.0


def test_an_answer_to_a_call_that_was_under_way_does_not_end_a_requested_pause() -> None:
    circuit = CircuitBreaker()
    circuit.record_failure("run-1", "429", 0.0, jitter=0.0, retry_after_s=30.0)
    closed = circuit.record_answer(1.0)

    assert (closed, circuit.state, circuit.admits("run-2", 29.0)) == (False, "open", False)
    circuit.start_call()
    assert circuit.record_answer(30.5)


@pytest.mark.parametrize(("asked", "waits"), [(1e12, LONGEST_WAIT_S), (-5.0, 0.0)])
def test_a_requested_pause_has_bounds(asked: float, waits: float) -> None:
    circuit = CircuitBreaker()
    circuit.record_failure("run-1", "429", 0.0, jitter=0.0, retry_after_s=asked)

    assert circuit.retry_at == waits


def test_retries_get_rarer_up_to_a_bound() -> None:
    assert [retry_delay(failures, 1.0) for failures in (0, 1, 2)] == [0.2, 0.4, 0.8]
    assert (retry_delay(50, 1.0), retry_delay(50, 0.0)) == (LAST_RETRY_S, LAST_RETRY_S / 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 60)), max_size=60))
def test_whatever_happens_some_run_is_admitted_in_the_end(calls: list[tuple[str, bool, float]]) -> None:
    circuit, now = CircuitBreaker(), 0.0
    for run, fails, passed in calls:
        now += passed
        if not circuit.admits(run, now):
            continue
        circuit.start_call()
        if fails:
            circuit.record_failure(run, "away", now, jitter=0.5)
        else:
            circuit.record_answer(0.0)

    assert circuit.admits("d", now + LAST_RETRY_S)
