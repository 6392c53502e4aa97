"""
Conditions that may hold without a record: silence, the state of a run, and missing records.

Pure. `judge_run` and `judge_series` say at the time of a clock whether such a condition holds, and if not, when it will
if nothing else comes. All times are ms since 1970, as the log has them; a rule counts from when it was saved.
"""

from __future__ import annotations

from typing import NamedTuple

from consumers.alerts.evaluator.rules import Rule
from consumers.alerts.evaluator.state import RunState, SeriesState
from schemas.alerts import NoNews, RecordMissing, RunEnded


class Verdict(NamedTuple):
    """Whether a condition holds; `deadline_ms`: since when, or from when on it will; None: since an event, or never."""

    holds: bool
    deadline_ms: int | None = None
    what: str = ""


NEVER = Verdict(False)


def judge_run(rule: Rule, run: RunState, clock_ms: int) -> Verdict:
    """Judge a rule about a run."""
    progress = run.progress
    match rule.rule.when:
        case NoNews(seconds=seconds):
            return _silence(rule, run, progress.news_ms, seconds, clock_ms, "no news")
        case RunEnded() as when:
            if run.facts.state in when.states and progress.ended_ms >= rule.since_ms and not run.facts.gone:
                said = f": {run.facts.message}" if run.facts.message else ""
                return Verdict(True, None, f"the run {_ENDED[run.facts.state]}{said}")
            if "lost" in when.states and run.facts.heartbeats:
                return _silence(rule, run, progress.news_ms, when.lost_after_s, clock_ms, "the run is lost: silent")
        case RecordMissing(seconds=seconds):
            if progress.dropped_ms and progress.dropped_ms >= rule.since_ms:
                return Verdict(True, None, f"{sum(progress.dropped.values()):,} values were dropped at a limit")
            if progress.missing_ms and progress.missing_ms >= rule.since_ms:
                deadline = progress.missing_ms + round(seconds * 1_000)
                return Verdict(clock_ms > deadline, deadline, f"records are missing for over {seconds:g} s")
    return NEVER


def judge_series(rule: Rule, run: RunState, series: SeriesState, clock_ms: int) -> Verdict:
    """Judge a rule about the silence of a series."""
    if not isinstance(rule.rule.when, NoNews) or not series.news_ms:
        return NEVER
    return _silence(rule, run, series.news_ms, rule.rule.when.seconds, clock_ms, "no news")


def _silence(rule: Rule, run: RunState, news_ms: int, seconds: float, clock_ms: int, what: str) -> Verdict:
    if not run.facts.is_running:
        return NEVER
    deadline = max(news_ms + round(seconds * 1_000), rule.since_ms)
    return Verdict(clock_ms > deadline, deadline, f"{what} for over {seconds:g} s")


_ENDED = {"failed": "failed", "killed": "was killed", "finished": "finished"}
