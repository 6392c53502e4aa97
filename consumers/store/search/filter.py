"""
Parse filters for runs: `metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'`.

Pure: text in, a tree of comparisons out, without SQL. The language is that of MLflow's filter strings, with `or`, `not`
and parentheses. Keywords may have any case.

    metrics.NAME          last value, by written name: metrics.loss, metrics.`validate/loss{rank=3}`
    min(metrics.NAME)     also max, first, count, non_finite and step (of the last value): over all attempts; min and
                          max of finite values
    params.NAME           compared as a number, or as text if the value is in quotes; params.model.layers also finds
                          what is inside a JSON parameter, by its path
    tags.NAME             text
    labels.NAME           text; of a label that is JSON, labels.`NAME*a/b` is the text at a path inside
    state, name, group, tag, experiment, experiment_id, run_id, parent_run_id, message, note, points, attempt, created,
    started, began, ended, updated, duration, stage
                          facts about the run; also as attributes.NAME and under MLflow's names (status, start_time, …);
                          a time is a number of ms, as in MLflow, or text such as '2026-11-21' (UTC);
                          began: when it started, or else when it was created; duration: until its end or newest event,
                          a number of s or text such as '1h 30m'; stage: active or deleted
    text has 'WORDS'      each word is somewhere in name, id, group, tag, message, note or tags, in any case
    =  !=  <  <=  >  >=  like  ilike  has  in (…)  not in (…)  is null  is not null

`!=` and `not in` find runs that have the name with another value; `not (… = …)` also finds runs without the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from consumers.store.search.filter_terms import (
    CHOICES,
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_SERIES,
    MAX_WORDS,
    RUN_FACTS,
    STAGES,
    STATES,
    STATS,
    All,
    Compare,
    Either,
    Facts,
    Key,
    Kind,
    Node,
    Not,
    Op,
    Order,
    Value,
    meanings,
)
from consumers.store.search.filter_tokens import (
    FilterError,
    Token,
    Tokens,
    read_duration,
    read_number,
    read_time,
    unquoted,
)

_PREFIXES: dict[str, Literal["metric", "param", "tag", "label", "attribute"]] = {
    "metrics": "metric", "metric": "metric",
    "params": "param", "param": "param", "parameters": "param", "parameter": "param",
    "tags": "tag", "tag": "tag",
    "labels": "label", "label": "label",
    "attributes": "attribute", "attribute": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip
_NAMED: tuple[Kind, ...] = ("metric", "param", "tag", "label")
_SEARCHED: tuple[Kind, ...] = ("param", "tag", "label", "text")
_MLFLOW_STATES = {"scheduled": "created"}


def parse_filter(text: str, facts: Facts | None = None, named: Sequence[Kind] = ("tag",)) -> Node:
    """
    Return the tree of a filter; empty text matches everything. Raises FilterError.

    `facts` are those of what is searched, if it is not runs: then a filter compares only them and what is `named`.
    """
    return _parsed(_Question(text, facts, named))


def parse_before(text: str) -> tuple[Key | None, tuple[str, ...]]:
    """
    Return what may follow a text that is the beginning of a filter for runs: words, and the key that they are about.

    The key is that of an unfinished comparison. Raises FilterError where the text is wrong before its end.
    """
    tokens = _Question(text)
    try:
        _parsed(tokens)
    except FilterError as error:
        if error.position != tokens.end:
            raise
        return tokens.key, error.expected
    return None, tuple(tokens.begins if not text.strip() else tokens.continues)


def name_kind(prefix: str) -> str | None:
    """Return the kind of names behind a prefix such as `metrics`, None if it is no prefix."""
    return _PREFIXES.get(prefix.lower())


def _parsed(tokens: _Question) -> Node:
    if tokens.is_over:
        return All(())
    tree = _either(tokens, 0)
    if not tokens.is_over:
        raise tokens.error("`and`, `or` or the end", words=tokens.continues)
    return tree


def parse_order(text: str) -> Order:
    """Return the order that a text such as `metrics.loss` or `created desc` describes. Raises FilterError."""
    tokens = _Question(text)
    at = tokens.token
    key = _key(tokens)
    if key.kind in ("label", "anywhere"):
        raise tokens.error(f"another name, because runs have no order by {key.name}", at)
    descending = tokens.take("desc")
    if not descending:
        tokens.take("asc")
    if not tokens.is_over:
        raise tokens.error("asc, desc or the end", words=("asc", "desc"))
    return Order(key, descending)


class _Question(Tokens):
    """The tokens of a filter, what it may name, and how much it has asked for."""

    def __init__(self, text: str, facts: Facts | None = None, named: Sequence[Kind] = _NAMED) -> None:
        super().__init__(text)
        self.comparisons = self.series = self.depth = 0
        self.facts = RUN_FACTS if facts is None else facts
        self.named = _NAMED if facts is None else named
        names = ", ".join(f"{one}s.NAME" for one in self.named)
        self.example = f"{names} or a fact such as {'state' if facts is None else 'name'}"
        self.key: Key | None = None  # that the comparison at the end is about

    @property
    def begins(self) -> list[str]:
        """Words that may begin a comparison."""
        stats = [f"{one}(metrics." for one in STATS[1:]] if "metric" in self.named else []
        return [*(f"{one}s." for one in self.named), *sorted(self.facts), *stats, "not", "("]

    @property
    def continues(self) -> list[str]:
        """Words that may follow a comparison."""
        return ["and", "or", *([")"] if self.depth else [])]


def _either(tokens: _Question, depth: int) -> Node:
    parts = [_all(tokens, depth)]
    while tokens.take("or"):
        parts.append(_all(tokens, depth))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _all(tokens: _Question, depth: int) -> Node:
    parts = [_one(tokens, depth)]
    while tokens.take("and"):
        parts.append(_one(tokens, depth))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _one(tokens: _Question, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise tokens.error(f"at most {MAX_DEPTH} levels of parentheses and `not`")
    tokens.key = None
    if tokens.take("not"):
        return Not(_one(tokens, depth + 1))
    if tokens.take("("):
        tokens.depth += 1
        inside = _either(tokens, depth + 1)
        if not tokens.take(")"):
            raise tokens.error("`and`, `or` or a closing parenthesis", words=tokens.continues)
        tokens.depth -= 1
        return inside
    tokens.comparisons += 1
    if tokens.comparisons > MAX_COMPARISONS:
        raise tokens.error(f"at most {MAX_COMPARISONS} comparisons")
    found = _compare(tokens)
    tokens.key = None
    return found


def _key(tokens: _Question) -> Key:
    for stat in STATS if "metric" in tokens.named else ():
        if tokens.comes(stat, "("):
            return _stat(tokens, stat)
    token = tokens.move()
    example = tokens.example
    if token.kind != "word":
        raise tokens.error(example, token, tokens.begins)
    before, dot, name = token.text.partition(".")
    prefix = _PREFIXES.get(before.lower()) if dot else None
    if prefix is None:
        found = tokens.facts.get(token.text.lower())
        if found is None:
            raise tokens.error(f"{example}; facts are {', '.join(sorted(tokens.facts))}", token, tokens.begins)
        return Key(*found)
    if prefix != "attribute" and prefix not in tokens.named:
        raise tokens.error(example, token, tokens.begins)
    if not name and tokens.token.kind == "quoted" and tokens.token.at == token.at + len(token.text):
        name = unquoted(tokens.move().text)
    if not name:
        raise tokens.error(f"a name right after {token.text}, in backticks when it has other characters than words")
    if prefix != "attribute":
        return Key(prefix, name)
    found = tokens.facts.get(name.lower())
    if found is None:
        raise tokens.error(f"one of {', '.join(sorted(tokens.facts))}", token)
    return Key(*found)


def _stat(tokens: _Question, stat: str) -> Key:
    tokens.move()
    tokens.move()
    token = tokens.token
    key = _key(tokens) if not tokens.is_over else None
    if key is None or key.kind != "metric" or key.stat != "last":
        raise tokens.error("metrics.NAME", token, ("metrics.",))
    if not tokens.take(")"):
        raise tokens.error("a closing parenthesis", words=(")",))
    return key._replace(stat=stat)


def _compare(tokens: _Question) -> Compare:
    key = tokens.key = _key(tokens)
    if key.kind == "metric":
        tokens.series += meanings(key.name)
        if tokens.series > MAX_SERIES:
            raise tokens.error(f"fewer metrics with slashes: together they can mean at most {MAX_SERIES} series")
    if tokens.take("is"):
        negated = tokens.take("not")
        if key.kind == "anywhere" or not tokens.take("null"):
            raise tokens.error("null or not null", words=("null",) if negated else ("null", "not null"))
        return Compare(key, "is not null" if negated else "is null", ())
    token = tokens.token
    negated = tokens.take("not")
    if key.kind != "anywhere" and tokens.take("in"):
        return Compare(key, "not in" if negated else "in", _listed(tokens, key))
    for like in ("like", "ilike", "has"):
        if tokens.take(like):
            return _like(tokens, key, like, negated=negated)
    if negated:
        raise tokens.error("in, like, ilike or has", words=("in", "like", "ilike", "has"))
    tokens.move()
    if token.kind != "sign" or token.text in "(),":
        raise tokens.error("one of = != < <= > >= like ilike has in is", token, _operators(key))
    if key.kind == "anywhere":
        raise tokens.error("has", token, _operators(key))
    return _signed(tokens, key, token)


def _operators(key: Key) -> tuple[str, ...]:
    """Return what may follow a key."""
    if key.kind == "anywhere":
        return ("has", "not has")
    signs = ("=", "!=") if key.kind in ("text", "tag", "label", *CHOICES) else ("=", "!=", "<", "<=", ">", ">=")
    likes = ("like", "ilike", "has", "not like", "not ilike", "not has") if key.kind in _SEARCHED else ()
    return (*signs, *likes, "in", "not in", "is null", "is not null")


def _signed(tokens: _Question, key: Key, sign: Token) -> Compare:
    at = tokens.token
    value = _value(tokens, key)
    if sign.text in ("=", "=="):
        return Compare(key, "in", (value,))
    if sign.text in ("!=", "<>"):
        return Compare(key, "not in", (value,))
    if key.kind in ("text", "tag", "label", *CHOICES):
        raise tokens.error(f"one of = != like has in, because {key.name} is text", sign, _operators(key))
    if value.number is None:
        raise tokens.error("a number without quotes, because text has no order here", at)
    return Compare(key, _ORDERED[sign.text], (value,))


_ORDERED: dict[str, Op] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _like(tokens: _Question, key: Key, like: str, *, negated: bool) -> Compare:
    token = tokens.move()
    if key.kind not in (*_SEARCHED, "anywhere"):
        raise tokens.error(f"one of = != < <= > >= in, because {key.name} is no text", token, _operators(key))
    if key.kind == "anywhere" and like != "has":
        raise tokens.error("has, because text is in several places", token, _operators(key))
    if token.kind != "quoted":
        what = "words in quotes" if like == "has" else "a pattern in quotes, with % for any characters"
        raise tokens.error(what, token, ("'",))
    text = unquoted(token.text)
    if like == "has" and not 0 < len(text.split()) <= MAX_WORDS:
        raise tokens.error(f"one to {MAX_WORDS} words in quotes", token)
    if like != "has" and (len(text) - len(text.rstrip("\\"))) % 2:
        raise tokens.error("a pattern that does not end with a single \\", token)
    return Compare(key, _LIKES[like, negated], (Value(None, text),))


_LIKES: dict[tuple[str, bool], Op] = {
    ("like", False): "like", ("like", True): "not like", ("ilike", False): "ilike", ("ilike", True): "not ilike",
    ("has", False): "has", ("has", True): "not has",
}  # fmt: skip


def _listed(tokens: _Question, key: Key) -> tuple[Value, ...]:
    if not tokens.take("("):
        raise tokens.error("values in parentheses", words=("(",))
    values = [_value(tokens, key)]
    while tokens.take(","):
        values.append(_value(tokens, key))
    if not tokens.take(")"):
        raise tokens.error("a comma or a closing parenthesis", words=(",", ")"))
    return tuple(values)


def _value(tokens: _Question, key: Key) -> Value:
    token = tokens.move()
    if token.kind not in ("number", "word", "quoted"):
        raise tokens.error("a number, or text in quotes", token, _values(key))
    text = unquoted(token.text) if token.kind == "quoted" else token.text
    number = read_number(token.text) if token.kind != "quoted" else None
    if key.kind in ("metric", "number"):
        if number is None:
            raise tokens.error("a number without quotes", token)
    elif key.kind in CHOICES:
        text = _MLFLOW_STATES.get(text.lower(), text.lower())
        choices = STATES if key.kind == "state" else STAGES
        if text not in choices:
            raise tokens.error(f"one of {', '.join(choices)}", token, _values(key))
    elif key.kind == "time":
        number = number * 1_000 if number is not None else read_time(text)
        if number is None or not abs(number) < 2**62:
            raise tokens.error("a time: ms since 1970, or text such as '2026-11-21 09:30' (UTC)", token)
    elif key.kind == "duration":
        number = number * 1e6 if number is not None else read_duration(text)
        if number is None or not abs(number) < 2**62:
            raise tokens.error("a duration: a number of seconds, or text such as '1h 30m'", token)
    elif token.kind == "word" and number is None and text.lower() not in ("true", "false"):
        raise tokens.error("a number, true, false, or text in quotes", token, _values(key))
    elif token.kind == "word":
        text = text.lower()
    return Value(number, text)


def _values(key: Key) -> tuple[str, ...]:
    """Return values that a key may have, where they are few."""
    if key.kind in CHOICES:
        return tuple(f"'{one}'" for one in (STATES if key.kind == "state" else STAGES))
    return ("true", "false") if key.kind == "param" else ()
