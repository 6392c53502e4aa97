"""
Names and texts as the filters of the query API write them (consumers/store/search/filter.py). Pure.
"""

from __future__ import annotations


def escaped(text: str, comparator: str) -> str:
    """Return the text of a comparison for the query API, where a backslash in a pattern escapes what follows."""
    return text.replace("\\", "\\\\") if comparator in ("LIKE", "ILIKE") else text


def quoted_name(name: str) -> str:
    """Return the name of a metric, parameter or tag in backticks."""
    return _between("`", name)


def quoted_text(text: str) -> str:
    """Return a text in single quotes."""
    return _between("'", text)


def _between(quote: str, text: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote
