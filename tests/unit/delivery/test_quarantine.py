"""Which runs are called after a process ended in the middle of its calls, on a clock of the test's own."""

from __future__ import annotations

from consumers.delivery.flow.quarantine import ALONE, HOPELESS, Quarantine

CALL_S = 120.0  # then the first pause is 20 s


def quarantine(**unanswered: int) -> Quarantine:
    return Quarantine(unanswered, 0.0, call_s=CALL_S, threads=8)


def test_without_any_the_longest_waiting_go_first() -> None:
    assert quarantine().choose(["a", "b", "c"], [], 2, 0.0) == ["a", "b"]


def test_they_come_after_the_others_and_take_half_of_the_threads() -> None:
    bad = {f"bad-{number}": 1 for number in range(8)}

    assert quarantine(**bad).choose([*bad, "good"], [], 8, 0.0) == ["good", *list(bad)[:4]]
    assert quarantine(**bad).choose(list(bad)[4:], list(bad)[:4], 4, 0.0) == []


def test_runs_that_never_rest_do_not_keep_them_out() -> None:
    good = [f"good-{number}" for number in range(20)]

    assert quarantine(bad=1).choose([*good, "bad"], [], 8, 0.0) == [*good[:7], "bad"]


def test_after_some_calls_a_run_waits_and_is_then_called_alone() -> None:
    them = quarantine(bad=ALONE)

    assert them.choose(["bad", "good"], [], 8, 19.0) == ["good"]
    assert them.choose(["bad", "good"], ["other"], 7, 20.0) == []
    assert them.choose(["bad", "good"], [], 8, 20.0) == ["bad"]
    assert them.choose(["good"], ["bad"], 7, 20.0) == []


def test_the_pause_doubles() -> None:
    them = quarantine(bad=ALONE + 2)

    assert them.choose(["bad"], [], 8, 79.0) == []
    assert them.choose(["bad"], [], 8, 80.0) == ["bad"]


def test_one_that_answers_is_like_any_other() -> None:
    them = quarantine(bad=ALONE)
    them.release("bad")

    assert (them.choose(["bad", "good"], [], 8, 0.0), len(them)) == (["bad", "good"], 0)


def test_their_calls_carry_less_also_once_they_answer() -> None:
    them = quarantine(slow=2)
    them.release("slow")

    assert (them.size_divisor("slow"), them.size_divisor("good")) == (16, 1)


def test_what_is_hopeless_has_a_reason() -> None:
    found = quarantine(bad=HOPELESS, odd=HOPELESS - 1).hopeless()

    assert list(found) == ["bad"]
    assert f"ended {HOPELESS} times" in found["bad"]
