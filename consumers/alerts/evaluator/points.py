"""
Conditions on the points of one series.

Pure. Each condition walks over the points of one event and yields where it begins or ceases to hold. Its state is a
small JSON object, kept between events: `h` is whether the condition holds; the other keys are named where they are
used. `is_quiet` tells of most events that a walk would change nothing, so that an ordinary point costs a comparison of
the lowest and the highest value of its event.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from consumers.alerts.evaluator.columns import Columns
from schemas.alerts import Condition, GpuIdle, NotFinite, Spike, Stalled, Threshold

State = dict[str, Any]
MAD_SCALE = 1.4826  # of a normal distribution, so that the score is in standard deviations
MEAN_SCALE = 1.2533  # the same for the mean absolute deviation
NEARLY = 1 + 1e-9  # leaves what is equal but for rounding to the exact comparison
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


class Change(NamedTuple):
    """The point at which a condition begins to hold, or ceases to."""

    at: int  # index among the points
    holds: bool
    what: str  # a sentence without the name of the series


class PointCondition(Protocol):
    """A condition on points. `while_running`: it ceases to hold when the run ends."""

    while_running: bool

    def is_quiet(self, columns: Columns, state: State) -> bool:
        """Tell whether walking over these points would yield nothing and leave the state as it is."""

    def walk(self, columns: Columns, state: State) -> Iterator[Change]:
        """Yield each change among these points, and bring the state up to date."""


def compiled(condition: Condition) -> PointCondition | None:
    """Return what evaluates a condition on points; None for a condition on runs or on silence."""
    match condition:
        case Threshold():
            return _Thresholds(condition)
        case GpuIdle():
            below = Threshold(op="<", value=condition.below, for_s=condition.seconds)
            return _Thresholds(below, while_running=True)
        case NotFinite():
            return _NotFinites(condition)
        case Stalled():
            return _Stalls(condition)
        case Spike():
            return _Spikes(condition)
        case _:
            return None


class _Thresholds:
    """`n`: points in a row beyond the bound; `t`: time of the first; `w`: window of the mean; `s`: highest step."""

    def __init__(self, rule: Threshold, *, while_running: bool = False) -> None:
        self.while_running = while_running
        self._rule, self._beyond = rule, _OPERATORS[rule.op]
        self._is_plain = rule.of == "value"
        self._for_us = round(rule.for_s * 1e6)

    def is_quiet(self, columns: Columns, state: State) -> bool:
        return self._is_plain and "h" not in state and "n" not in state and self._all_within(columns)

    def walk(self, columns: Columns, state: State) -> Iterator[Change]:
        if self._is_plain and self._all_within(columns):
            yield from self._within(columns, state)
            return
        rule, holds = self._rule, bool(state.get("h"))
        count, since = state.get("n", 0), state.get("t", 0)
        window, newest = state.get("w", []), state.get("s")
        for index, value in enumerate(columns.values):
            step, time = columns.steps[index], columns.times[index]
            if rule.of == "last":
                if newest is not None and step < newest:
                    continue
                newest = step
            elif rule.of == "mean":
                if math.isfinite(value):
                    window = [*window[1 - rule.points :], value]
                if len(window) < rule.points:
                    continue
                value = mean(window)  # noqa: PLW2901 -- what is compared
            if not math.isnan(value) and self._beyond(value, rule.value):
                since = time if count == 0 else min(since, time)
                count += 1
                is_beyond = count >= rule.for_points and time - since >= self._for_us
            else:
                count, is_beyond = 0, False
            if is_beyond != holds and (is_beyond or count == 0):
                holds = is_beyond
                yield Change(index, holds, self._sentence(value))
        _put(state, h=holds, n=count, t=since if count else 0, w=window)
        if newest is not None:
            state["s"] = newest

    def _all_within(self, columns: Columns) -> bool:
        match self._rule.op:
            case ">" | ">=":
                return not self._beyond(columns.high, self._rule.value)
            case "<" | "<=":
                return not self._beyond(columns.low, self._rule.value)
        return False

    def _within(self, columns: Columns, state: State) -> Iterator[Change]:
        if state.get("h"):
            yield Change(0, False, self._sentence(columns.values[0]))
        _put(state, h=False, n=0, t=0)

    def _sentence(self, value: float) -> str:
        rule = self._rule
        mean = f"mean of {rule.points} points " if rule.of == "mean" else ""
        long = f" for {rule.for_points} points" if rule.for_points > 1 else ""
        long += f" for {rule.for_s:g} s" if rule.for_s else ""
        return f"{mean}{value:.6g} (rule: {rule.op} {rule.value:g}{long})"


class _NotFinites:
    while_running = False

    def __init__(self, rule: NotFinite) -> None:
        self._is_bad: Callable[[float], bool] = (
            (lambda value: not math.isfinite(value)) if rule.infinite else math.isnan
        )

    def is_quiet(self, columns: Columns, state: State) -> bool:
        return columns.is_finite and "h" not in state

    def walk(self, columns: Columns, state: State) -> Iterator[Change]:
        holds = bool(state.get("h"))
        for index, value in enumerate(columns.values):
            if self._is_bad(value) != holds:
                holds = not holds
                yield Change(index, holds, f"{value:.6g} is not finite" if holds else f"{value:.6g} is finite again")
        _put(state, h=holds)


class _Stalls:
    """`b`, `s`, `t`: the best value, its step and its time."""

    while_running = True

    def __init__(self, rule: Stalled) -> None:
        self._rule = rule
        self._sign = 1.0 if rule.goal == "min" else -1.0
        self._us = None if rule.seconds is None else round(rule.seconds * 1e6)

    def is_quiet(self, columns: Columns, state: State) -> bool:
        if "b" not in state or "h" in state or not columns.is_finite:
            return False
        best = columns.low if self._sign > 0 else columns.high
        if self._sign * (state["b"] - best) > self._rule.min_change:
            return False
        if self._rule.steps is not None:
            return bool(max(columns.steps) - state.get("s", 0) < self._rule.steps)
        return bool(max(columns.times) - state.get("t", 0) < (self._us or 0))

    def walk(self, columns: Columns, state: State) -> Iterator[Change]:
        rule, holds = self._rule, bool(state.get("h"))
        best, step, time = state.get("b"), state.get("s", 0), state.get("t", 0)
        for index, value in enumerate(columns.values):
            if not math.isfinite(value):
                continue
            if best is None or self._sign * (best - value) > rule.min_change:
                best, step, time, stalled = value, columns.steps[index], columns.times[index], False
            elif rule.steps is not None:
                stalled = holds or columns.steps[index] - step >= rule.steps
            else:
                stalled = holds or columns.times[index] - time >= (self._us or 0)
            if stalled != holds:
                holds = stalled
                yield Change(index, holds, self._sentence(value, best, step))
        if best is not None:
            state.update(b=best, s=step, t=time)
        _put(state, h=holds)

    def _sentence(self, value: float, best: float, step: int) -> str:
        rule = self._rule
        long = f"{rule.steps} steps" if rule.steps is not None else f"{rule.seconds:g} s"
        return f"{value:.6g}: the best value is {best:.6g} at step {step} (rule: a better one within {long})"


class _Spikes:
    """`w`: the last finite values, oldest first."""

    while_running = False

    def __init__(self, rule: Spike) -> None:
        self._rule = rule

    def is_quiet(self, columns: Columns, state: State) -> bool:
        return False

    def walk(self, columns: Columns, state: State) -> Iterator[Change]:
        rule, holds = self._rule, bool(state.get("h"))
        window: list[float] = list(state.get("w", ()))
        in_order = sorted(window)
        for index, value in enumerate(columns.values):
            if not math.isfinite(value):
                continue
            if len(window) >= rule.min_points:
                middle = median(in_order)
                is_spike = self._is_far(value - middle, in_order, middle)
                if is_spike != holds:
                    holds = is_spike
                    yield Change(
                        index, holds, f"{value:.6g}, median {middle:.6g} (rule: z-score beyond {rule.score:g})"
                    )
            window.append(value)
            insort(in_order, value)
            if len(window) > rule.window:
                del in_order[bisect_left(in_order, window[0])]
                del window[0]
        state["w"] = window
        _put(state, h=holds)

    def _is_far(self, distance: float, in_order: list[float], middle: float) -> bool:
        if distance == 0 or (self._rule.direction == "up" and distance < 0) or (
            self._rule.direction == "down" and distance > 0
        ):  # fmt: skip
            return False
        # Most values are decided without MAD: it exceeds `near` if at most half of the window is as near to the middle.
        near = abs(distance) / (self._rule.score * MAD_SCALE) * NEARLY
        if bisect_right(in_order, middle + near) - bisect_left(in_order, middle - near) <= (len(in_order) - 1) // 2:
            return False
        return abs(distance) > self._rule.score * deviation(in_order, middle)


def median(in_order: list[float]) -> float:
    """Return the median of sorted numbers."""
    half = len(in_order) // 2
    return in_order[half] if len(in_order) % 2 else (in_order[half - 1] + in_order[half]) / 2


def deviation(in_order: list[float], middle: float) -> float:
    """Return the robust standard deviation of sorted numbers around their median; 0 if all are equal."""
    distances = sorted([abs(value - middle) for value in in_order])
    found = MAD_SCALE * median(distances)
    return found or MEAN_SCALE * mean(distances)


def mean(numbers: Sequence[float]) -> float:
    """Return the mean, also of numbers whose sum is larger than a float can be."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return math.fsum(one / len(numbers) for one in numbers)


def _put(state: State, **values: Any) -> None:
    """Set what differs from a new state, and remove the rest: most states stay empty."""
    for name, value in values.items():
        if value:
            state[name] = value
        else:
            state.pop(name, None)
