"""
The findings of trackers.py as Markdown tables. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.history.figure import Figure, higher, lower
from benchmarks.table import markdown, number, ratio

HEAD = (
    "tracker",
    "points/s",
    "s",
    "CPU µs/point (+ PostgreSQL, + server)",
    "memory MiB (+ server)",
    "bytes/point",
    "verify",
    "verify s",
    "own bulk call points/s",
    "ours by own",
)
KILLS_HEAD = ("tracker", "kills", "faults", "starts", "s", "verify")
DOWN_HEAD = ("tracker", "all well: lag p50 / p99 ms", "MLflow away: lag p50 / p99 ms")


def trackers_table(found: Mapping[str, Any]) -> str:
    """Return a table for each part that has findings, and what is missing."""
    trackers: Mapping[str, Any] = found["trackers"]
    parts = [_log(found["log"])] if found["log"] else []
    replayed = [_row(name, one) for name, one in trackers.items() if "kills" not in one]
    killed = [_killed(name, one) for name, one in trackers.items() if "kills" in one]
    parts += [markdown(HEAD, replayed)] if replayed else []
    parts += [markdown(KILLS_HEAD, killed)] if killed else []
    if down := found["down"]:
        rows = [(name, _lags(one["well"]), _lags(one["away"])) for name, one in down["trackers"].items()]
        parts.append(markdown(DOWN_HEAD, rows))
    parts += [f"{name} cannot hold: {'; '.join(limits)}." for name, limits in _limits(trackers)]
    parts += [f"Missing: {name} ({one['missing']})." for name, one in trackers.items() if "missing" in one]
    parts += [f"Missing: {found['missing']}."] if "missing" in found else []
    return "\n\n".join(parts)


def _log(log: Mapping[str, Any]) -> str:
    return (
        f"{log['points']:,} points of {log['runs']:,} runs in {log['records']:,} records, "
        f"written in {log['write_s']:.0f} s, folded in {log['fold_s']:.0f} s."
    )


def _row(name: str, one: Mapping[str, Any]) -> Sequence[str]:
    done, own = one.get("replay"), one.get("own")
    if not done:
        return (name, "missing", *[""] * (len(HEAD) - 2))
    points = max(1, done["points"])
    cpu = [done[part] / points * 1e6 for part in ("cpu_s", "store_cpu_s", "server_cpu_s")]
    memory = f"{done['peak_mib']:.0f}" + (f" + {done['server_peak_mib']:.0f}" if done["server_peak_mib"] else "")
    return (
        name,
        number(done["points_per_s"]),
        number(done["seconds"]),
        " + ".join(number(part) for part in cpu if part),
        memory,
        number(done["disk_bytes"] / points),
        _verdict(one),
        number(one["verify"]["seconds"]) if "verify" in one else "–",
        number(own["points_per_s"]) if own else "–",
        ratio(done["points_per_s"], own["points_per_s"]) if own else "–",
    )


def _killed(name: str, one: Mapping[str, Any]) -> Sequence[str]:
    kills = one["kills"]
    faults = ", ".join(f"{count} {what}" for what, count in kills["faults"].items()) or "none"
    return (name, str(kills["kills"]), faults, str(kills["starts"]), number(kills["seconds"]), _verdict(one))


def _verdict(one: Mapping[str, Any]) -> str:
    if "verify" not in one:
        return "–"
    proved = one["verify"]
    if proved["is_equal"]:
        return "nothing twice, nothing missing"
    return f"{len(proved['differences']):,} differences"


def _limits(trackers: Mapping[str, Any]) -> list[tuple[str, Sequence[str]]]:
    return [(name, one["verify"]["cannot_hold"]) for name, one in trackers.items() if "verify" in one]


def _lags(lag: Mapping[str, float] | None) -> str:
    if lag is None:
        return "–"
    return f"{number(lag['p50'])} / {number(lag['p99'])}"


def trackers_figures(found: Mapping[str, Any]) -> list[Figure]:
    """Return what was measured of each tracker, for the history; its speed is compared with its own bulk call."""
    figures = list[Figure]()
    for name, one in found["trackers"].items():
        if done := one.get("replay"):
            own = {"its own bulk call": one["own"]["points_per_s"]} if "own" in one else {}
            figures.append(higher(f"{name}: replay", done["points_per_s"], "points/s", own, bound=1.5))
            used = sum(done[part] for part in ("cpu_s", "store_cpu_s", "server_cpu_s"))
            figures.append(lower(f"{name}: CPU, all parts", used / max(1, done["points"]) * 1e6, "µs/point"))
            figures.append(lower(f"{name}: memory", done["peak_mib"], "MiB"))
        if "kills" in one:
            figures.append(lower(f"{name}: replay with kills", one["kills"]["seconds"], "s"))
        if "verify" in one:
            figures.append(lower(f"{name}: differences", len(one["verify"].get("differences", ())), "points"))
            figures.append(lower(f"{name}: verify", one["verify"]["seconds"], "s"))
    for name, parts in (found["down"].get("trackers") or {}).items():
        for what, lag in (("all well", parts["well"]), ("MLflow away", parts["away"])):
            figures += [lower(f"{name}: lag {part}, {what}", lag[part], "ms") for part in ("p50", "p99") if lag]
    return figures
