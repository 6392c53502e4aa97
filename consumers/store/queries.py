"""
Named statements of sql/queries.sql.

Nothing is ever formatted into SQL: a statement is looked up by name and takes its values as parameters.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "sql" / "queries.sql"


@cache
def _statements() -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)$", _FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def sql(name: str) -> str:
    """Return the statement called `name`. KeyError when there is none."""
    return _statements()[name]
