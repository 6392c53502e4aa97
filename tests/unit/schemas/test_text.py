"""Text that is safe to print."""

from __future__ import annotations

import pytest

from schemas.runtime.text import mask_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db:5/x?y=1", "postgresql://me:***@db:5/x?y=1"),
        ("postgresql://db/x", "postgresql://db/x"),
        ("https://me:s@ec/r@et@h:1/x", "https://me:***@h:1/x"),
        ("postgresql://me:se/cr?et@db/x", "postgresql://me:***@db/x"),
        ("postgresql://db/x?user=me&password=secret&y=1", "postgresql://db/x?user=me&password=***&y=1"),
        ("postgresql://me:se cret @h/x", "postgresql://me:***@h/x"),
        ("postgresql://db/x?password=se cret", "postgresql://db/x?password=***"),
        ("host=h password=secret user=me", "host=h password=*** user=me"),
        ("password = 'it\\'s secret' host=h", "password = *** host=h"),
        ("at http://me:secret@h and http://you@h", "at http://me:***@h and http://you@h"),
    ],
)
def test_a_password_is_masked_and_nothing_else(address: str, shown: str) -> None:
    assert mask_password(address) == shown
