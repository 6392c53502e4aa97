"""
Evaluate rules on the records of the log.

Pure: records and the time of a clock in, changes of state and transitions out. The process that watches the log and a
back-test use it alike, and what it says depends on the records of a run alone, not on how they are batched. Runs are
loaded before their records are passed on; strays are left out by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from consumers.alerts.evaluator.clock import Clocks
from consumers.alerts.evaluator.columns import Columns
from consumers.alerts.evaluator.facts import FACTS, Facts
from consumers.alerts.evaluator.points import Change
from consumers.alerts.evaluator.rules import Rule, RuleIndex, alarm_rules
from consumers.alerts.evaluator.silence import Verdict, judge_run, judge_series
from consumers.alerts.evaluator.state import (
    At,
    Changes,
    RuleState,
    RunRules,
    RunState,
    SeriesState,
    Transition,
    alert_id,
)
from consumers.log.record import Record
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.metric_definitions import DefinitionFinder
from schemas.names import series_name
from schemas.wire import decode, identify

_NEW: RuleState = {}  # that of a rule that has seen nothing yet
_POINTS = frozenset({"metrics", "metric_rows", "system_metrics"})


class Evaluator:
    """The states of runs in memory, and the rules. `take_changes` returns what changed since the last call."""

    def __init__(self, index: RuleIndex | None = None) -> None:
        self.runs: dict[str, RunState] = {}
        self.clocks = Clocks()
        self._index = index or RuleIndex()
        self._changes = Changes()

    @property
    def has_transitions(self) -> bool:
        """Whether something fired, or was resolved, since the last call of `take_changes`."""
        return bool(self._changes.transitions)

    def take_changes(self) -> Changes:
        """Return what changed, and start with no changes."""
        changes, self._changes = self._changes, Changes()
        return changes

    def use(self, index: RuleIndex) -> bool:
        """Evaluate other rules from now on; return False if deadlines have to be found again, with `resume`."""
        before, now = (
            {(rule.id, rule.version) for rule in one.rules.values() if rule.is_timed} for one in (self._index, index)
        )
        self._index = index
        for run in self.runs.values():
            run.rules, run.is_new_to_rules = None, True
        return before == now

    def add(self, run: RunState) -> None:
        """Take a run into memory: a stored one, or a new one."""
        self.runs[run.run_id] = run

    def resume(self, run: RunState) -> None:
        """Take a stored run into memory that nothing may come of any more, with its deadlines."""
        self.add(run)
        self._set_timer(run)

    def forget(self) -> None:
        """Forget all runs; their deadlines stay."""
        self.runs.clear()

    def observe(self, record: Record) -> None:
        """Evaluate one record of a run in memory. One that is no event, or is there twice, changes nothing."""
        self.pass_time(record.partition, record.time_ms)
        try:
            identity = identify(record.key, record.headers)
            if identity.run_id is None:
                return
            run = self.runs[identity.run_id]
            kind, event = identity.kind, None
            if kind in FACTS or (kind in _POINTS and self._has_series_rules(run)):
                event = decode(record.key, record.value, record.headers).event
        except BadRecord:
            return
        if not run.progress.admit(identity, record.time_ms):
            return
        self._changes.progress.add(run.run_id)
        had_missing = run.progress.missing_ms
        if run.is_new_to_rules:
            self._forget_other_rules(run, identity.time)
        if isinstance(event, ev.ProducerClosed):
            run.progress.close(identity.producer, event, record.time_ms)
        run.progress.count_missing(record.time_ms)
        known = self._rules(run)
        changed = run.facts.see_work(kind)
        if event is not None and kind not in _POINTS:
            changed |= run.facts.fold(event, record.offset)
            if isinstance(event, ev.RunFinished | ev.RunFailed | ev.RunKilled):
                run.progress.ended_ms = record.time_ms
        if changed:
            self._facts_changed(run, known, identity.time if event is None else event.time)
        if isinstance(event, ev.Deleted | ev.Renamed) and event.what == "series":
            self._edit_series(run, event)
        new_series = False
        if isinstance(event, ev.Points):
            for series in event.series:
                new_series |= self._points(run, event, series, record.time_ms)
        self._judge_run(run, record.time_ms, identity.time if event is None else event.time)
        if run.timer is None or changed or new_series or run.progress.missing_ms != had_missing:
            self._set_timer(run)

    def pass_time(self, partition: int, now_ms: int) -> None:
        """Let the clock of a partition be `now_ms`: no record before it can come. Runs that are due are in memory."""
        while (due := self.clocks.take(partition, now_ms)) is not None:
            deadline_ms, run_id = due
            run = self.runs[run_id]
            if run.timer is not None and run.timer != deadline_ms:
                continue  # an earlier one has taken its place
            run.timer = None
            self._pass_deadlines(run, now_ms)
            self._set_timer(run)

    def _rules(self, run: RunState) -> RunRules:
        if run.rules is None:
            found = {} if run.facts.gone else self._index.of_run(run.facts.values(run.run_id, self._index.experiments))
            alarms = {} if run.facts.gone else _alarms(run.facts)
            of_run = [rule for rule in found.values() if rule.is_about_runs]
            of_series = {rule_id: rule for rule_id, rule in found.items() if not rule.is_about_runs}
            of_series_or_alarms = chain(of_series.values(), *alarms.values())
            run.rules = RunRules(
                of_run=of_run,
                timed=[rule for rule in of_run if rule.is_timed],
                has_timed_series=any(rule.is_timed for rule in of_series_or_alarms),
                of_series=of_series,
                alarms=alarms,
                alarm_texts=dict(run.facts.alarms),
                definitions=DefinitionFinder(run.facts.alarms if alarms else ()),
                by_series={},
            )
        return run.rules

    def _has_series_rules(self, run: RunState) -> bool:
        rules = self._rules(run)
        return bool(rules.of_series or rules.alarms)

    def _rules_of(self, run: RunState, written: str) -> tuple[Rule, ...]:
        rules = self._rules(run)
        found = rules.by_series.get(written)
        if found is None:
            found = self._index.of_series(written, rules.of_series) if rules.of_series else ()
            definition = rules.definitions.find(written) if rules.alarms else None
            found = rules.by_series[written] = (*found, *rules.alarms.get(definition or "", ()))
        return found

    def _facts_changed(self, run: RunState, known: RunRules, time: int) -> None:
        """Find the rules that concern a run again, and resolve what no longer does, or needs a run that is running."""
        self._changes.facts.add(run.run_id)
        run.rules = None
        rules = self._rules(run)
        if known.of_series == rules.of_series and known.alarm_texts == rules.alarm_texts:
            run.rules = rules._replace(alarms=known.alarms, definitions=known.definitions, by_series=known.by_series)
        before, now = ({rule.id: rule for rule in one.of_run} for one in (known, rules))
        for rule_id in run.progress.rules.keys() - now.keys():
            self._drop(run, "", run.progress.rules, rule_id, before.get(rule_id), time)
        for written, series in run.series.items():
            of_series = {rule.id: rule for rule in self._rules_of(run, written)}
            for rule_id in series.rules.keys() - of_series.keys():
                former = {rule.id: rule for rule in known.by_series.get(written, ())}
                self._drop(run, written, series.rules, rule_id, former.get(rule_id), time)
            if not run.facts.is_running:
                self._stop(run, written, series, of_series, time)

    def _stop(self, run: RunState, written: str, series: SeriesState, rules: Mapping[str, Rule], time: int) -> None:
        """Resolve what needs a run that is running."""
        for rule_id, state in series.rules.items():
            if rules[rule_id].needs_running and state.pop("h", None):
                self._tell(rules[rule_id], run, written, state, False, At(time), "the run is not running")
                self._changes.series.add((run.run_id, written))

    def _drop(
        self, run: RunState, written: str, states: dict[str, RuleState], rule_id: str, rule: Rule | None, time: int
    ) -> None:
        """Resolve a rule that is no longer about a run. `rule` is None for one that is not there any more."""
        state = states.pop(rule_id)
        if rule is not None and rule.version == state["v"]:
            self._tell(rule, run, written, state, False, At(time), "the rule is no longer about this run")
            states[rule_id] = _emptied(state)
        if written:
            self._changes.series.add((run.run_id, written))

    def _points(self, run: RunState, event: ev.Points, new: ev.Series, time_ms: int) -> bool:
        """Evaluate the points of a series; return whether it is new."""
        written = series_name(new.name, new.labels, event.step_name)
        rules = self._rules_of(run, written)
        known = run.series.get(written)
        if not rules and known is None:
            return False
        series = known or run.series.setdefault(written, SeriesState(event.attempt, new.name))
        if event.attempt < series.attempt:
            return False  # superseded
        if event.attempt > series.attempt:
            self._begin_attempt(run, written, series, event)
        if known is None and series.attempt > 1:
            self._changes.series.add((run.run_id, written))
        columns = Columns(new.steps, new.times, new.values)
        states = series.rules
        for rule in rules:
            if time_ms < rule.since_ms:
                continue
            state = states.get(rule.id, _NEW)
            is_new = "v" not in state or state["v"] != rule.version
            if rule.condition is None or not rule.condition.is_quiet(columns, _NEW if is_new else state):
                self._walk(rule, run, written, series, columns, time_ms)
        return known is None

    def _walk(
        self, rule: Rule, run: RunState, written: str, series: SeriesState, columns: Columns, time_ms: int
    ) -> None:
        state = _state(series.rules, rule)
        if rule.condition is None:  # silence of the series: it has ended
            series.news_ms = time_ms
            self._changes.series.add((run.run_id, written))
            if state.pop("h", None):
                self._tell_point(rule, run, written, state, columns, Change(0, False, "points come again"))
            return
        if rule.condition.while_running and not run.facts.is_running:
            return
        before = dict(state)
        for change in rule.condition.walk(columns, state):
            self._tell_point(rule, run, written, state, columns, change)
            if change.holds:
                state["m"] = change.what
        if state.get("h") and not state.get("on"):  # held back by its cooldown
            last = Change(len(columns) - 1, True, state.get("m", ""))
            self._tell_point(rule, run, written, state, columns, last)
        if not state.get("h"):
            state.pop("m", None)
        if state != before:
            self._changes.series.add((run.run_id, written))

    def _forget_other_rules(self, run: RunState, time: int) -> None:
        """
        Resolve what rules fired that are no longer about a run, because an experiment has another name.

        Rules that were changed or deleted are resolved in the store.
        """
        run.is_new_to_rules = False
        of_run = {rule.id for rule in self._rules(run).of_run}
        for rule_id in run.progress.rules.keys() - of_run:
            self._drop(run, "", run.progress.rules, rule_id, self._index.rules.get(rule_id), time)
        for written, series in run.series.items():
            for rule_id in series.rules.keys() - {rule.id for rule in self._rules_of(run, written)}:
                self._drop(run, written, series.rules, rule_id, self._index.rules.get(rule_id), time)

    def _edit_series(self, run: RunState, event: ev.Deleted | ev.Renamed) -> None:
        """Begin a series again that was deleted or renamed: what comes later under its name is new."""
        name = event.name if isinstance(event, ev.Deleted) else event.old
        why = "the series was deleted" if isinstance(event, ev.Deleted) else f"the series was renamed to {event.new}"
        for written, series in run.series.items():
            if series.name == name:
                series.news_ms = 0
                self._empty(run, written, series, event.time, why)

    def _empty(self, run: RunState, written: str, series: SeriesState, time: int, why: str) -> None:
        """Resolve what fires for a series, and forget its points."""
        for rule in self._rules_of(run, written):
            state = series.rules.get(rule.id)
            if state is not None and state["v"] == rule.version:
                self._tell(rule, run, written, state, False, At(time), why)
                series.rules[rule.id] = _emptied(state)
        self._changes.series.add((run.run_id, written))

    def _begin_attempt(self, run: RunState, written: str, series: SeriesState, event: ev.Points) -> None:
        """Begin a series again: what earlier attempts recorded no longer counts."""
        self._empty(run, written, series, event.time, f"attempt {event.attempt} began")
        series.attempt = event.attempt

    def _judge_run(self, run: RunState, time_ms: int, time: int) -> None:
        """Judge the rules about a run after one of its records."""
        for rule in self._rules(run).of_run:
            if time_ms >= rule.since_ms:
                verdict = judge_run(rule, run, time_ms)
                at = time if verdict.deadline_ms is None or not verdict.holds else verdict.deadline_ms * 1_000
                self._apply(rule, run, "", run.progress.rules, verdict, at)

    def _pass_deadlines(self, run: RunState, now_ms: int) -> None:
        """Let conditions hold whose deadlines are before `now_ms`, each at its deadline."""
        self._changes.progress.add(run.run_id)
        found = [
            (deadline, written, rule.id, rule, states, verdict)
            for written, rule, states, verdict in self._timed(run, now_ms)
            if verdict.holds and (deadline := _deadline(rule, states, verdict)) is not None and deadline < now_ms
        ]
        for deadline, written, _, rule, states, verdict in sorted(found, key=lambda one: one[:3]):
            self._apply(rule, run, written, states, verdict, deadline * 1_000)

    def _timed(self, run: RunState, now_ms: int) -> Iterator[tuple[str, Rule, dict[str, RuleState], Verdict]]:
        """Yield the rules that may fire without a record: series, rule, its states and the verdict at `now_ms`."""
        rules = self._rules(run)
        for rule in rules.timed:
            yield "", rule, run.progress.rules, judge_run(rule, run, now_ms)
        if not rules.has_timed_series:
            return
        for written, series in run.series.items():
            for rule in self._rules_of(run, written):
                if rule.is_timed:
                    yield written, rule, series.rules, judge_series(rule, run, series, now_ms)

    def _set_timer(self, run: RunState) -> None:
        """Have the clock of the partition come back to a run when the next condition will hold."""
        rules = self._rules(run)
        if not rules.timed and not rules.has_timed_series:
            return
        deadlines = [
            deadline
            for _, rule, states, verdict in self._timed(run, 0)
            if (deadline := _deadline(rule, states, verdict)) is not None
        ]
        if deadlines and (run.timer is None or min(deadlines) < run.timer):
            run.timer = min(deadlines)
            self.clocks.add(run.partition, run.timer, run.run_id)

    def _apply(
        self, rule: Rule, run: RunState, written: str, states: dict[str, RuleState], verdict: Verdict, time: int
    ) -> None:
        state = states.get(rule.id)
        if not verdict.holds and (state is None or state["v"] != rule.version):
            return
        state = _state(states, rule)
        has_held = state.pop("h", False)
        if verdict.holds:
            state["h"] = True
        if verdict.holds != ("on" in state):
            what = verdict.what if verdict.holds else "it no longer holds"
            self._tell(rule, run, written, state, verdict.holds, At(time), what)
        elif has_held == verdict.holds:
            return
        self._changes.progress.add(run.run_id)
        if written:
            self._changes.series.add((run.run_id, written))

    def _tell_point(
        self, rule: Rule, run: RunState, written: str, state: RuleState, columns: Columns, change: Change
    ) -> None:
        at = At(columns.times[change.at], columns.steps[change.at], columns.values[change.at])
        self._tell(rule, run, written, state, change.holds, at, change.what)

    def _tell(self, rule: Rule, run: RunState, written: str, state: RuleState, fired: bool, at: At, what: str) -> None:
        """Begin or resolve a firing, unless it has begun already, is resolved already, or comes within its cooldown."""
        is_on = "on" in state
        if fired == is_on or (fired and "c" in state and at.time - state["c"] < rule.cooldown_us):
            return
        if fired:
            state["k"] = state.get("k", 0) + 1
            state["on"] = state["c"] = at.time
        else:
            del state["on"]
        about = f"{written} " if written else ""
        found = alert_id(rule, run.run_id, written, state["k"])
        self._changes.transitions.append(
            Transition(found, rule, run.run_id, written, fired, *at, message=f"{about}{what}")
        )


def _state(states: dict[str, RuleState], rule: Rule) -> RuleState:
    state = states.get(rule.id)
    if state is None or state["v"] != rule.version:
        state = states[rule.id] = {"v": rule.version}
    return state


def _alarms(facts: Facts) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for name, (alarm, goal, offset) in facts.alarms.items():
        try:
            found[name] = alarm_rules(name, alarm, goal, offset) if alarm else []
        except ValueError:  # the client refuses such a text before it is sent
            found[name] = []
    return {name: rules for name, rules in found.items() if rules}


def _emptied(state: RuleState) -> RuleState:
    """Return a state with nothing but how often the rule fired."""
    return {name: state[name] for name in ("v", "k", "c") if name in state}


def _deadline(rule: Rule, states: Mapping[str, RuleState], verdict: Verdict) -> int | None:
    """Return when a condition will hold, ms, or when the cooldown of one that holds is over; None: never."""
    state = states.get(rule.id)
    if state is None or state["v"] != rule.version or not state.get("h"):
        return verdict.deadline_ms
    if "on" in state:
        return None
    return -(-int(state.get("c", 0) + rule.cooldown_us) // 1_000)  # not before it is over
