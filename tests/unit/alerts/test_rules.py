"""Rules as people write them: errors that name the field, alarms, filters, and files of targets."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.evaluator.points import deviation, median
from consumers.alerts.evaluator.rules import compile_rule
from consumers.alerts.sending.targets import LOG_ALONE, describe, read_targets
from consumers.store.alerts.where import RunValues, matches, parse_where
from consumers.store.search.filter_tokens import FilterError
from schemas.alerts import NotFinite, Spike, Stalled, Threshold, parse_alarm, read_rules
from schemas.errors import BadSettings


def one(**fields: Any) -> dict[str, Any]:
    return {"rules": [{"id": "a", **fields}]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "must hold a list called rules"),
        ({"rules": [], "rule": 1}, "unknown rule"),
        ({"rules": [{"when": {"kind": "nan"}}]}, "rule 1: id: is missing"),
        (one(), "rule 'a': when: is missing"),
        (one(when={"kind": "none"}), "when: needs kind, one of threshold, nan"),
        (one(when={"kind": "nan", "x": 1}), "when.x: is not known"),
        (one(when={"kind": "threshold", "op": ">"}), "when.value: is missing"),
        (one(when={"kind": "threshold", "op": ">", "value": "ten"}), "when.value: input should be a valid number"),
        (one(when={"kind": "threshold", "op": ">", "value": 1, "points": 5}), "points is the window of the mean"),
        (one(when={"kind": "stalled", "goal": "min"}, series={"name": "x"}), "write either steps or seconds"),
        (one(when={"kind": "stalled", "goal": "min", "steps": 5}), "a rule of kind stalled needs one"),
        (one(when={"kind": "run_ended"}, series={"name": "x"}), "leave series out"),
        (one(when={"kind": "nan"}, series={"name": "x", "prefix": "y"}), "write one of name, prefix, regex"),
        (one(when={"kind": "nan"}, series={"regex": "(a+)+$"}), "repeats a group"),
        (one(when={"kind": "nan"}, series={"regex": "a.*b.*c.*"}), "at most 2"),
        (one(when={"kind": "nan"}, series={"regex": "a?" * 40 + "a" * 40 + "$"}), "too many of ? and |"),
        (one(when={"kind": "nan"}, series={"regex": "(a|a)" * 20 + "$"}), "too many of ? and |"),
        (one(when={"kind": "nan"}, series={"regex": "(?x) (a+) +$"}), "the flag x"),
        (one(when={"kind": "nan"}, series={"regex": "(?#[)" + "(a|a)" * 20 + "(?#])"}), "a comment"),
        (one(when={"kind": "nan"}, series={"regex": "("}), "no regular expression"),
        (one(when={"kind": "nan"}, series={"regex": "x{99999999999}"}), "no regular expression"),
        (one(when={"kind": "nan"}, to=["http://x/"]), "to.0: string should match"),
        ({"rules": [{"id": "a", "when": {"kind": "nan"}}] * 2}, "another rule of the file has this id"),
    ],
)
def test_an_error_names_the_rule_the_field_and_what_to_write(document: Any, expected: str) -> None:
    with pytest.raises(BadSettings) as raised:
        read_rules(document, "rules.yaml")

    assert str(raised.value).startswith("rules.yaml")
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_id_of_an_alarm_in_code_is_refused() -> None:
    with pytest.raises(BadSettings, match="rule: id: alarm/ begins the ids of alarms in code"):
        compile_rule("alarm/loss/0", 1, "", {"when": {"kind": "nan"}}, 0)


def test_alarms_in_code() -> None:
    assert parse_alarm("> 10 or NaN OR spike 8") == [Threshold(op=">", value=10), NotFinite(), Spike(score=8)]
    assert parse_alarm("<= -1e3 for 5 points or > 2 for 60 s") == [
        Threshold(op="<=", value=-1000, for_points=5),
        Threshold(op=">", value=2, for_s=60),
    ]
    assert parse_alarm("stalled 500 steps", "max") == [Stalled(goal="max", steps=500)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "character 1"),
        ("> 10 or > x", "character 9, at '> x'"),
        ("> 10 and nan", "expected > 10, nan"),
        ("stalled 5 steps", "goal='min'"),
        ("> 1 for 0 points", "greater than or equal to 1"),
        ("nan or " * 20 + "nan", "at most 10"),
        ("x" * 501, "at most 500"),
    ],
)
def test_an_alarm_that_is_wrong_says_where(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_alarm(text)


@pytest.mark.parametrize("text", ["metrics.loss > 1", "state = 'failed'", "created > '2026-01-01'", "name has 'x'"])
def test_a_filter_that_alerts_cannot_decide_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_where(text)


RUN = RunValues({"name": "first", "experiment": "digits"}, {"lr": 0.1, "net": "rf", "depth": 5.0}, {"team": "a%b"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("params.lr >= 0.1 and params.lr < 0.2", True),
        ("params.depth = '5' and params.depth = 5", True),
        ("params.net != 'rf' or params.nothing != 'x'", False),
        ("not params.nothing = 'x'", True),
        ("params.nothing is null and params.net is not null", True),
        ("name like 'f_rs%' and name ilike 'FIRST'", True),
        ("name not like '%x%'", True),
        ("tags.team like 'a\\%_' and experiment in ('x', 'digits')", True),
        ("tags.team like 'a\\%'", False),
        ("params.net > 3", False),
    ],
)
def test_filters_in_memory(text: str, expected: bool) -> None:
    assert matches(parse_where(text), RUN) is expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_scale_of_a_spike_is_that_of_the_statistics_module(values: list[float]) -> None:
    middle = statistics.median(values)
    distances = [abs(value - middle) for value in values]
    expected = 1.4826 * statistics.median(distances) or 1.2533 * statistics.fmean(distances)

    assert median(sorted(values)) == pytest.approx(middle)
    assert deviation(sorted(values), middle) == pytest.approx(expected)
    assert math.isfinite(expected)


def targets_file(folder: Path, text: str) -> Path:
    path = folder / "targets.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("targets: {a: {type: webhook, url: 'file:///etc/passwd?token=s3cret'}}", "targets.a.webhook.url"),
        ("targets: {a: {type: slack, url: 's3cret'}}", "it is not http(s)://host..."),
        ("targets: {a: {type: pager}}", "targets.a: input tag 'pager'"),
        ("targets: {a: {type: log, url: s3cret}}", "targets.a.log.url: extra inputs are not permitted"),
        ("targets: {a: {type: log}}\ndefault: [b]", "no target is called b"),
        ("targets: {a: {type: webhook, url: '${NOT_THERE}'}}", "set NOT_THERE"),
        ("targets: {a: {type: webhook, url: 'http://x', headers: {A: \"s3cret\\n\"}}}", "printable ASCII"),
        ("targets: [", "cannot be read as YAML"),
    ],
)
def test_a_targets_file_that_is_wrong_names_the_field_and_shows_no_secret(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(BadSettings) as raised:
        read_targets(targets_file(tmp_path, text))

    assert expected in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_secrets_of_targets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://user:s3cret@hooks.example.org:8443/T000/s3cret")
    text = "targets: {chat: {type: slack, url: '${HOOK}'}, mail: {type: email, smtp: 'h:25', from: a@b, to: [c@d]}}"

    found = read_targets(targets_file(tmp_path, text))

    assert describe(found.targets["chat"]) == "https://hooks.example.org:8443/…"
    assert describe(found.targets["mail"]) == "c@d by h:25"
    assert "s3cret" not in repr(found)
    assert read_targets(None) == LOG_ALONE


@pytest.mark.parametrize("regex", [r"(?i)^(train|val)/(loss|acc)$", r"loss\?$", "[?|]{3}x??", "^(?:a|b)/.*loss.*$"])
def test_a_regex_with_few_choices_is_taken(regex: str) -> None:
    assert read_rules(one(when={"kind": "nan"}, series={"regex": regex}), "rules.yaml")
