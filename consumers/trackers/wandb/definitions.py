"""
Translate what code says of metrics into W&B's own definitions, and keep the best value of each metric with a goal.

Pure. W&B computes the minimum of a metric only while one process of its own sees all of its rows, which neither a run
file nor a delivery in several sessions gives it. So the best values are ours: `NAME.min` and `NAME.max` in the run's
summary, the names under which W&B shows those that it computes. They count finite values of all rows, and only
definitions that came before the first row, because earlier values are not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas import events as ev
from schemas.mapping.names import wandb_key, wandb_name
from schemas.metric_definitions import MANY, DefinitionFinder
from schemas.names import series_name

Known = Mapping[str, Mapping[str, Any]]  # what was said, by name, as the stored state holds it
Best = Mapping[str, float]  # by key of the summary


class WandbDefinition(NamedTuple):
    """The arguments of W&B's `define_metric`."""

    name: str  # a key, or the beginning of keys with * behind it
    x: str  # key of the x axis; "" for that of all metrics
    hidden: bool
    goal: str  # min or max, "" for none
    has_summary: bool = True


def fold_definitions(known: Known, events: Iterable[ev.AnyEvent], *, has_rows: bool) -> dict[str, dict[str, Any]]:
    """Return what is known of metrics after some events; `has_rows`: the run had values before them."""
    found = {name: dict(said) for name, said in known.items()}
    for event in events:
        if isinstance(event, ev.Points | ev.Values):
            has_rows = True
        elif isinstance(event, ev.MetricDefined):
            goal = event.summary if event.summary in ("min", "max") else event.goal
            is_known = found.get(event.name, {}).get("best") == goal
            best = goal if is_known or not has_rows else ""  # what was recorded before is not here
            facts = {"x": event.x, "hidden": event.hidden, "goal": goal, "summary": event.summary != "none"}
            found[event.name] = facts | {"best": best}
    return found


def fold_best(best: Best, known: Known, events: Iterable[ev.AnyEvent]) -> dict[str, float]:
    """Return the best value of each metric with a goal after some events, by its key in the summary."""
    if not any(said["best"] for said in known.values()):
        return {}
    finder = BestValues(best, known)
    for event in events:
        if isinstance(event, ev.Points):
            for series in event.series:
                finder.add(series_name(series.name, series.labels, event.step_name), series.values)
    return finder.values()


class BestValues:
    """The best values of a run, while values are added to them."""

    def __init__(self, best: Best, known: Known) -> None:
        self._best, self._known, self._finder = dict(best), known, DefinitionFinder(known)

    def add(self, written: str, values: Iterable[float]) -> None:
        """Take values of a series into account, by its written name."""
        finite = [value for value in values if math.isfinite(value)]
        if finite and (goal := self._goal(written)):
            place = f"{wandb_key(written)}.{goal}"
            finite += [self._best[place]] if place in self._best else []
            self._best[place] = min(finite) if goal == "min" else max(finite)

    def values(self) -> dict[str, float]:
        """Return the best values, by key of the summary, without those of metrics that lost their goal."""
        return {place: value for place, value in self._best.items() if self._has_goal(place)}

    def _has_goal(self, place: str) -> bool:
        key, _, goal = place.rpartition(".")
        return self._goal(wandb_name(key)) == goal

    def _goal(self, written: str) -> str:
        name = self._finder.find(written)
        return "" if name is None else str(self._known[name]["best"])


def wandb_definitions(known: Known) -> list[WandbDefinition]:
    """Return what W&B can hold of this: a name, or a pattern whose only * is its last character."""
    found = []
    for name, said in known.items():
        if MANY in name[:-1]:
            continue
        begin = name.removesuffix(MANY)
        key = (wandb_key(begin) if begin else "") + name[len(begin) :]
        x = wandb_key(said["x"]) if said["x"] else ""
        found.append(WandbDefinition(key, x, said["hidden"], said["goal"], said["summary"]))
    return found
