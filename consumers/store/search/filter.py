"""
Parse filters for runs: `metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'`.

Pure: text in, a tree of comparisons out, without SQL. The language is that of MLflow's filter strings, with `or`, `not`
and parentheses. Keywords may have any case.

    metrics.NAME          last value, by written name: metrics.loss, metrics.`validate/loss{rank=3}`
    params.NAME           compared as a number, or as text if the value is in quotes; params.model.layers also finds
                          what is inside a JSON parameter, by its path
    tags.NAME             text
    state, name, group, tag, experiment, experiment_id, run_id, parent_run_id, message, note, points, attempt, created,
    started, began, ended, updated
                          facts about the run; also as attributes.NAME and under MLflow's names (status, start_time, …);
                          a time is a number of ms, as in MLflow, or text such as '2026-11-21' (UTC);
                          began: when it started, or else when it was created
    =  !=  <  <=  >  >=  like  ilike  in (…)  not in (…)  is null  is not null

`!=` and `not in` find runs that have the name with another value; `not (… = …)` also finds runs without the name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

Kind = Literal["metric", "param", "param_text", "tag", "label", "joined", "text", "number", "time", "state"]
Op = Literal["in", "not in", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike", "is null", "is not null"]

MAX_TEXT = 10_000  # characters
MAX_COMPARISONS = 100
MAX_DEPTH = 50  # of parentheses and `not`
MAX_SERIES = 200  # that the metrics of a filter can mean, all together: each costs a part of the statement
MAX_STEP_SLASHES = 8  # a named step ends at one of the first slashes of a written name
STATES = ("created", "running", "finished", "failed", "killed", "lost")

_PREFIXES: dict[str, Literal["metric", "param", "tag", "attribute"]] = {
    "metrics": "metric", "metric": "metric",
    "params": "param", "param": "param", "parameters": "param", "parameter": "param",
    "tags": "tag", "tag": "tag",
    "attributes": "attribute", "attribute": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip
Facts = Mapping[str, tuple[Kind, str]]  # by name in a filter: kind and name of a key
RUN_FACTS: Facts = {
    **{name: ("text", name) for name in ("run_id", "name", "group", "tag", "parent_run_id", "message", "note")},
    **{name: ("text", name) for name in ("experiment", "experiment_id")},
    **{name: ("number", name) for name in ("points", "attempt")},
    **{name: ("time", name) for name in ("created", "started", "began", "ended", "updated")},
    "state": ("state", "state"),
    # MLflow's names.
    "status": ("state", "state"),
    "run_name": ("text", "name"),
    "start_time": ("time", "started"),
    "end_time": ("time", "ended"),
}
_NAMED: tuple[Kind, ...] = ("metric", "param", "tag")
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
    """A filter or an order cannot be parsed; the message states the position and what is expected there."""


class Key(NamedTuple):
    """The left side of a comparison."""

    kind: Kind
    name: str


class Value(NamedTuple):
    """A literal as text, and as a number if it is one."""

    number: float | None
    text: str


class Compare(NamedTuple):
    """One comparison. `in` and `not in` have one or more values, `is null` and `is not null` none, the others one."""

    key: Key
    op: Op
    values: tuple[Value, ...]


class Not(NamedTuple):
    """Negation."""

    part: Node


class All(NamedTuple):
    """Conjunction; without parts it is always true."""

    parts: tuple[Node, ...]


class Either(NamedTuple):
    """Disjunction."""

    parts: tuple[Node, ...]


Node = Compare | Not | All | Either


class Order(NamedTuple):
    """Sort order of runs."""

    key: Key
    descending: bool


def parse_filter(text: str, facts: Facts | None = None, named: Sequence[Kind] = ("tag",)) -> Node:
    """
    Return the tree of a filter; empty text matches everything. Raises FilterError.

    `facts` are those of what is searched, if it is not runs: then a filter compares only them and what is `named`.
    """
    tokens = _Tokens(text, facts, named)
    if tokens.is_over:
        return All(())
    tree = _either(tokens, 0)
    if not tokens.is_over:
        raise tokens.error("`and`, `or` or the end")
    return tree


def parse_order(text: str) -> Order:
    """Return the order that a text such as `metrics.loss` or `created desc` describes. Raises FilterError."""
    tokens = _Tokens(text)
    key = _key(tokens)
    descending = tokens.take("desc")
    if not descending:
        tokens.take("asc")
    if not tokens.is_over:
        raise tokens.error("asc, desc or the end")
    return Order(key, descending)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Tokens:
    """The tokens of a text, consumed one by one."""

    def __init__(self, text: str, facts: Facts | None = None, named: Sequence[Kind] = _NAMED) -> None:
        if len(text) > MAX_TEXT:
            raise FilterError(f"it has {len(text):,} characters: write at most {MAX_TEXT:,}")
        if "\x00" in text:
            raise FilterError(f"character {text.index(chr(0)) + 1} is U+0000, which no name or value has")
        self.comparisons = 0
        self.series = 0
        self.facts = RUN_FACTS if facts is None else facts
        self.named = _NAMED if facts is None else named
        names = ", ".join(f"{one}s.NAME" for one in self.named)
        self.example = f"{names} or a fact such as {'state' if facts is None else 'name'}"
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
        """Consume these words or signs if they come next; return whether they did."""
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


def _either(tokens: _Tokens, depth: int) -> Node:
    parts = [_all(tokens, depth)]
    while tokens.take("or"):
        parts.append(_all(tokens, depth))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _all(tokens: _Tokens, depth: int) -> Node:
    parts = [_one(tokens, depth)]
    while tokens.take("and"):
        parts.append(_one(tokens, depth))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _one(tokens: _Tokens, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise tokens.error(f"at most {MAX_DEPTH} levels of parentheses and `not`")
    if tokens.take("not"):
        return Not(_one(tokens, depth + 1))
    if tokens.take("("):
        inside = _either(tokens, depth + 1)
        if not tokens.take(")"):
            raise tokens.error("`and`, `or` or a closing parenthesis")
        return inside
    tokens.comparisons += 1
    if tokens.comparisons > MAX_COMPARISONS:
        raise tokens.error(f"at most {MAX_COMPARISONS} comparisons")
    return _compare(tokens)


def _key(tokens: _Tokens) -> Key:
    token = tokens.move()
    example = tokens.example
    if token.kind != "word":
        raise tokens.error(example, token)
    before, dot, name = token.text.partition(".")
    prefix = _PREFIXES.get(before.lower()) if dot else None
    if prefix is None:
        found = tokens.facts.get(token.text.lower())
        if found is None:
            raise tokens.error(f"{example}; facts are {', '.join(sorted(tokens.facts))}", token)
        return Key(*found)
    if prefix != "attribute" and prefix not in tokens.named:
        raise tokens.error(example, token)
    if not name and tokens.token.kind == "quoted" and tokens.token.at == token.at + len(token.text):
        name = _unquoted(tokens.move().text)
    if not name:
        raise tokens.error(f"a name right after {token.text}, in backticks when it has other characters than words")
    if prefix != "attribute":
        return Key(prefix, name)
    found = tokens.facts.get(name.lower())
    if found is None:
        raise tokens.error(f"one of {', '.join(sorted(tokens.facts))}", token)
    return Key(*found)


def meanings(metric: str) -> int:
    """Return how many series a written name can mean, at most: its step and its labels are part of it."""
    return (1 + min(metric.count("/"), MAX_STEP_SLASHES)) * (2 if metric.endswith("}") else 1)


def _compare(tokens: _Tokens) -> Compare:
    key = _key(tokens)
    if key.kind == "metric":
        tokens.series += meanings(key.name)
        if tokens.series > MAX_SERIES:
            raise tokens.error(f"fewer metrics with slashes: together they can mean at most {MAX_SERIES} series")
    if tokens.take("is"):
        negated = tokens.take("not")
        if not tokens.take("null"):
            raise tokens.error("null or not null")
        return Compare(key, "is not null" if negated else "is null", ())
    token = tokens.token
    negated = tokens.take("not")
    if tokens.take("in"):
        return Compare(key, "not in" if negated else "in", _listed(tokens, key))
    for like in ("like", "ilike"):
        if tokens.take(like):
            return _like(tokens, key, like, negated=negated)
    if negated:
        raise tokens.error("in, like or ilike")
    tokens.move()
    if token.kind != "sign" or token.text in "(),":
        raise tokens.error("one of = != < <= > >= like ilike in is", token)
    at = tokens.token
    value = _value(tokens, key)
    if token.text in ("=", "=="):
        return Compare(key, "in", (value,))
    if token.text in ("!=", "<>"):
        return Compare(key, "not in", (value,))
    if key.kind in ("text", "tag", "state"):
        raise tokens.error(f"one of = != like in, because {key.name} is text", token)
    if value.number is None:
        raise tokens.error("a number without quotes, because text has no order here", at)
    return Compare(key, _ORDERED[token.text], (value,))


_ORDERED: dict[str, Op] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _like(tokens: _Tokens, key: Key, like: str, *, negated: bool) -> Compare:
    token = tokens.move()
    if key.kind not in ("param", "tag", "text"):
        raise tokens.error(f"one of = != < <= > >= in, because {key.name} is no text", token)
    if token.kind != "quoted":
        raise tokens.error("a pattern in quotes, with % for any characters", token)
    pattern = _unquoted(token.text)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise tokens.error("a pattern that does not end with a single \\", token)
    ops: dict[tuple[str, bool], Op] = {
        ("like", False): "like", ("like", True): "not like", ("ilike", False): "ilike", ("ilike", True): "not ilike",
    }  # fmt: skip
    return Compare(key, ops[like, negated], (Value(None, pattern),))


def _listed(tokens: _Tokens, key: Key) -> tuple[Value, ...]:
    if not tokens.take("("):
        raise tokens.error("values in parentheses")
    values = [_value(tokens, key)]
    while tokens.take(","):
        values.append(_value(tokens, key))
    if not tokens.take(")"):
        raise tokens.error("a comma or a closing parenthesis")
    return tuple(values)


def _value(tokens: _Tokens, key: Key) -> Value:
    token = tokens.move()
    if token.kind not in ("number", "word", "quoted"):
        raise tokens.error("a number, or text in quotes", token)
    text = _unquoted(token.text) if token.kind == "quoted" else token.text
    number = _number(token.text) if token.kind != "quoted" else None
    if key.kind in ("metric", "number"):
        if number is None:
            raise tokens.error("a number without quotes", token)
    elif key.kind == "state":
        text = _MLFLOW_STATES.get(text.lower(), text.lower())
        if text not in STATES:
            raise tokens.error(f"one of {', '.join(STATES)}", token)
    elif key.kind == "time":
        number = number * 1_000 if number is not None else _time(text)
        if number is None or not abs(number) < 2**62:
            raise tokens.error("a time: ms since 1970, or text such as '2026-11-21 09:30' (UTC)", token)
    elif token.kind == "word" and number is None and text.lower() not in ("true", "false"):
        raise tokens.error("a number, true, false, or text in quotes", token)
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
