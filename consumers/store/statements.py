"""
The named statements of the files in sql/.

Nothing is formatted into SQL: a statement is looked up by its name and receives its values as parameters.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"


@cache
def _statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(_FOLDER.glob("*.sql")):
        parts = re.split(r"^-- name: (\w+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found |= zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True)
    return found


def sql(name: str) -> str:
    """Return the statement called `name`. Raises KeyError if there is none."""
    return _statements()[name]
