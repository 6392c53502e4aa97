"""
The figures of ingest.py as Markdown tables. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.flow import Pace
from benchmarks.growth import Chart, Growth
from benchmarks.history.figure import Figure, higher, lower
from benchmarks.reference import LOOP
from benchmarks.table import markdown, number, ratio

TARGET_POINTS_PER_S, TARGET_LAG_MS, TARGET_CHART_MS = 300_000, 500, 20
RAW = {"its three numbers": 24.0}  # step, time and value, 8 bytes each
CPU_BOUNDS = {"producers": 1.25, "all parts": 1.25}  # what the others need depends on how busy the machine is
LAGS = ("p50", "p95", "p99", "max")
FIGURES_HEAD = ("what", "figure", "target")
CPU_HEAD = ("part", "as fast as it goes: µs a point", "cores", "at a pace: µs a point", "cores")
GROWTH_HEAD = ("what grows", "sizes", "µs a point", "× 10 costs")
PEERS_HEAD = ("tool", "points", "s until queryable", "points/s", "× slower", "queryable means")


class Bulk(NamedTuple):
    """Time of one tool for the same points in bulk."""

    name: str
    points: int
    seconds: float  # from the first call until all points can be read
    means: str  # what "queryable" means for the tool

    @property
    def points_per_s(self) -> float:
        """Points per second."""
        return self.points / self.seconds


class Found(NamedTuple):
    """All figures of one run; None or empty for those that are missing."""

    full: Pace | None = None
    steady: Pace | None = None
    store_bytes: float = 0.0  # per point in PostgreSQL, indexes included
    log_bytes: float = 0.0  # per point in Kafka
    growths: Sequence[Growth] = ()
    charts: Sequence[Chart] = ()
    bulks: Sequence[Bulk] = ()


def ingest_tables(found: Found, missing: Mapping[str, str], ours: str) -> str:
    """Return all tables and what could not be measured: a tool as a row of its table, anything else as a line."""
    parts = [
        markdown(FIGURES_HEAD, _figures(found)),
        markdown(CPU_HEAD, _cpu(found)) if found.full or found.steady else "",
        markdown(GROWTH_HEAD, map(_growth, found.growths)) if found.growths else "",
        markdown(PEERS_HEAD, _bulks(found.bulks, missing, ours)) if found.bulks else "",
        "\n".join(f"Missing: {what} ({why})." for what, why in missing.items() if " " in what or not found.bulks),
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(found: Found) -> list[tuple[str, str, str]]:
    rows = []
    if found.full:
        what = f"emit to queryable, sustained, {found.full.processes} processes"
        figure = f"{number(found.full.points_per_s)} points/s over {found.full.span_s:.0f} s"
        rows += [(what, figure, f"≥ {TARGET_POINTS_PER_S:,}")]
    if found.steady:
        what = f"lag at {number(found.steady.points_per_s)} points/s of {found.steady.processes} processes"
        figure = " / ".join(map(number, found.steady.lag_ms)) + " ms"
        rows += [(f"{what}: p50 / p95 / p99 / max", figure, f"p99 ≤ {TARGET_LAG_MS}")]
    if found.store_bytes:
        rows += [("bytes a point in PostgreSQL, indexes included", number(found.store_bytes), "")]
        rows += [("bytes a point in Kafka", number(found.log_bytes), "")]
    for chart in found.charts:
        target = f"≤ {TARGET_CHART_MS}" if chart is found.charts[-1] else ""
        figure = f"{number(chart.median_ms)} (slowest {number(chart.max_ms)}) ms"
        rows += [(f"chart of 1,000 buckets of {chart.points:,} points", figure, target)]
    return rows or [("nothing was measured", "", "")]


def _cpu(found: Found) -> list[tuple[str, ...]]:
    loads = (found.full, found.steady)
    names = list(dict.fromkeys(name for load in loads if load for name in load.cpu_us))
    rows = []
    for name in [*names, "all"]:
        row = [name]
        for load in loads:
            if load is None:
                row += ["–", "–"]
                continue
            cost = sum(load.cpu_us.values()) if name == "all" else load.cpu_us[name]
            row += [number(cost), number(cost * load.points_per_s / 1e6)]
        rows.append(tuple(row))
    return rows


def _growth(one: Growth) -> tuple[str, ...]:
    sizes = " → ".join(map("{:,}".format, one.sizes))
    costs = " → ".join(map(number, one.us_per_point))
    return (one.what, sizes, costs, " then ".join(f"{slope:.2f}×" for slope in one.slope))


def _bulks(bulks: Sequence[Bulk], missing: Mapping[str, str], ours: str) -> list[tuple[str, ...]]:
    us = next((one for one in bulks if one.name == ours), None)
    rows: list[tuple[str, ...]] = []
    for one in bulks:
        slower = ratio(us.points_per_s if us else 0.0, one.points_per_s)
        speed = number(one.points_per_s)
        rows.append((one.name, f"{one.points:,}", number(one.seconds), speed, slower, one.means))
    rows += [(name, "missing", why, "", "", "") for name, why in missing.items() if " " not in name]
    return rows


def ingest_figures(found: Found, ours: str, reference_us: float) -> list[Figure]:
    """Return all figures for the history; CPU times are compared with `reference_us`, that of the reference loop."""
    figures = [
        *pace_figures("full speed", found.full, reference_us),
        *pace_figures("steady", found.steady, reference_us),
    ]
    if found.store_bytes:
        sizes = {"PostgreSQL": found.store_bytes, "Kafka": found.log_bytes}
        figures += [lower(f"size in {name}", size, "bytes/point", RAW, bound=1.05) for name, size in sizes.items()]
    for one in found.growths:
        for at, (size, cost) in enumerate(zip(one.sizes, one.us_per_point, strict=True)):
            others = {f"{one.sizes[at - 1]:,}": one.us_per_point[at - 1]} if at else {}
            figures.append(lower(f"fold, {one.what}: {size:,}", cost, "µs/point", others, bound=2.0))
    figures += [lower(f"chart of {one.points:,} points", one.median_ms, "ms") for one in found.charts]
    others = {one.name: one.points_per_s for one in found.bulks if one.name != ours}
    return figures + [higher("bulk", one.points_per_s, "points/s", others) for one in found.bulks if one.name == ours]


def pace_figures(name: str, pace: Pace | None, reference_us: float) -> list[Figure]:
    """Return the figures of a load; CPU times are compared with `reference_us`, that of the reference loop."""
    if pace is None:
        return []
    cpu = {**pace.cpu_us, "all parts": sum(pace.cpu_us.values())}
    return [
        higher(f"{name}: queryable", pace.points_per_s, "points/s"),
        lower(f"{name}: lost", pace.dropped, "points"),
        *(
            lower(f"{name}: CPU, {part}", used, "µs/point", {LOOP: reference_us}, bound=CPU_BOUNDS.get(part, 1.75))
            for part, used in cpu.items()
        ),
        *(lower(f"{name}: lag {part}", lag, "ms") for part, lag in zip(LAGS, pace.lag_ms, strict=True)),
    ]
