"""
What the evaluator keeps of a run and its series, and what evaluating records changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumers.alerts.evaluator.facts import Facts, Progress
from consumers.alerts.evaluator.rules import Rule
from schemas.metric_definitions import DefinitionFinder

_NAMESPACE = uuid.UUID("6d3f3b52-6a53-4f0c-9f4e-5d1f6f7f2a10")

# State of a rule, kept as JSON. `v`: version of the rule; `on`: time (µs) of the firing that is not resolved; `k`: how
# many firings there were; `c`: time of the last one. The other keys are those of its condition (points.py).
RuleState = dict[str, Any]


@dataclass(slots=True)
class SeriesState:
    """What is kept of one series."""

    attempt: int = 1
    name: str = ""  # without its named step and labels, by which people delete and rename it
    news_ms: int = 0  # when the log got its last points; kept only if a rule asks for it
    rules: dict[str, RuleState] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any] | None:
        """Return it as a JSON object; None if it is that of a new series."""
        rules = {rule_id: state for rule_id, state in self.rules.items() if len(state) > 1}
        if not rules and self.attempt == 1 and not self.news_ms:
            return None
        return {"attempt": self.attempt, "name": self.name, "news_ms": self.news_ms, "rules": rules}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SeriesState:
        """Return what `to_json` made."""
        return cls(stored["attempt"], stored["name"], stored["news_ms"], dict(stored["rules"]))


class RunRules(NamedTuple):
    """The rules that concern a run, found again when its facts or the rules change."""

    of_run: list[Rule]
    timed: list[Rule]  # of these, those that may fire without a record
    has_timed_series: bool  # a rule about its series may
    of_series: dict[str, Rule]  # by id
    alarms: dict[str, list[Rule]]  # of its metrics, by name of the definition
    alarm_texts: dict[str, list[Any]]  # as the facts have them
    definitions: DefinitionFinder
    by_series: dict[str, tuple[Rule, ...]]  # filled as series come


@dataclass(slots=True)
class RunState:
    """What is kept of one run."""

    run_id: str
    partition: int
    facts: Facts = field(default_factory=Facts)
    progress: Progress = field(default_factory=Progress)
    series: dict[str, SeriesState] = field(default_factory=dict)  # by written name
    rules: RunRules | None = None  # not stored
    is_new_to_rules: bool = True  # it was loaded, or the rules have changed, since its last record; not stored
    timer: int | None = None  # earliest deadline that the clock of its partition knows, ms; not stored

    @property
    def is_open(self) -> bool:
        """Whether a rule may fire for it without a record."""
        held_back = any("h" in state and "on" not in state for state in self.progress.rules.values())
        return self.facts.is_running or bool(self.progress.missing_ms) or held_back


class At(NamedTuple):
    """When something happened, µs since 1970, and at which point, if it was one."""

    time: int
    step: int | None = None
    value: float | None = None


class Transition(NamedTuple):
    """A firing begins, or is resolved."""

    alert_id: uuid.UUID
    rule: Rule
    run_id: str
    series: str  # written name; "": the run itself
    fired: bool
    time: int  # µs since 1970: of the point or event, or when the silence had lasted long enough
    step: int | None
    value: float | None
    message: str


@dataclass(slots=True)
class Changes:
    """What some records changed."""

    facts: set[str] = field(default_factory=set)  # ids of runs
    progress: set[str] = field(default_factory=set)
    series: set[tuple[str, str]] = field(default_factory=set)  # run and written name
    transitions: list[Transition] = field(default_factory=list)


def alert_id(rule: Rule, run_id: str, series: str, number: int) -> uuid.UUID:
    """Return the id of a firing: the same however often, and by whichever process, the log is evaluated."""
    return uuid.uuid5(_NAMESPACE, "\x00".join((rule.id, str(rule.version), run_id, series, str(number))))
