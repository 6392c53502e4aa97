"""
What is known of a run, from its records alone: what filters compare, its life cycle, and which records are missing.

Pure. It is a small fold of its own, so that an alert does not wait for the materialiser and a back-test needs the log
alone. Values that are long or many are left out: a filter compares the first MAX_VALUES parameters and tags whose text
has at most MAX_TEXT characters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from consumers.log.dedup import Ledger, admit
from consumers.store.alerts.where import RunValues
from schemas import events as ev
from schemas.columns import float_from_json, float_to_json
from schemas.statuses import STATUS_AFTER, end_rank
from schemas.values import BoolValue, FloatValue, IntValue, Typed, to_text
from schemas.wire import Identity

MAX_VALUES = 1_000  # parameters, and as many tags
MAX_TEXT = 1_000  # characters
# Kinds of records that are parsed whatever the rules are.
FACTS = frozenset({
    *STATUS_AFTER, "params", "tags", "renamed", "deleted", "moved", "lifecycle_stage", "producer_closed",
    "metric_defined",
})  # fmt: skip
# What people do to a run is no sign that its processes work.
EDITS = frozenset({"tags", "labels", "note", "renamed", "deleted", "moved", "lifecycle_stage"})
_SIGNS_OF_WORK = frozenset({
    "metrics", "metric_rows", "system_metrics", "values", "text", "heartbeat", "step_started", "step_finished",
    "attempt_started", "attempt_finished",
})  # fmt: skip


@dataclass(slots=True)
class Facts:
    """The facts of one run. `changed` is whether they are to be stored."""

    name: str = ""
    tag: str = ""
    group: str = ""
    experiment_id: str = ""
    parent_run_id: str = ""
    params: dict[str, float | str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)  # of parameters that are not of the first attempt
    tags: dict[str, str] = field(default_factory=dict)
    attempt: int = 1
    state: str = "created"
    ended: int | None = None  # µs
    message: str = ""
    heartbeats: bool = True
    gone: bool = False  # deleted, or in the trash
    alarms: dict[str, list[Any]] = field(default_factory=dict)  # by name of a definition: alarm, goal, offset

    @property
    def is_running(self) -> bool:
        """Whether the run has started and not ended."""
        return self.state == "running" and not self.gone

    def values(self, run_id: str, experiments: Mapping[str, str]) -> RunValues:
        """Return what filters compare; `experiments` are names by id."""
        facts = {
            "run_id": run_id, "name": self.name, "group": self.group, "tag": self.tag,
            "parent_run_id": self.parent_run_id, "experiment_id": self.experiment_id,
            "experiment": experiments.get(self.experiment_id, "") if self.experiment_id else self.tag,
        }  # fmt: skip
        return RunValues(facts, self.params, self.tags)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object, without those that a new run has."""
        found = {name: value for name, value in asdict(self).items() if value != getattr(NEW, name)}
        if self.params:
            found["params"] = {name: _to_json(value) for name, value in self.params.items()}
        return found

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Facts:
        """Return the facts that `to_json` made."""
        params = {name: _from_json(value) for name, value in stored.get("params", {}).items()}
        return cls(**{**stored, "params": params})

    def see_work(self, kind: str) -> bool:
        """Fold a sign that a process works on the run; return whether that changed a fact."""
        if self.state != "created" or kind not in _SIGNS_OF_WORK:
            return False
        self.state = "running"
        return True

    def fold(self, event: Any, offset: int) -> bool:
        """Fold an event of one of the kinds FACTS; return whether facts may have changed."""
        match event:
            case ev.RunCreated() | ev.RunStarted() | ev.RunResumed():
                self._open(event)
            case ev.RunFinished() | ev.RunFailed() | ev.RunKilled():
                self._end(event)
            case ev.RunReopened():
                self._advance(event.attempt)
                if event.attempt == self.attempt:
                    self.state, self.ended, self.message, self.heartbeats = "running", None, "", False
            case ev.Params():
                self._add_params(event)
            case ev.Tags():
                for name, text in event.tags.items():
                    _put(self.tags, name, text)
            case ev.LifecycleStage():
                self.gone = event.stage == "deleted"
            case ev.Moved():
                self.experiment_id, self.tag = event.experiment_id, event.tag or self.tag
            case ev.Renamed() | ev.Deleted():
                self._edit(event)
            case ev.MetricDefined():
                _put(self.alarms, event.name, [event.alarm, event.goal, offset])
            case _:
                return False
        return True

    def _open(self, event: ev.RunCreated | ev.RunStarted | ev.RunResumed) -> None:
        is_old = event.attempt < self.attempt
        for mine, value in {
            "name": event.name, "tag": event.tag, "group": event.group, "parent_run_id": event.parent_run_id,
            "experiment_id": event.experiment_id,
        }.items():  # fmt: skip
            if value and not (is_old and getattr(self, mine)):
                setattr(self, mine, value)
        if not is_old:
            self.heartbeats = event.heartbeats
        self._advance(event.attempt)
        if not isinstance(event, ev.RunCreated) and self.state == "created":
            self.state = "running"

    def _end(self, event: ev.RunFinished | ev.RunFailed | ev.RunKilled) -> None:
        self._advance(event.attempt)
        state, message = STATUS_AFTER[event.kind], event.message[:MAX_TEXT]
        if event.attempt == self.attempt and end_rank(state, event.time, message) >= end_rank(
            self.state, self.ended, self.message
        ):
            self.state, self.ended, self.message = state, event.time, message

    def _advance(self, attempt: int) -> None:
        if attempt > self.attempt:
            self.attempt, self.ended, self.message, self.state = attempt, None, "", "running"

    def _add_params(self, event: ev.Params) -> None:
        for name, value in event.params.items():
            known = self.attempts.get(name, 1)
            if event.attempt < known or (event.once and event.attempt == known and name in self.params):
                continue
            if _put(self.params, name, _param(value)) and event.attempt > 1:
                self.attempts[name] = event.attempt

    def _edit(self, event: ev.Renamed | ev.Deleted) -> None:
        if event.what == "run":
            if isinstance(event, ev.Renamed):
                self.name = event.new
            else:
                self.gone = True
            return
        of_kind: dict[str, dict[str, Any]] = {"param": self.params, "tag": self.tags}
        kept = of_kind.get(event.what)
        if kept is None:
            return
        if isinstance(event, ev.Deleted):
            kept.pop(event.name, None)
        elif event.old in kept and event.new not in kept:
            kept[event.new] = kept.pop(event.old)


