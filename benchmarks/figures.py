"""
Turn measured times into the figures of a table. Pure: values in, values out.

Rounds are combined by their median, so that one disturbed round does not matter; a maximum is the worst of all rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from statistics import median
from typing import Any, NamedTuple

from benchmarks.history.figure import RATIO, Figure, higher, lower


class Latency(NamedTuple):
    """Cost of a call, µs, without the cost of reading the clock."""

    p50: float
    p99: float
    max: float


class Figures(NamedTuple):
    """Measured figures of one tool."""

    name: str
    import_ms: float  # the import statement in a fresh process: the minimum of all rounds
    ready_ms: float  # import and a started run: the minimum of all rounds
    one: Latency  # 1 scalar per call
    ten: Latency  # 10 scalars per call
    points_per_s: float  # 10 scalars per call, from the first call until finish() returned; 0 when nothing was kept
    cpu_us: float  # user and system time of the process and its children per point kept, µs
    server_cpu_us: float  # the same for the server that was started for the tool
    slowdown: float  # duration of training steps with the tool, divided by that without it
    thread_slowdown: float  # the same in CPU time of the training thread: no waits for other threads and programs
    in_training: Latency  # a call with 3 scalars inside the training loop
    calls: int  # timed calls of 1 and of 10 scalars, all rounds
    lost: int  # points that finish() reported as lost, all rounds


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the sorted values that at least `percent` % of them do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no values: a percentile needs at least one")
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is not a percentage above 0 and up to 100")
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def latency(times_ns: Sequence[int], *, timer_ns: int, max_ns: int | None = None) -> Latency:
    """Return the percentiles of times that include reading the clock; never below 0."""
    ordered = sorted(times_ns)
    largest = ordered[-1] if max_ns is None else max_ns
    chosen = (percentile(ordered, 50), percentile(ordered, 99), largest)
    return Latency(*(max(0.0, (time - timer_ns) / 1e3) for time in chosen))


def combined(rounds: Sequence[Latency]) -> Latency:
    """Return the median round's percentiles and the worst round's maximum."""
    p50, p99 = (median(getattr(one, part) for one in rounds) for part in ("p50", "p99"))
    return Latency(p50, p99, max(one.max for one in rounds))


def slowdown(pairs_s: Sequence[Sequence[float]]) -> float:
    """Return the median of (time with the tool) / (time without it) over pairs of blocks."""
    return median(logged / plain for plain, logged in pairs_s)


def figures_of(name: str, rounds: Sequence[dict[str, Any]], training: dict[str, Any]) -> Figures:
    """Combine the answers of the harness, for every round and for training, into one tool's figures."""
    runs = [one[key] for one in rounds for key in ("scalars_1", "scalars_10")]
    points = sum(run["points"] for run in runs)
    return Figures(
        name=name,
        import_ms=min(one["import_ms"] for one in rounds),
        ready_ms=min(one["import_ms"] + one["start_ms"] for one in rounds),
        one=combined([_latency_of(one, "scalars_1") for one in rounds]),
        ten=combined([_latency_of(one, "scalars_10") for one in rounds]),
        points_per_s=median(one["scalars_10"]["points"] / one["scalars_10"]["wall_s"] for one in rounds),
        cpu_us=sum(run["cpu_s"] for run in runs) / points * 1e6 if points else 0.0,
        server_cpu_us=sum(one.get("server_cpu_s", 0.0) for one in rounds) / points * 1e6 if points else 0.0,
        slowdown=slowdown(training["pairs_s"]),
        thread_slowdown=slowdown(training["thread_pairs_s"]),
        in_training=latency(training["times_ns"], timer_ns=training["timer_ns"]),
        calls=sum(run["calls"] for run in runs),
        lost=sum(run["lost"] for run in runs),
    )


def _latency_of(one: dict[str, Any], key: str) -> Latency:
    return latency(one[key]["times_ns"], timer_ns=one["timer_ns"], max_ns=one[key]["max_ns"])


def emit_figures(measured: Sequence[Figures], ours: str) -> list[Figure]:
    """Return our figures and their ratios to those of the other tools; none if ours are missing."""
    us = next((one for one in measured if one.name == ours), None)
    if us is None:
        return []

    def others(part: Callable[[Figures], float]) -> dict[str, float]:
        return {one.name: part(one) for one in measured if one.name != ours}

    return [
        lower("import", us.import_ms, "ms"),
        lower("ready", us.ready_ms, "ms"),
        lower("1 scalar, p50", us.one.p50, "µs", others(lambda one: one.one.p50)),
        lower("1 scalar, p99", us.one.p99, "µs"),
        lower("10 scalars, p50", us.ten.p50, "µs", others(lambda one: one.ten.p50)),
        lower("10 scalars, p99", us.ten.p99, "µs"),
        higher("until finished", us.points_per_s, "points/s", others(lambda one: one.points_per_s), bound=1.5),
        lower("CPU", us.cpu_us, "µs/point", others(lambda one: one.cpu_us), bound=1.35),
        lower("in training, p50", us.in_training.p50, "µs", others(lambda one: one.in_training.p50), bound=1.6),
        *slowdown_figures(us.slowdown, us.thread_slowdown),
    ]


def slowdown_figures(wall: float, thread: float) -> list[Figure]:
    """Return the slowdowns of a training loop, which are ratios to the same loop without the tool."""
    return [
        lower("slowdown", wall, RATIO, {"the loop alone": 1.0}, bound=1.15),
        lower("slowdown in CPU time of the thread", thread, RATIO, {"the loop alone": 1.0}, bound=1.04),
    ]
