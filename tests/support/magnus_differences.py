"""Compare a run log of PostgreSQL with the one that magnus 0.5.1 wrote itself: every difference, and its reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

OFFSET = timedelta(hours=5, minutes=30)  # of TZ=Asia/Kolkata, in which the pipelines of the tests run
# Path from the step, or in the run log, and the reason. docs/magnus.md has the same reasons.
REASONS: Mapping[str, str] = {
    "(both|mapper)/attempts(/.*)?": "a step with branches has an attempt: the time of the steps in it",
    "hello/attempts(/.*)?": "a step that was not executed again has an attempt: the moment at which it was passed over",
    "children/user_defined_metrics/loss(/.*)?": "what a forked child process tracked is kept",
    "[^/]+/message": "the message of a failed attempt is that of its step, too",
    "fails/user_defined_metrics(/.*)?": "what a failed step tracked is kept",
    "hard/user_defined_metrics/(Loss|loss|loss_STEP_size|loss_step_size)": "keys keep their case",
    "shell/user_defined_metrics/(Loss|loss)/1": "keys keep their case",
    "hard/user_defined_metrics/(nan|infinite)": "NaN and infinities are text, since JSON has none",
    "context/user_defined_metrics/from_context": "what a task emitted in the tracker's context is in its step",
    r"[^/]+/attempts/\d+/(start|end)_time": "times are UTC",
    r"[^/]+/data_catalog/\d+/catalog_handler_location": "a catalog has a URI by which it is found from elsewhere",
    "run_config/variables/.*": "secrets in run_config are masked",
}


class Difference(NamedTuple):
    """A place where the documents differ."""

    path: str
    theirs: Any
    ours: Any


MISSING = "<missing>"


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """Return all differences in what Magnus writes; fields that only we have are not compared."""
    left, right = dict(_leaves(theirs)), dict(_leaves({key: ours[key] for key in theirs}))
    found = [Difference(path, left.get(path, MISSING), right.get(path, MISSING)) for path in {**left, **right}]
    return [one for one in found if one.theirs is not one.ours and one.theirs != one.ours]


def reason_of(found: Difference) -> str | None:
    """Return the reason for a difference, None if there is none."""
    _, _, inside = found.path.rpartition("steps/")
    reasons = (reason for path, reason in REASONS.items() if re.fullmatch(path, inside))
    return next((reason for reason in reasons if _explains(reason, found)), None)


def _explains(reason: str, found: Difference) -> bool:
    if "has an attempt" in reason:
        return found.theirs in ([], MISSING)
    if reason == "times are UTC":
        return datetime.fromisoformat(found.theirs) - OFFSET == datetime.fromisoformat(found.ours)
    if isinstance(found.theirs, float) and not math.isfinite(found.theirs):
        return found.ours in ("NaN", "Infinity", "-Infinity")
    return True


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    empty = True
    for key, inside in items:
        empty = False
        yield from _leaves(inside, f"{path}/{key}" if path else str(key))
    if not isinstance(value, dict | list):
        yield path, value
    elif empty:
        yield path, type(value)()
