"""
Conditions on a run that `wait_for` waits for: `ended`, `loss < 0.3`, `step(loss) >= 1000`, `loss is nan`, `event`.

Pure. A condition is about one point or one end of a run; it is never about a number of points together.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.client.errors import ClientError
from schemas.columns import float_from_json

ENDS = {"run_finished": "finished", "run_failed": "failed", "run_killed": "killed"}
_OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
_COMPARISON = re.compile(
    r"(?P<step>step\()?(?P<name>`(?:[^`]|``)+`|[^\s<>=!()`]+)(?(step)\))\s*(?P<op><=|>=|==|!=|<|>|=)\s*(?P<number>\S+)"
)
_NAN = re.compile(r"(?P<name>`(?:[^`]|``)+`|[^\s`]+)\s+is\s+nan", re.IGNORECASE)
EXAMPLES = "ended, finished, failed, killed, event, loss < 0.3, step(loss) >= 1000, `val/loss` is nan"


class Condition(NamedTuple):
    """What is waited for: an end, any event, or a point of a series."""

    text: str
    ends: frozenset[str] = frozenset()
    is_any: bool = False
    series: str = ""  # written name
    is_step: bool = False
    op: str = ""  # "" with a series: the value is NaN or infinite
    number: float = 0.0

    def holds_state(self, state: str) -> bool:
        """Tell whether a run in this state fulfils it."""
        return state in self.ends

    def holds_point(self, step: int, value: float) -> bool:
        """Tell whether a point of its series fulfils it."""
        if not self.op:
            return not math.isfinite(value)
        return bool(_OPERATORS[self.op](step if self.is_step else value, self.number))

    def holds_event(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what of an event of the stream fulfils it; None if nothing does."""
        kind = str(event["kind"])
        if ENDS.get(kind) in self.ends:
            return {"state": ENDS[kind], "message": event.get("message", "")}
        if self.is_any:
            return {"kind": kind}
        for one in event.get("series", ()):
            for step, time, written in one["points"] if one["series"] == self.series else ():
                value = float_from_json(written)
                if self.holds_point(step, value):
                    return {"series": self.series, "step": step, "time": time, "value": written}
        return None


def read_condition(text: str) -> Condition:
    """Return the condition that a text describes. Raises ClientError."""
    words = text.strip()
    if words.lower() in ("ended", "finished", "failed", "killed"):
        ends = ENDS.values() if words.lower() == "ended" else [words.lower()]
        return Condition(words, ends=frozenset(ends))
    if words.lower() == "event":
        return Condition(words, is_any=True)
    if found := _NAN.fullmatch(words):
        return Condition(words, series=_name(found["name"]))
    if found := _COMPARISON.fullmatch(words):
        try:
            number = float(found["number"])
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return Condition(
                words, series=_name(found["name"]), is_step=bool(found["step"]), op=found["op"], number=number
            )
    raise ClientError(f"condition {text!r:.200} is none: write one of {EXAMPLES}")


def _name(written: str) -> str:
    return written[1:-1].replace("``", "`") if written.startswith("`") else written
