"""What may follow while a filter is typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.search.completion import column_of, follow
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import Key
from consumers.store.search.filter_tokens import FilterError

T = TypeVar("T")
FOLLOWS = [
    ("|", 0, "metrics. params. state text min(metrics. not (", None, None),
    ("sta|te = 'x'", 0, "stage start_time started state status", None, None),
    ("state |", 6, "= != in is null", ("fact", "state"), None),
    ("state = |", 8, "'running'", ("fact", "state"), None),
    ("state = 'ru|", 8, "'running'", ("fact", "state"), None),
    ("name = 'x' a|", 11, "and", None, None),
    ("(name = 'x' |", 12, "and or )", None, None),
    ("name = 'x' and metrics.lo|", 15, "", None, ("metric", "lo")),
    ("name = 'x' and params.`a b|", 15, "", None, ("param", "a b")),
    ("max(metrics.lo|", 4, "", None, ("metric", "lo")),
    ("max(|", 4, "metrics.", None, None),
    ("min(metrics.loss) |", 18, "< >=", ("metric", "loss", "min"), None),
    ("params.net = |", 13, "true false", ("param", "net"), None),
    ("tags.team like |", 15, "'", ("tag", "team"), None),
    ("text |", 5, "has", ("fact", "text"), None),
]


@pytest.mark.parametrize(("text", "start", "words", "key", "name"), FOLLOWS)
def test_what_may_follow_at_a_position(
    text: str, start: int, words: str, key: tuple[str, ...] | None, name: tuple[str, str] | None
) -> None:
    found = follow(text.replace("|", ""), text.index("|"))

    assert (found.start, None if found.key is None else column_of(found.key), found.name) == (start, key, name)
    assert set(words.split()) <= {word for one in found.words for word in one.split()}
    assert bool(words) == bool(found.words)


PARTS = [
    "metrics.loss",
    "min(",
    "name",
    "state",
    "<",
    "=",
    "'x'",
    "'",
    "`",
    "and",
    "not",
    "(",
    ")",
    "in",
    ",",
    "3",
    " ",
]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join), st.integers(0, 60))
def test_every_word_that_may_follow_leads_on(text: str, position: int) -> None:
    found, wrong = outcome(lambda: follow(text, position))
    if found is None:
        assert wrong is not None
        assert wrong <= position
        return
    before = text[: found.start]
    for word in found.words:
        tree, wrong = outcome(partial(parse_filter, before + word))
        # A prefix or a quote is no word yet: what is missing follows it directly.
        assert tree is not None or word.endswith((".", "'")) or (wrong or 0) >= len((before + word).rstrip())


def outcome(ask: Callable[[], T]) -> tuple[T | None, int | None]:
    """Return what a question answers, or the position of its error."""
    try:
        return ask(), None
    except FilterError as error:
        return None, error.position


def test_keys_are_named_as_tables_name_them() -> None:
    assert column_of(Key("time", "created")) == ("fact", "created")
