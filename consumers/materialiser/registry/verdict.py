"""
What a fold decides about one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from consumers.store.registry.rows import Outcome


class Verdict(NamedTuple):
    """The outcome of a request, why, and what it made or met."""

    outcome: Outcome
    reason: str = ""
    result: Mapping[str, Any] = {}


DONE = Verdict("done")


def change_tags(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags with these values set, and those without a value removed."""
    changed = {**tags, **changes}
    return {name: value for name, value in changed.items() if value is not None}
