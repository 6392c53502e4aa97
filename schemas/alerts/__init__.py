"""
Rules of alerts: what they watch, and the condition under which they fire.

- `conditions`: the kinds of conditions. `rule`: a rule, which is the body of an entry of the collection `alert_rules`,
  and a file of them. `rule_text`: one as YAML, with the places of its fields. `alarm`: the short form that training
  code gives a metric, `> 10 or nan`.
"""

from schemas.alerts.alarm import ALARM, parse_alarm
from schemas.alerts.conditions import (
    Condition,
    GpuIdle,
    NoNews,
    NotFinite,
    RecordMissing,
    RunEnded,
    Spike,
    Stalled,
    Threshold,
)
from schemas.alerts.rule import AlertRule, RuleEntry, SeriesChoice, read_rule, read_rules

__all__ = [
    "ALARM",
    "AlertRule",
    "Condition",
    "GpuIdle",
    "NoNews",
    "NotFinite",
    "RecordMissing",
    "RuleEntry",
    "RunEnded",
    "SeriesChoice",
    "Spike",
    "Stalled",
    "Threshold",
    "parse_alarm",
    "read_rule",
    "read_rules",
]
