"""
Which value of a parameter counts, if a run set it more than once: the rule for everything that shows one value a name.

The value of the highest attempt counts; within an attempt, that of the last record in the log, in whatever named step
it was set. So a record of an earlier attempt that arrives late changes nothing, and 0.1, then 0.2, then 0.1 is 0.1.
PostgreSQL, the run list, filters, SQL views, trackers and `gateway verify` follow it; a run log shows all values by
step and attempt, too. `rank_params` in consumers/store/sql/queries.sql is the same rule in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

FIRST_ATTEMPT = 1
MAX_KEPT = 1_000  # names of later attempts that are remembered; further ones count as of the first attempt
Value = TypeVar("Value")


def replaces(attempt: int, known: int) -> bool:
    """Return whether a value of `attempt` replaces an earlier one in the log, which is of attempt `known`."""
    return attempt >= known


def admit_params(
    values: Mapping[str, Value], attempt: int, known: Mapping[str, int]
) -> tuple[dict[str, Value], dict[str, int]]:
    """
    Return those of the values of one record that count now, and the attempts of names after it.

    `known` has the attempt of each name whose value is not of the first one: an empty mapping for most runs.
    """
    kept = {name: value for name, value in values.items() if replaces(attempt, known.get(name, FIRST_ATTEMPT))}
    if attempt == FIRST_ATTEMPT:
        return kept, dict(known)
    after = {**known, **dict.fromkeys(kept, attempt)}
    return kept, after if len(after) <= MAX_KEPT else dict(list(after.items())[:MAX_KEPT])


def edit_attempts(known: Mapping[str, int], name: str, new: str | None) -> dict[str, int]:
    """Return the attempts of names after a parameter was renamed, or deleted if `new` is None."""
    after = dict(known)
    attempt = after.pop(name, None)
    if attempt is not None and new is not None:
        after.setdefault(new, attempt)
    return after
