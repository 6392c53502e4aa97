"""Rules as YAML: both forms say the same, and an error names the line of the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.live.api.alerts.checks import checked
from schemas.alerts.rule import RuleEntry
from schemas.alerts.rule_text import BadYaml, load_yaml, read_text, write_text
from schemas.api.alerts import RuleCheckQuestion

WHOLE = """\
id: loss
where: params.lr >
when:
  kind: threshold
  op: =
  value: much
  fo_points: 3
severity: bad
"""


def test_each_fault_has_the_place_of_its_field() -> None:
    found = {one.field: (one.line, one.column) for one in read_text(WHOLE).faults}

    assert found == {"when.value": (6, 10), "when.fo_points": (7, 3), "severity": (8, 11)}


@pytest.mark.parametrize(
    ("text", "field", "line", "said"),
    [
        ("id: a\nwhen: {kind: nan", "", 2, "expected ',' or '}'"),
        ("id: a\nname: b", "when", 1, "is missing"),
        ("- 1", "", 1, "write the fields of one rule"),
        ("", "", 1, "write the fields of one rule"),
        ("id: a\nwhen: {kind: none}", "when", 2, "needs kind, one of threshold, nan"),
        ("id: &x a\nname: *x\nwhen: {kind: nan}", "", 2, "alias"),
        ("[" * 500, "", 0, "nested too deep"),
        ("[" * 501, "", 0, "write it flat"),
        ("#" * 20_000, "", 0, "16,384"),
        ("id: \x00", "", 0, "cannot be read as YAML"),
        ("id: 2020-13-45\nwhen: {kind: nan}", "", 0, "cannot be read as YAML"),
    ],
)
def test_texts_that_are_no_rule(text: str, field: str, line: int, said: str) -> None:
    (first, *_) = read_text(text).faults

    assert (first.field, first.line) == (field, line)
    assert said in first.message


def test_a_file_may_use_aliases_and_one_rule_of_a_file_is_a_rule() -> None:
    assert load_yaml("a: &x 1\nb: *x") == {"a": 1, "b": 1}
    with pytest.raises(BadYaml, match="line 1"):
        load_yaml("a: [")
    assert read_text("rules:\n  - id: a\n    when: {kind: nan}\n").entry is not None
    assert read_text("rules:\n  - id: a\n    when: {kind: 3}\n").faults[0].line == 3


def test_a_filter_that_is_wrong_says_where_in_both_forms() -> None:
    body: dict[str, Any] = {"id": "a", "when": {"kind": "nan"}, "where": "params.lr >"}
    by_fields = checked(RuleCheckQuestion(rule=body))
    by_text = checked(RuleCheckQuestion(yaml="id: a\nwhere: metrics.loss > 1\nwhen: {kind: nan}"))

    assert (by_fields.ok, by_fields.problems[0].field, by_fields.problems[0].position) == (False, "where", 11)
    assert (by_text.ok, by_text.problems[0].line) == (False, 2)
    assert by_text.rule is not None


WHEN = st.sampled_from([
    {"kind": "nan"}, {"kind": "nan", "infinite": False}, {"kind": "threshold", "op": "=", "value": -1e300},
    {"kind": "threshold", "op": ">", "value": 0, "of": "mean", "points": 9}, {"kind": "run_ended", "states": ["lost"]},
    {"kind": "spike", "direction": "up"}, {"kind": "no_news", "seconds": 0.5}, {"kind": "gpu_idle"},
    {"kind": "record_missing", "seconds": 0},
])  # fmt: skip


@given(
    WHEN,
    st.text(max_size=30),
    st.text(min_size=1, max_size=20),
    st.booleans(),
    st.sampled_from(["", "yes", "~", "=", "1e3"]),
)
def test_a_rule_is_the_same_after_it_was_written_and_read(
    when: dict[str, Any], name: str, rule_id: str, enabled: bool, where: str
) -> None:
    entry = RuleEntry.model_validate({"id": rule_id, "name": name, "when": when, "enabled": enabled, "where": where})

    assert read_text(write_text(entry)).entry == entry


@pytest.mark.parametrize("number", ["0x" + "f" * 12_000, "1:" + ":".join(["10"] * 5_000), "0" + "7" * 12_000])
def test_a_number_that_python_does_not_write_is_a_fault_with_its_place(number: str) -> None:
    found = read_text(f"id: x\nwhen: {{kind: nan}}\ncooldown_s: {number}\n")

    assert [(one.line, one.message[:22]) for one in found.faults] == [(3, "the number is too long")]
