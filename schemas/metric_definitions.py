"""
Which definition of a metric (event `metric_defined`) counts for a series. Pure.

A definition names a series as it is written (schemas/names.py), or is a pattern in which `*` stands for any text, also
for none, with `/`. It fits a series if it fits the written name, or the written name without the labels: `loss` is the
definition of `loss{rank=3}` too. Of several that fit, the most specific one counts, with all of its fields: one without
a `*` before a pattern; of patterns, the one with more other characters, then with fewer `*`, then the first by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

MANY = "*"


def is_pattern(name: str) -> bool:
    """Tell whether the name of a definition may stand for several series."""
    return MANY in name


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern fits a text. Its time is at most the product of their lengths."""
    first, *rest = pattern.split(MANY)
    if not rest:
        return name == first
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:  # the first place of each part leaves the most for those that follow
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class DefinitionFinder:
    """The names of the definitions of one run, in the order in which they are tried."""

    def __init__(self, names: Iterable[str]) -> None:
        known = set(names)
        self._exact = {name for name in known if not is_pattern(name)}
        self._patterns = sorted(known - self._exact, key=_specificity)

    def find(self, written: str) -> str | None:
        """Return the name of the definition that counts for a series; None if none fits."""
        plain = without_labels(written)
        for name in dict.fromkeys((written, plain)):
            if name in self._exact:
                return name
        for pattern in self._patterns:
            if fits(pattern, written) or (plain != written and fits(pattern, plain)):
                return pattern
        return None


@lru_cache(maxsize=4_096)
def without_labels(written: str) -> str:
    """Return a written name without its labels."""
    return written.partition("{")[0] or written if written.endswith("}") else written


def _specificity(pattern: str) -> tuple[int, int, str]:
    stars = pattern.count(MANY)
    return stars - len(pattern), stars, pattern
