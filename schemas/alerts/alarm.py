"""
The alarm of a metric, as training code writes it: `> 10 or nan`.

    alarm      = condition { "or" condition }
    condition  = comparison number [ "for" n ( "points" | "s" ) ] | "nan" | "spike" [ score ]
               | "stalled" n ( "steps" | "s" ) | "no news" n "s"
    comparison = ">" | ">=" | "<" | "<=" | "=" | "!="

Each condition is a rule of its own about the series of that run.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from schemas.alerts.conditions import Condition

ALARM = "alarm/"  # beginning of the id of a rule that training code gave a metric
MAX_ALARM = 500  # characters
MAX_CONDITIONS = 10
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON = re.compile(rf"(>=|<=|!=|==|>|<|=)\s*({_NUMBER})(?:\s+for\s+(\d+(?:\.\d+)?)\s*(points|point|s))?", re.I)
_SPIKE = re.compile(rf"spike(?:\s+({_NUMBER}))?", re.I)
_STALLED = re.compile(r"stalled\s+(\d+(?:\.\d+)?)\s*(steps|step|s)", re.I)
_NO_NEWS = re.compile(r"no\s+news\s+(\d+(?:\.\d+)?)\s*s", re.I)
_EXPECTED = "> 10, nan, spike 6, stalled 500 steps, or no news 60 s"
_CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)


def parse_alarm(text: str, goal: Literal["", "min", "max"] = "") -> list[Condition]:
    """
    Return the conditions of an alarm. `goal` is that of the metric, which `stalled` needs.

    Raises ValueError, which names the character at which the text is wrong and what may be written there.
    """
    if len(text) > MAX_ALARM:
        raise ValueError(f"it has {len(text):,} characters: write at most {MAX_ALARM}")
    found: list[Condition] = []
    at = 0
    for part in re.split(r"(\s+or\s+)", text, flags=re.I):
        if not re.fullmatch(r"\s+or\s+", part, re.I):
            place = at + len(part) - len(part.lstrip()) + 1
            found.append(_condition(part.strip(), place, goal))
        at += len(part)
    if len(found) > MAX_CONDITIONS:
        raise ValueError(f"it has {len(found)} conditions: write at most {MAX_CONDITIONS}")
    return found


def _condition(text: str, place: int, goal: str) -> Condition:
    fields: dict[str, Any] | None = None
    if text.lower() == "nan":
        fields = {"kind": "nan"}
    elif match := _COMPARISON.fullmatch(text):
        fields = {"kind": "threshold", "op": match[1].replace("==", "="), "value": float(match[2])}
        if match[3]:
            fields["for_s" if match[4].lower() == "s" else "for_points"] = float(match[3])
    elif match := _SPIKE.fullmatch(text):
        fields = {"kind": "spike"} | ({"score": float(match[1])} if match[1] else {})
    elif match := _STALLED.fullmatch(text):
        if not goal:
            raise ValueError(f"character {place}: stalled needs a goal: define the metric with goal='min' or 'max'")
        bound = {"seconds": match[1]} if match[2].lower() == "s" else {"steps": match[1]}
        fields = {"kind": "stalled", "goal": goal, **bound}
    elif match := _NO_NEWS.fullmatch(text):
        fields = {"kind": "no_news", "seconds": float(match[1])}
    if fields is None:
        raise ValueError(f"character {place}, at {text[:40]!r}: expected {_EXPECTED}")
    try:
        return _CONDITION.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"character {place}, at {text[:40]!r}: {first['msg']}: expected {_EXPECTED}") from None
