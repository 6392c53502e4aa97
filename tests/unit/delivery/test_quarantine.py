"""The runs that are called after a process ended during its calls, on a clock that the test controls."""

from __future__ import annotations

from consumers.delivery.flow.quarantine import ALONE, HOPELESS, Quarantine

CALL_S = 120.0  # then the first pause is 20 s


def quarantine(**unanswered: int) -> Quarantine:
    return Quarantine(unanswered, 0.0, call_s=CALL_S, threads=8)


def test_without_quarantined_runs_the_longest_waiting_go_first() -> None:
    assert quarantine().choose(["a", "b", "c"], [], 2, 0.0) == ["a", "b"]


def test_quarantined_runs_come_after_the_others_on_half_of_the_threads() -> None:
    bad = {f"bad-{number}": 1 for number in range(8)}

    assert quarantine(**bad).choose([*bad, "good"], [], 8, 0.0) == ["good", *list(bad)[:4]]
    assert quarantine(**bad).choose(list(bad)[4:], list(bad)[:4], 4, 0.0) == []


def test_runs_that_are_always_ready_do_not_block_quarantined_ones() -> None:
    good = [f"good-{number}" for number in range(20)]

    assert quarantine(bad=1).choose([*good, "bad"], [], 8, 0.0) == [*good[:7], "bad"]


def test_after_some_calls_a_run_waits_and_is_then_called_alone() -> None:
    runs = quarantine(bad=ALONE)

    assert runs.choose(["bad", "good"], [], 8, 19.0) == ["good"]
    assert runs.choose(["bad", "good"], ["other"], 7, 20.0) == []
    assert runs.choose(["bad", "good"], [], 8, 20.0) == ["bad"]
    assert runs.choose(["good"], ["bad"], 7, 20.0) == []


def test_the_pause_doubles() -> None:
    runs = quarantine(bad=ALONE + 2)

    assert runs.choose(["bad"], [], 8, 79.0) == []
    assert runs.choose(["bad"], [], 8, 80.0) == ["bad"]


def test_a_run_that_answers_is_like_any_other() -> None:
    runs = quarantine(bad=ALONE)
    runs.release("bad")

    assert (runs.choose(["bad", "good"], [], 8, 0.0), len(runs)) == (["bad", "good"], 0)


def test_their_calls_stay_smaller_after_they_answer() -> None:
    runs = quarantine(slow=2)
    runs.release("slow")

    assert (runs.size_divisor("slow"), runs.size_divisor("good")) == (16, 1)


def test_a_hopeless_run_has_a_reason() -> None:
    found = quarantine(bad=HOPELESS, odd=HOPELESS - 1).hopeless()

    assert list(found) == ["bad"]
    assert f"ended {HOPELESS} times" in found["bad"]
