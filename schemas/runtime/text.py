"""
Make text from outside safe to print: it shows no password, and can neither control a terminal nor change the direction
of writing.

Pure. Log lines follow a different rule (`one_line` in schemas/runtime/logs.py): they keep tabs, and escape only
characters that end a line or control a terminal.
"""

from __future__ import annotations

import re

# Greedy: a password may hold @, / and blanks that are not escaped, and its end must not be shown.
_PASSWORD = re.compile(r"(://[^/:@]*):(?:\S|\s(?!\w+://))*@")
_IN_QUERY = re.compile(r"([?&](?:password|sslpassword|token)=)[^&]*", re.IGNORECASE)
# libpq's other form of an address: host=h password='a b'
_IN_WORDS = re.compile(r"((?:^|\s)(?:password|sslpassword)\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|\S*)", re.IGNORECASE)


def mask_password(address: str) -> str:
    """Return a URL with the password in it replaced by three asterisks."""
    return _IN_WORDS.sub(r"\1***", _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", address)))


def mask_unprintable(text: str) -> str:
    """Return text with a question mark for each character that is not printable, for tables."""
    return "".join(one if one.isprintable() else "?" for one in text)


def escape_unprintable(text: str) -> str:
    """Return text on one line with each character that is not printable as a Python escape; nothing is lost."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def escape_lines(text: str) -> str:
    """Return text with everything but its lines and tabs as `escape_unprintable` writes it."""
    return text if text.isprintable() else "".join(one if one in "\n\t" else escape_unprintable(one) for one in text)


def mask_lines(text: str) -> str:
    """Return text with everything but its lines as `mask_unprintable` writes it: as wide as before."""
    return text if text.isprintable() else "".join(one if one == "\n" else mask_unprintable(one) for one in text)
