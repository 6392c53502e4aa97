"""
Rules, compiled, and an index of them, so that a run and a point cost only the rules that concern them.

Pure. A filter that demands one of some texts (experiment = 'digits') is found by that text, and a rule about one series
by its name. Which rules concern a series name does not depend on the run, so it is decided once for each name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.alerts.evaluator.points import PointCondition, compiled
from consumers.store.alerts.where import RunValues, anchor, matches, parse_where
from consumers.store.search.filter_terms import Key, Node
from consumers.store.search.filter_tokens import FilterError
from schemas.alerts import (
    ALARM,
    AlertRule,
    GpuIdle,
    NoNews,
    RecordMissing,
    RunEnded,
    SeriesChoice,
    parse_alarm,
    read_rule,
)
from schemas.errors import BadSettings

MAX_NAMES = 100_000  # of series, whose rules are remembered
MAX_PATTERN_NAME = 500  # characters of a written name that a regular expression is tried on
GPU = SeriesChoice(regex=r"system/gpu/\d+/utilization_percent")
_ALL = SeriesChoice(regex=r"^(?!(.{0,100}/)?system/)")


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """A version of a rule, ready to be evaluated."""

    id: str
    version: int
    name: str
    rule: AlertRule
    where: Node
    since_ms: int  # it judges what the log got from this time on; ms since 1970
    condition: PointCondition | None  # None: about runs, or about silence

    # Derived, because they are asked for each record.
    cooldown_us: int = field(init=False)  # how long after a firing the next one may be
    is_about_runs: bool = field(init=False)  # it has one state for each run, and not for each series
    needs_running: bool = field(init=False)  # its condition ceases to hold when the run ends
    is_timed: bool = field(init=False)  # it may fire without a record

    def __post_init__(self) -> None:
        when = self.rule.when
        needs_running = isinstance(when, NoNews) or (self.condition is not None and self.condition.while_running)
        for name, value in (
            ("cooldown_us", round(self.rule.cooldown_s * 1e6)),
            ("is_about_runs", self.rule.is_about_runs),
            ("needs_running", needs_running),
            ("is_timed", isinstance(when, NoNews | RunEnded | RecordMissing)),
        ):
            object.__setattr__(self, name, value)  # it is frozen


def compile_rule(
    rule_id: str, version: int, name: str, body: Mapping[str, Any], since_ms: int, about: str = "the rule"
) -> Rule:
    """Return a rule of the collection. Raises BadSettings: one line that names the field and what to write."""
    if rule_id.startswith(ALARM):
        raise BadSettings(f"{about}: id: {ALARM} begins the ids of alarms in code: choose another one")
    rule = read_rule(body, about)
    try:
        where = parse_where(rule.where)
    except FilterError as error:
        raise BadSettings(f"{about}: where: {error}") from error
    return Rule(rule_id, version, name or rule_id, rule, where, since_ms, compiled(rule.when))


def alarm_rules(metric: str, alarm: str, goal: Any, offset: int) -> list[Rule]:
    """Return the rules of the alarm of a metric, of which the record has this offset. Raises ValueError."""
    found = []
    for number, condition in enumerate(parse_alarm(alarm, goal)):
        rule = AlertRule.model_construct(
            when=condition, series=SeriesChoice.model_construct(name=metric), where="", to=[], severity="warning",
            cooldown_s=0.0,
        )  # fmt: skip
        rule_id = f"{ALARM}{metric}/{number}"
        name = f"{metric}: {alarm}"
        found.append(Rule(rule_id, offset + 1, name, rule, parse_where(""), 0, compiled(condition)))
    return found


class RuleIndex:
    """The rules that are enabled, and names of experiments by id."""

    def __init__(self, rules: Iterable[Rule] = (), experiments: Mapping[str, str] | None = None) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self.experiments = dict(experiments or {})
        self._anywhere: list[Rule] = []
        self._anchored: dict[Key, dict[str, list[Rule]]] = {}
        self._named: dict[str, list[Rule]] = {}
        self._patterns: list[tuple[SeriesChoice, list[Rule]]] = []
        self._of_name: dict[str, tuple[Rule, ...]] = {}
        patterns: dict[SeriesChoice, list[Rule]] = {}
        for rule in self.rules.values():
            self._add_anchor(rule)
            if not rule.is_about_runs:
                choice = rule.rule.series or (GPU if isinstance(rule.rule.when, GpuIdle) else _ALL)
                if choice.name is not None:
                    self._named.setdefault(choice.name, []).append(rule)
                else:
                    patterns.setdefault(choice, []).append(rule)
        self._patterns = list(patterns.items())

    def of_run(self, run: RunValues) -> dict[str, Rule]:
        """Return the rules whose filter a run fits, by id."""
        found = [rule for rule in self._anywhere if matches(rule.where, run)]
        for key, by_text in self._anchored.items():
            value = run.of(key)
            if isinstance(value, str):
                found += [rule for rule in by_text.get(value, ()) if matches(rule.where, run)]
        return {rule.id: rule for rule in found}

    def of_series(self, written: str, among: Mapping[str, Rule]) -> tuple[Rule, ...]:
        """Return those of the rules `among` that are about the series of this written name."""
        candidates = self._of_name.get(written)
        if candidates is None:
            if len(self._of_name) >= MAX_NAMES:
                self._of_name.clear()
            candidates = self._of_name[written] = self._find(written)
        if len(among) < len(candidates):
            wanted = set(candidates)
            return tuple(rule for rule in among.values() if rule in wanted)
        return tuple(rule for rule in candidates if rule.id in among)

    def _find(self, written: str) -> tuple[Rule, ...]:
        found = list(self._named.get(written, ()))
        for choice, rules in self._patterns:
            if is_chosen(choice, written):
                found += rules
        return tuple(found)

    def _add_anchor(self, rule: Rule) -> None:
        anchored = anchor(rule.where)
        if anchored is None:
            self._anywhere.append(rule)
            return
        key, texts = anchored
        for text in set(texts):
            self._anchored.setdefault(key, {}).setdefault(text, []).append(rule)


def is_chosen(choice: SeriesChoice, written: str) -> bool:
    """Tell whether a series is one of those that a rule is about."""
    if choice.name is not None:
        return choice.name == written
    if choice.prefix is not None:
        return written.startswith(choice.prefix)
    return len(written) <= MAX_PATTERN_NAME and re.search(choice.regex or "", written) is not None
