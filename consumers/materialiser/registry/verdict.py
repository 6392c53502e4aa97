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
MAX_TAGS = 4_000_000  # characters of all tags of an experiment, a model or a version: a change writes all of them again


def change_tags(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str] | None:
    """Return tags with these values set, and those without a value removed; None if they grew beyond the limit."""
    changed = {name: value for name, value in {**tags, **changes}.items() if value is not None}
    size = _characters(changed)
    return changed if size <= MAX_TAGS or size < _characters(tags) else None


def too_large(what: str, result: Mapping[str, Any]) -> Verdict:
    """Refuse tags that `change_tags` does not allow."""
    return Verdict("too_large", f"the tags of {what} would have more than {MAX_TAGS:,} characters", result)


def _characters(tags: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in tags.items())
