"""
What people type to find runs: `metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'`.

Pure: text in, a tree of comparisons out; nothing here knows SQL. The language is MLflow's filter strings with `or`,
`not` and parentheses added. Keywords are read in any case.

    metrics.NAME          last value, by written name: metrics.loss, metrics.`validate/loss{rank=3}`
    params.NAME           a number is compared as a number, text in quotes as text
    tags.NAME             text
    state, name, group, tag, run_id, parent_run_id, message, note, points, attempt, created, started, ended, updated
                          facts about the run, also as attributes.NAME and under MLflow's names (status, start_time, …);
                          a time is a number of ms, as in MLflow, or text such as '2026-11-21' (UTC)
    =  !=  <  <=  >  >=  like  ilike  in (…)  not in (…)  is null  is not null

`!=` and `not in` find runs that have the name with another value; `not (… = …)` also those that lack it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Literal, NamedTuple

Kind = Literal["metric", "param", "tag", "text", "number", "time", "state"]
Op = Literal["in", "not in", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike", "is null", "is not null"]

MAX_TEXT = 10_000  # characters
MAX_COMPARISONS = 100
MAX_DEPTH = 50  # of parentheses and `not`
STATES = ("created", "running", "finished", "failed", "killed", "lost")

_PREFIXES: dict[str, Literal["metric", "param", "tag", "attribute"]] = {
    "metrics": "metric", "metric": "metric",
    "params": "param", "param": "param", "parameters": "param", "parameter": "param",
    "tags": "tag", "tag": "tag",
    "attributes": "attribute", "attribute": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip
_ATTRIBUTES: dict[str, tuple[Kind, str]] = {
    **{name: ("text", name) for name in ("run_id", "name", "group", "tag", "parent_run_id", "message", "note")},
    **{name: ("number", name) for name in ("points", "attempt")},
    **{name: ("time", name) for name in ("created", "started", "ended", "updated")},
    "state": ("state", "state"),
    # MLflow's words.
    "status": ("state", "state"),
    "run_name": ("text", "name"),
    "start_time": ("time", "started"),
    "end_time": ("time", "ended"),
}
_MLFLOW_STATES = {"scheduled": "created"}
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


class FilterError(ValueError):
    """A filter or an order cannot be understood; the message says where and what is expected."""


class Key(NamedTuple):
    """What is compared."""

    kind: Kind
    name: str


class Value(NamedTuple):
    """A literal: as a number where it is one, and as it is written."""

    number: float | None
    text: str


class Compare(NamedTuple):
    """One comparison. `in` and `not in` take several values, `is null` none, the others one."""

    key: Key
    op: Op
    values: tuple[Value, ...]


class Not(NamedTuple):
    """What does not hold."""

    part: Node


class All(NamedTuple):
    """All of these hold; with no parts, always."""

    parts: tuple[Node, ...]


class Either(NamedTuple):
    """At least one of these holds."""

    parts: tuple[Node, ...]


Node = Compare | Not | All | Either


class Order(NamedTuple):
    """How runs are sorted."""

    key: Key
    descending: bool


def parse_filter(text: str) -> Node:
    """Return the tree of a filter. FilterError says where it cannot be understood; empty text finds everything."""
    words = _Tokens(text)
    if words.is_over:
        return All(())
    tree = _either(words, 0)
    if not words.is_over:
        raise words.error("`and`, `or` or the end")
    return tree


def parse_order(text: str) -> Order:
    """Return the order that `metrics.loss`, `created desc` and the like mean. Raises FilterError."""
    words = _Tokens(text)
    key = _key(words)
    descending = words.take("desc")
    if not descending:
        words.take("asc")
    if not words.is_over:
        raise words.error("asc, desc or the end")
    return Order(key, descending)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Tokens:
    """The tokens of a text, one after the other."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise FilterError(f"it has {len(text):,} characters: write at most {MAX_TEXT:,}")
        if "\x00" in text:
            raise FilterError(f"character {text.index(chr(0)) + 1} is U+0000, which no name or value has")
        self.comparisons = 0
        self._tokens = list(_tokens(text))
        self._next = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._next]

    @property
    def is_over(self) -> bool:
        return self.token.kind == "end"

    def move(self) -> _Token:
        token = self.token
        self._next += not self.is_over
        return token

    def take(self, *wanted: str) -> bool:
        """Step over these words or signs when they come next."""
        found = self._tokens[self._next : self._next + len(wanted)]
        if tuple(token.text.lower() for token in found if token.kind in ("word", "sign")) != wanted:
            return False
        self._next += len(wanted)
        return True

    def error(self, expected: str, token: _Token | None = None) -> FilterError:
        found = token or self.token
        near = _END if found.kind == "end" else repr(found.text)[:60]
        return FilterError(f"character {found.at + 1}, at {near}: expected {expected}")


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            what = "a closing quote" if text[at] in "'\"`" else "a name, a number, text in quotes or a comparison"
            raise FilterError(f"character {at + 1}, at {text[at : at + 20]!r}: expected {what}")
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", end)]


