"""
The method of a run that says what a metric means. What does not fit is reported once and left out; nothing raises.
"""

from __future__ import annotations

from gateway.client.encoding.values import MAX_NAME, clean, clean_name, cut_bytes, text_of
from gateway.client.guards import never_raises, safe_repr
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.recording.recorder import Recorder

GOALS = {"min": "min", "minimize": "min", "max": "max", "maximize": "max", "": ""}
SUMMARIES = {**{name: name for name in ("last", "min", "max", "mean", "first", "none")}, "best": "", "": ""}


class DefinitionMethods:
    """What `Run` has of definitions of metrics."""

    recorder: Recorder
    _definitions: dict[str, dict[str, Any]]  # by name, as this process recorded them last

    @never_raises("define_metric")
    def define_metric(  # noqa: PLR0913 -- each is a fact about a metric
        self,
        name: str,
        *,
        goal: str | None = None,
        unit: str | None = None,
        panel: str | None = None,
        x: str | None = None,
        alarm: str | None = None,
        description: str | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
    ) -> None:
        """
        Say what a metric means: `define_metric("val/loss", goal="min", unit="nat", x="epoch", alarm="> 10 or nan")`.

        `name` is that of a series as charts show it (`test/loss` for `loss` in the step `test`; one without labels is
        for all labels), or a pattern in which `*` stands for any text; of several that fit a series the most specific
        one counts. `goal` says which values are better, "min" or "max": the dashboard and trackers then show the best
        value. `panel` is the title of the chart that it belongs to, `x` the metric that is its x axis. `alarm`
        is the condition of an alert (docs/alerts.md). A `hidden` metric has no chart until a person asks for one.
        `summary` is the number that stands for it in tables: "last", "min", "max", "mean", "first" or "none"; by
        default the best one if there is a goal, else the last.

        What is left out stays as it was said before. Calling it again with the same values records nothing, so it may
        be in a loop.
        """
        named = clean_name(name)
        said = {
            "goal": _choice("goal", goal, GOALS),
            "unit": _short(unit),
            "panel": _short(panel),
            "x": _short(x),
            "alarm": _short(alarm),
            "description": None if description is None else clean(text_of(description)),
            "hidden": None if hidden is None else bool(hidden),
            "summary": _choice("summary", summary, SUMMARIES),
        }
        known = self._definitions.get(named)
        body = {**(known or {}), **{key: value for key, value in said.items() if value is not None}}
        if body == known:
            return
        self._definitions[named] = body
        self.recorder.record("metric_defined", name=named, **body)


def _short(text: Any) -> str | None:
    return None if text is None else cut_bytes(clean(text_of(text), MAX_NAME), MAX_NAME)


def _choice(argument: str, given: Any, known: dict[str, str]) -> str | None:
    """Return one of the known words; None, as if it was left out, for any other, which is reported."""
    if given is None:
        return None
    found = known.get(text_of(given))
    if found is None:
        words = ", ".join(sorted(word for word in known if word))
        warn_once(argument, f"{argument} {safe_repr(given)} of a metric is none of {words}: it is left out")
    return found
