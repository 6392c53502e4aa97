"""Compare a run log of PostgreSQL with the one that magnus 0.5.1 wrote itself: every difference, and its reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

OFFSET = timedelta(hours=5, minutes=30)  # of TZ=Asia/Kolkata, in which the pipelines of the tests run
# Path in the run log, and the reason. docs/magnus.md has the same reasons.
REASONS: Mapping[str, str] = {
    r"steps/[^/]+/branches/.*": "the steps of branches are beside the others, under their internal names",
    r"steps/(both|mapper)/attempts(/.*)?": "a step with branches has an attempt: the time of the steps in it",
    r"steps/[^/]+/message": "the message of a failed attempt is that of its step, too",
    r"steps/fails/user_defined_metrics(/.*)?": "what a failed step tracked is kept",
    r"steps/hard/user_defined_metrics/(Loss|loss|loss_STEP_size|loss_step_size)": "keys keep their case",
    r"steps/shell/user_defined_metrics/(Loss|loss)/1": "keys keep their case",
    r"steps/[^/]+/user_defined_metrics/(nan|infinite)": "NaN and infinities are text, since JSON has none",
    r"steps/context/user_defined_metrics/from_context": "what a task emitted to the gateway itself is in its step",
    r"steps/[^/]+/attempts/\d+/(start|end)_time": "times are UTC",
    r"steps/[^/]+/data_catalog/\d+/catalog_(relative_path|handler_location)": "a file has a URI by which it is found",
    r"run_config/variables/.*": "secrets in run_config are masked",
}  # fmt: skip


class Difference(NamedTuple):
    """A place where the documents differ."""

    path: str
    theirs: Any
    ours: Any


MISSING = "<missing>"


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """Return all differences in what Magnus writes; fields that only we have are not compared."""
    left = dict(_leaves({**theirs, "steps": dict(_steps(theirs))}))
    right = dict(_leaves({key: ours[key] for key in theirs}))
    found = [Difference(path, left.get(path, MISSING), right.get(path, MISSING)) for path in {**left, **right}]
    return [one for one in found if one.theirs is not one.ours and one.theirs != one.ours]


def reason_of(found: Difference) -> str | None:
    """Return the reason for a difference, None if there is none."""
    reason = next((reason for path, reason in REASONS.items() if re.fullmatch(path, found.path)), None)
    if reason == "times are UTC":
        return reason if datetime.fromisoformat(found.theirs) - OFFSET == datetime.fromisoformat(found.ours) else None
    if reason is not None and isinstance(found.theirs, float) and not math.isfinite(found.theirs):
        return reason if found.ours in ("NaN", "Infinity", "-Infinity") else None
    return reason


def _steps(log: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all steps, those of branches beside the others; `branches` has what is left of the branch logs."""
    for name, step in log["steps"].items():
        branches = {one: {**branch, "steps": list(branch["steps"])} for one, branch in step["branches"].items()}
        yield name, {**step, "branches": branches}
        for branch in step["branches"].values():
            yield from _steps(branch)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    empty = True
    for key, inside in items:
        empty = False
        yield from _leaves(inside, f"{path}/{key}" if path else str(key))
    if not isinstance(value, dict | list):
        yield path, value
    elif empty and not path.endswith("branches"):
        yield path, type(value)()