NEW = Facts()


@dataclass(slots=True)
class Progress:
    """How far a run is: what changes with every record."""

    news_ms: int = 0  # when the log got the last record of a process of the run; ms since 1970
    ledgers: dict[str, Ledger] = field(default_factory=dict)  # by producer
    dropped: dict[str, int] = field(default_factory=dict)  # values that a producer reports to have dropped
    expected: dict[str, int] = field(default_factory=dict)  # records that a closed producer reports
    missing_ms: int = 0  # since when records are missing; 0: none are
    dropped_ms: int = 0  # when a producer last reported that it dropped values
    ended_ms: int = 0  # when the log got the end of the run
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)  # states of rules about the run, by id

    def admit(self, identity: Identity, time_ms: int) -> bool:
        """Count a record; return whether it is new."""
        ledger, is_new = admit(self.ledgers.get(identity.producer, Ledger()), identity.seq)
        self.ledgers[identity.producer] = ledger
        if is_new and identity.kind not in EDITS:
            self.news_ms = max(self.news_ms, time_ms)
        return is_new

    def close(self, producer: str, event: ev.ProducerClosed, time_ms: int) -> None:
        """Fold the report of a producer."""
        self.expected[producer] = event.batches
        if event.dropped > self.dropped.get(producer, 0):
            self.dropped[producer], self.dropped_ms = event.dropped, time_ms

    def count_missing(self, time_ms: int) -> int:
        """Return how many records are missing, and keep since when any are."""
        missing = sum(one.lost for one in self.ledgers.values() if one.missing)
        missing += sum(max(0, count - self.ledgers[one].next) for one, count in self.expected.items())
        self.missing_ms = (self.missing_ms or time_ms) if missing else 0
        return missing

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        ledgers = {producer: ledger.to_json() for producer, ledger in self.ledgers.items()}
        return {
            "news_ms": self.news_ms, "ledgers": ledgers, "dropped": self.dropped, "expected": self.expected,
            "missing_ms": self.missing_ms, "dropped_ms": self.dropped_ms, "ended_ms": self.ended_ms,
            "rules": self.rules,
        }  # fmt: skip

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Progress:
        """Return what `to_json` made."""
        ledgers = {producer: Ledger.from_json(ledger) for producer, ledger in stored["ledgers"].items()}
        return cls(**{**stored, "ledgers": ledgers})


def _param(value: Typed) -> float | str:
    match value:
        case BoolValue():
            return "true" if value.value else "false"
        case FloatValue() | IntValue():
            try:
                return float(value.value)
            except OverflowError:
                return to_text(value)
        case _:
            return to_text(value)


def _to_json(value: float | str) -> Any:
    """Return the value of a parameter for JSON, which lacks NaN and infinities: those are the text in a list."""
    return value if isinstance(value, str) or math.isfinite(value) else [float_to_json(value)]


def _from_json(stored: Any) -> float | str:
    found: float | str = float_from_json(stored[0]) if isinstance(stored, list) else stored
    return found


def _put(kept: dict[str, Any], name: str, value: Any) -> bool:
    """Keep a value within the limits; return whether it is kept."""
    if (isinstance(value, str) and len(value) > MAX_TEXT) or (name not in kept and len(kept) >= MAX_VALUES):
        kept.pop(name, None)
        return False
    kept[name] = value
    return True
