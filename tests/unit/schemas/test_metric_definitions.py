"""Which definition of a metric counts for a series."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.metric_definitions import DefinitionFinder, fits

TEXTS = st.text("ab/*", max_size=7)


@given(TEXTS, st.text("ab/", max_size=8))
def test_a_pattern_fits_what_its_regular_expression_fits(pattern: str, name: str) -> None:
    wanted = ".*".join(map(re.escape, pattern.split("*")))

    assert fits(pattern, name) == bool(re.fullmatch(wanted, name, re.DOTALL))


@pytest.mark.parametrize(
    ("written", "names", "wanted"),
    [
        ("loss", [], None),
        ("loss", ["acc", "lo"], None),
        ("val/loss", ["*", "val/*", "*/loss", "val/loss"], "val/loss"),
        ("val/loss", ["*", "val/*", "*/loss"], "*/loss"),
        ("val/loss", ["val/*s", "val*ss"], "val*ss"),  # as long: the first by name
        ("val/loss", ["*l*", "va*", "*s"], "va*"),
        ("val/loss", ["v*l*s", "val*", "**val"], "val*"),
        ("loss{rank=3}", ["loss", "*"], "loss"),
        ("loss{rank=3}", ["loss", "loss{rank=*}", "loss{rank=3}"], "loss{rank=3}"),
        ("val/loss{rank=3}", ["*loss", "*"], "*loss"),
        ("loss{rank=3}", ["loss{rank=4}"], None),
        ("{odd}", ["*d}", "x"], "*d}"),
    ],
)
def test_the_most_specific_definition_counts(written: str, names: list[str], wanted: str | None) -> None:
    assert DefinitionFinder(names).find(written) == wanted
    assert DefinitionFinder(reversed(names)).find(written) == wanted


def test_patterns_made_to_be_slow_are_fast() -> None:
    finder = DefinitionFinder(["*a" * 200 + "b*" for _ in range(2)])

    assert finder.find("a" * 1_000) is None