def _either(words: _Tokens, depth: int) -> Node:
    parts = [_all(words, depth)]
    while words.take("or"):
        parts.append(_all(words, depth))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _all(words: _Tokens, depth: int) -> Node:
    parts = [_one(words, depth)]
    while words.take("and"):
        parts.append(_one(words, depth))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _one(words: _Tokens, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise words.error(f"at most {MAX_DEPTH} levels of parentheses and `not`")
    if words.take("not"):
        return Not(_one(words, depth + 1))
    if words.take("("):
        inside = _either(words, depth + 1)
        if not words.take(")"):
            raise words.error("`and`, `or` or a closing parenthesis")
        return inside
    words.comparisons += 1
    if words.comparisons > MAX_COMPARISONS:
        raise words.error(f"at most {MAX_COMPARISONS} comparisons")
    return _compare(words)


def _key(words: _Tokens) -> Key:
    token = words.move()
    example = "metrics.NAME, params.NAME, tags.NAME or a fact such as state"
    if token.kind != "word":
        raise words.error(example, token)
    before, dot, name = token.text.partition(".")
    prefix = _PREFIXES.get(before.lower()) if dot else None
    if prefix is None:
        found = _ATTRIBUTES.get(token.text.lower())
        if found is None:
            raise words.error(f"{example}; facts are {', '.join(sorted(_ATTRIBUTES))}", token)
        return Key(*found)
    if not name and words.token.kind == "quoted" and words.token.at == token.at + len(token.text):
        name = _unquoted(words.move().text)
    if not name:
        raise words.error(f"a name right after {token.text}, in backticks when it has other characters than words")
    if prefix != "attribute":
        return Key(prefix, name)
    found = _ATTRIBUTES.get(name.lower())
    if found is None:
        raise words.error(f"one of {', '.join(sorted(_ATTRIBUTES))}", token)
    return Key(*found)


def _compare(words: _Tokens) -> Compare:
    key = _key(words)
    if words.take("is"):
        negated = words.take("not")
        if not words.take("null"):
            raise words.error("null or not null")
        return Compare(key, "is not null" if negated else "is null", ())
    token = words.token
    negated = words.take("not")
    if words.take("in"):
        return Compare(key, "not in" if negated else "in", _listed(words, key))
    for like in ("like", "ilike"):
        if words.take(like):
            return _like(words, key, like, negated=negated)
    if negated:
        raise words.error("in, like or ilike")
    words.move()
    if token.kind != "sign" or token.text in "(),":
        raise words.error("one of = != < <= > >= like ilike in is", token)
    at = words.token
    value = _value(words, key)
    if token.text in ("=", "=="):
        return Compare(key, "in", (value,))
    if token.text in ("!=", "<>"):
        return Compare(key, "not in", (value,))
    if key.kind in ("text", "tag", "state"):
        raise words.error(f"one of = != like in, because {key.name} is text", token)
    if value.number is None:
        raise words.error("a number without quotes, because text has no order here", at)
    return Compare(key, _ORDERED[token.text], (value,))


_ORDERED: dict[str, Op] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _like(words: _Tokens, key: Key, like: str, *, negated: bool) -> Compare:
    token = words.move()
    if key.kind not in ("param", "tag", "text"):
        raise words.error(f"one of = != < <= > >= in, because {key.name} is no text", token)
    if token.kind != "quoted":
        raise words.error("a pattern in quotes, with % for any characters", token)
    pattern = _unquoted(token.text)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise words.error("a pattern that does not end with a single \\", token)
    ops: dict[tuple[str, bool], Op] = {
        ("like", False): "like", ("like", True): "not like", ("ilike", False): "ilike", ("ilike", True): "not ilike",
    }  # fmt: skip
    return Compare(key, ops[like, negated], (Value(None, pattern),))


def _listed(words: _Tokens, key: Key) -> tuple[Value, ...]:
    if not words.take("("):
        raise words.error("values in parentheses")
    values = [_value(words, key)]
    while words.take(","):
        values.append(_value(words, key))
    if not words.take(")"):
        raise words.error("a comma or a closing parenthesis")
    return tuple(values)


def _value(words: _Tokens, key: Key) -> Value:
    token = words.move()
    if token.kind not in ("number", "word", "quoted"):
        raise words.error("a number, or text in quotes", token)
    text = _unquoted(token.text) if token.kind == "quoted" else token.text
    number = _number(token.text) if token.kind != "quoted" else None
    if key.kind in ("metric", "number"):
        if number is None:
            raise words.error("a number without quotes", token)
    elif key.kind == "state":
        text = _MLFLOW_STATES.get(text.lower(), text.lower())
        if text not in STATES:
            raise words.error(f"one of {', '.join(STATES)}", token)
    elif key.kind == "time":
        number = number * 1_000 if number is not None else _time(text)
        if number is None or not abs(number) < 2**62:
            raise words.error("a time: ms since 1970, or text such as '2026-11-21 09:30' (UTC)", token)
    elif token.kind == "word" and number is None and text.lower() not in ("true", "false"):
        raise words.error("a number, true, false, or text in quotes", token)
    elif token.kind == "word":
        text = text.lower()
    return Value(number, text)


def _number(text: str) -> float | None:
    if text.lower() not in ("nan", "inf", "infinity") and not re.fullmatch(r"[+-]?(?:[\d.].*|inf\w*)", text, re.I):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _time(text: str) -> float | None:
    """Return µs."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return math.floor(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)
