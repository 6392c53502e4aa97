"""
The words and literals of a filter, and its errors, which state a position.

Pure. A text is cut into tokens; grammar and meaning are in filter.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

MAX_TEXT = 10_000  # characters

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|[+-]inf(?:inity)?\b)
      | (?P<word>[^\W\d][\w./:@-]*)
      | (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`)
      | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_END = "the end"
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(_SECONDS)})(?![a-z])", re.IGNORECASE)


class FilterError(ValueError):
    """
    A filter or an order cannot be parsed; the message states where, and what is expected there.

    `position` and `end` count characters from 0, None for a filter that is no text; `expected` are words that may
    stand there, for completion.
    """

    def __init__(
        self, message: str, position: int | None = None, end: int | None = None, expected: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.position, self.end, self.expected = position, end, tuple(expected)


class Token(NamedTuple):
    """One word, number, quoted text or sign; `end` is the kind of what follows the last one."""

    kind: str
    text: str
    at: int


class Tokens:
    """The tokens of a text, consumed one by one."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            message = f"it has {len(text):,} characters: write at most {MAX_TEXT:,}"
            raise FilterError(message, MAX_TEXT, len(text))
        if "\x00" in text:
            at = text.index("\x00")
            raise FilterError(f"character {at + 1} is U+0000, which no name or value has", at, at + 1)
        self._tokens = list(_tokens(text))
        self._next = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._next]

    @property
    def end(self) -> int:
        """Where the text ends, without white space behind it."""
        return self._tokens[-1].at

    @property
    def is_over(self) -> bool:
        """Whether all tokens are consumed."""
        return self.token.kind == "end"

    def move(self) -> Token:
        """Consume the next token and return it."""
        token = self.token
        self._next += not self.is_over
        return token

    def take(self, *wanted: str) -> bool:
        """Consume these words or signs if they come next; return whether they did."""
        if not self.comes(*wanted):
            return False
        self._next += len(wanted)
        return True

    def comes(self, *wanted: str) -> bool:
        """Return whether these words or signs come next."""
        found = self._tokens[self._next : self._next + len(wanted)]
        return tuple(token.text.lower() for token in found if token.kind in ("word", "sign")) == wanted

    def error(self, expected: str, token: Token | None = None, words: Sequence[str] = ()) -> FilterError:
        """Return the error that something else is expected at a token, by default the next one."""
        found = token or self.token
        near = _END if found.kind == "end" else repr(found.text)[:60]
        message = f"character {found.at + 1}, at {near}: expected {expected}"
        return FilterError(message, found.at, found.at + len(found.text), words)


def _tokens(text: str) -> list[Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            is_quote = text[at] in "'\"`"
            what = "a closing quote" if is_quote else "a name, a number, text in quotes or a comparison"
            message = f"character {at + 1}, at {text[at : at + 20]!r}: expected {what}"
            raise FilterError(message, at, end if is_quote else at + 1, (text[at],) if is_quote else ())
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, Token("end", "", end)]


def unquoted(text: str) -> str:
    """Return what stands in quotes."""
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)


def read_number(text: str) -> float | None:
    """Return a number, NaN and infinities included, or None."""
    if text.lower() not in ("nan", "inf", "infinity") and not re.fullmatch(r"[+-]?(?:[\d.].*|inf\w*)", text, re.I):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def read_time(text: str) -> float | None:
    """Return a time in µs, UTC unless the text says otherwise, or None."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return math.floor(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None


def read_duration(text: str) -> float | None:
    """Return µs of a duration such as `1h 30m`, `90 s` or `2d`, or None."""
    seconds, at = 0.0, 0
    while match := _DURATION.match(text, at):
        seconds += float(match[1]) * _SECONDS[match[2].lower()]
        at = match.end()
    return seconds * 1e6 if at and not text[at:].strip() else None
