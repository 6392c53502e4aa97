"""
Text that others wrote, made safe to print: it can neither steer a terminal nor turn the direction of writing.

Pure. Log lines have a rule of their own (`one_line` in schemas/runtime/logs.py), because they keep tabs and need to
escape only what ends a line or steers a terminal.
"""

from __future__ import annotations


def mask_unprintable(text: str) -> str:
    """Return text in which each character that is not printable is a question mark; for people, in tables."""
    return "".join(one if one.isprintable() else "?" for one in text)


def escape_unprintable(text: str) -> str:
    """Return text on one line in which each character that is not printable is a Python escape; nothing is lost."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
