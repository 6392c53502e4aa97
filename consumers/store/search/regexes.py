"""
Regular expressions that people typed, which PostgreSQL reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

_TOO_LARGE = "invalid memory alloc request size"  # what PostgreSQL says of one that would take more than 1 GB


class BadRegex(ValueError):
    """PostgreSQL cannot read a regular expression."""


@contextmanager
def reading_regex() -> Iterator[None]:
    """Run a statement with a regular expression in the block. Raises BadRegex for one that cannot be used."""
    try:
        yield
    except asyncpg.InvalidRegularExpressionError as error:
        raise BadRegex(str(error)) from None
    except asyncpg.InternalServerError as error:
        if _TOO_LARGE not in str(error):
            raise
        raise BadRegex("regular expression is too complex") from None
