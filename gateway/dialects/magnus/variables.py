"""
Read `MAGNUS_TRACK_<key>` and `MAGNUS_TRACK_<key>_STEP_<n>` (seed 001, "Using environment variables").

Pure but for warnings: one a variable that is not what the documents describe. Keys keep their case.
"""

from __future__ import annotations

import json
import re

from gateway.client.encoding.values import INT64
from gateway.client.guards import safe_repr
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

PREFIX = "MAGNUS_TRACK_"
STEP = "_STEP_"
_NAME = re.compile(rf"(.*){STEP}([+-]?\d{{1,19}})", re.DOTALL)  # the last _STEP_ counts: a key may contain another


def read_name(variable: str) -> tuple[str, int]:
    """Return key and step of a variable; 0 without `_STEP_`. The key is "" if the name has none."""
    rest = variable[len(PREFIX) :]
    found = _NAME.fullmatch(rest)
    if found is not None and abs(int(found[2])) <= INT64:
        return found[1], int(found[2])
    if STEP in rest:
        warn_once(
            variable, f"{safe_repr(variable, 200)}: no integer follows {STEP}, so {rest!r:.200} is its key, at step 0"
        )
    return rest, 0


def read_value(variable: str, text: str) -> Any:
    """
    Return the value of a variable: numbers, JSON objects, lists and strings as such, everything else as text.

    `true`, `false` and `null` are text: "There is no support for boolean values in environment variables" (seed 001).
    """
    value = read_json(text)
    if value is None or isinstance(value, bool):
        return text
    if isinstance(value, str) and value == text and text.lstrip()[:1] in ("{", "["):
        warn_once(variable, f"{safe_repr(variable, 200)} is no valid JSON ({text!r:.60}): it is tracked as text")
    return value


def read_json(text: str) -> Any:
    """Return what a text says as JSON, which is how Magnus reads a variable; the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str, int, Any]]:
    """Yield variable, key, step and value of each variable that tracks something; warn of those that do not."""
    for variable, text in list(environment.items()):
        if not variable.startswith(PREFIX):
            continue
        key, step = read_name(variable)
        if not key:
            warn_once(variable, f"{variable} has no key: it is not tracked; write {PREFIX}<key>")
        elif not text.strip():
            warn_once(variable, f"{safe_repr(variable, 200)} is empty: it is not tracked; give it a value")
        else:
            yield variable, key, step, read_value(variable, text)
