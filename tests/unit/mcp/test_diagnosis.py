"""What is wrong with a series: each rule finds what it should, and healthy series have no findings."""

from __future__ import annotations

import math
from random import Random

from gateway.mcp.diagnosis import Finding, Points, diagnose

SECOND = 1_000_000
NOW = 2_000_000 * SECOND


def findings(
    values: list[float], name: str = "loss", *, silent_s: float = 0, is_running: bool = False
) -> list[Finding]:
    end = NOW - int(silent_s * SECOND)
    times = [end - (len(values) - 1 - number) * SECOND for number in range(len(values))]
    return diagnose(Points(name, range(len(values)), times, values), now=NOW, is_running=is_running)


def falling(count: int, seed: int = 1) -> list[float]:
    random = Random(seed)
    return [3 * math.exp(-number / count) + random.gauss(0, 0.02) for number in range(count)]


def kinds(found: list[Finding]) -> list[tuple[str, int | None]]:
    return [(one.kind, one.step) for one in found]


def test_a_healthy_loss_has_no_findings() -> None:
    assert [kinds(findings(falling(400, seed), silent_s=30, is_running=True)) for seed in range(5)] == [[]] * 5


def test_nan_and_infinity_are_found_with_their_first_step_and_number() -> None:
    values = falling(100)
    values[40], values[60] = math.nan, -math.inf

    assert kinds(findings(values)) == [("nan", 40)]
    assert findings(values)[0].evidence == {"count": 2}
    hidden = Points("loss", [0, 9], [0, 9], [1.0, 0.5], non_finite=3, first_non_finite=7)
    assert diagnose(hidden, now=10, is_running=False)[0].text == "3 values are NaN or infinite, first at step 7"


def test_a_spike_is_found_and_a_steep_start_is_none() -> None:
    values = falling(300)
    values[123] += 40

    (found,) = findings(values)
    assert (found.kind, found.step, found.value) == ("spike", 123, values[123])
    assert found.evidence["z"] > 100
    flat = [1.0] * 200
    flat[150] = 1.5
    assert ("spike", 150) in kinds(findings(flat, "accuracy"))


def test_a_plateau_is_found_with_the_step_at_which_it_begins() -> None:
    random = Random(2)
    values = [*falling(200), *(1.1 + random.gauss(0, 0.004) for _ in range(200))]

    (found,) = findings(values)
    assert (found.kind, 180 <= (found.step or 0) <= 220) == ("plateau", True)
    assert kinds(findings([0.5] * 50, "lr")) == [("plateau", 0)]


def test_a_loss_that_rises_after_its_best_is_found_and_an_accuracy_that_rises_is_none() -> None:
    values = [abs(number - 100) / 50 + 0.2 for number in range(200)]

    (found,) = findings(values)
    assert (found.kind, 90 <= (found.step or 0) <= 100) == ("rise", True)
    assert findings(values, "accuracy") == []


def test_no_news_is_found_only_of_a_run_that_is_running() -> None:
    assert kinds(findings(falling(30), silent_s=600, is_running=True)) == [("stall", 29)]
    assert findings(falling(30), silent_s=600) == []
    assert findings(falling(30), silent_s=50, is_running=True) == []


def test_few_points_and_extreme_values_say_nothing_and_break_nothing() -> None:
    for values in ([], [1.0], [math.nan], [1e308, -1e308] * 30, [0.0] * 3, [5e-324] * 40):
        findings(values, silent_s=5, is_running=True)
    assert findings([1.0, 2.0, 1e9]) == []
