"""The history of the benchmarks: what is kept, how two commits are compared, and when a check fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.history.comparison import compare, comparison_table, plain
from benchmarks.history.entry import HISTORY, BadHistory, Entry, line_of, parse, read_history
from benchmarks.history.figure import Figure, higher, lower, worse_by
from benchmarks.history.keeping import keep
from benchmarks.history.regressions import check_ratios
from benchmarks.history.selection import runs_of
from benchmarks.machine import command_of, describe

ROOT = Path(__file__).parents[2]
HERE = {"cpu": "some", "cores": 2, "memory_gib": 24, "system": "Linux 6", "python": "3.11"}
FIRST, SECOND, THIRD = ("1" * 40, "2" * 40, "2" + "3" * 39)
Save = Callable[[Sequence[Entry]], list[str]]


def entry(commit: str = FIRST, ours: float = 2.0, theirs: float = 4.0, **changed: Any) -> Entry:
    """Return a run whose command has one time, compared with one peer."""
    plain_one = Entry(
        time=f"2026-01-01T00:00:0{commit[1]}+00:00",
        commit=commit,
        dirty=False,
        machine=HERE,
        command="python benchmarks/emit.py",
        versions=["peer==1"],
        load=[0.1, 0.2],
        figures=[lower("p50", ours, "µs", {"peer": theirs})],
    )
    return plain_one._replace(**changed)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a history and return the option that names it."""

    def written(entries: Sequence[Entry]) -> list[str]:
        path = tmp_path / "history.jsonl"
        path.write_text("".join(map(line_of, entries)), encoding="utf-8")
        return ["--history", str(path)]

    return written


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row].split("|")[1:-1]]


def test_a_figure_has_a_ratio_to_each_of_the_others_that_has_a_value() -> None:
    assert lower("p50", 2.0, "µs", {"a": 4.0, "b": 0.0}).ratios == {"a": 0.5}
    assert higher("speed", 3.0, "points/s", {"a": 2.0}).ratios == {"a": 1.5}


@pytest.mark.parametrize(
    ("before", "after", "better", "factor"),
    [(2, 3, "lower", 1.5), (2, 3, "higher", 2 / 3), (0, 0, "lower", 1), (0, 1, "lower", inf), (5, 0, "higher", inf)],
)
def test_a_number_is_worse_by_a_factor(before: float, after: float, better: str, factor: float) -> None:
    assert worse_by(before, after, better) == pytest.approx(factor)


def test_an_entry_is_read_as_it_was_written() -> None:
    assert parse(line_of(entry())) == entry()


def test_numbers_are_kept_with_five_digits() -> None:
    kept = parse(line_of(entry(ours=1 / 3, theirs=7.0))).figures[0]

    assert (kept.value, kept.ratios["peer"]) == (0.33333, 0.047619)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"figures": [lower("p50", nan, "µs")]}, "p50: value is nan"),
        ({"figures": [lower("p50", 1.0, "µs", bound=0.9)]}, "bound is 0.9: it must be 1 or more"),
        ({"figures": [Figure("p50", 1.0, "µs", "best", {}, 1.0)]}, "better is 'best'"),
        ({"figures": [lower("", 1.0, "µs")]}, "has no name"),
        ({"figures": [lower("p50", 1.0, "µs")] * 2}, "more than one figure has the name p50"),
    ],
)
def test_what_cannot_be_compared_is_not_kept(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        line_of(entry(**change))


def broken(**changed: Any) -> str:
    return json.dumps(json.loads(line_of(entry())) | changed)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<<<<<<< HEAD", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "the entry lacks time, commit"),
        (broken(host="x"), "has host, which this release does not know"),
        (broken(commit=1), "commit is 1, not a str"),
        (broken(dirty="no"), "dirty is 'no', not a bool"),
        (broken(load=[1, "2"]), "load is [1, '2'], not two numbers"),
        (broken(machine={}), "machine lacks cpu, cores"),
        (broken(figures={}), "figures is {}, not a list"),
        (broken(figures=[3]), "the figure 3 is not an object"),
        (broken(figures=[{"name": "p50"}]), "the figure 'p50' lacks value"),
        (broken(figures=[{**lower("p50", 1.0, "µs")._asdict(), "value": "1"}]), "p50: value is '1'"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{line_of(entry())}\n{line}\n", encoding="utf-8")

    with pytest.raises(BadHistory, match=f"^history.jsonl, line 3: .*{re.escape(words)}"):
        read_history(path)


def test_entries_have_the_order_of_their_time_whatever_a_merge_left(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(line_of(entry(SECOND)) + line_of(entry(FIRST)), encoding="utf-8")

    assert [one.commit for one in read_history(tmp_path / "history.jsonl")] == [FIRST, SECOND]


def test_a_run_is_kept_with_commit_and_machine_but_no_place(tmp_path: Path) -> None:
    words = ["--peers", "none", "--keep", str(tmp_path), "--cache=/home/me", "--other", "/tmp", "--json", "--quick"]
    facts = describe(command_of("python benchmarks/emit.py", words), (), (0.5, 1.5), 3.0)

    keep(tmp_path / "kept.jsonl", facts, [lower("p50", 1.0, "µs")])
    keep(None, facts, [lower("p50", 1.0, "µs")])

    (kept,) = read_history(tmp_path / "kept.jsonl")
    assert kept.command == "python benchmarks/emit.py --peers none --quick"
    assert re.fullmatch("[0-9a-f]{40}|unknown", kept.commit)
    assert (kept.load, kept.machine["cores"]) == ([0.5, 1.5], facts["cores"])


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--keep"], "start"),
        (["--keep", "--quick"], "start --quick"),
        (["--write-docs", "100000"], "start 100000"),
        (["--json", "found.json", "--runs", "20"], "start --runs 20"),
    ],
)
def test_a_command_is_recorded_without_the_places_of_results(words: list[str], command: str) -> None:
    assert command_of("start", words) == command


def test_a_commit_is_found_by_its_beginning() -> None:
    entries = [entry(FIRST), entry(SECOND), entry(THIRD)]

    assert [one.commit for one in runs_of(entries, "11").values()] == [FIRST]


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("9", "no run of '9' was kept: the history knows 11111111, 22222222, 23333333, last and previous"),
        ("", "no run of ''"),
        ("2", f"2 is not one commit but {SECOND}, {THIRD}"),
    ],
)
def test_a_commit_that_is_not_found_is_answered_with_those_that_are(which: str, words: str) -> None:
    with pytest.raises(BadHistory, match=re.escape(words)):
        runs_of([entry(FIRST), entry(SECOND), entry(THIRD)], which)


def test_of_several_runs_of_a_commit_the_last_without_changes_counts() -> None:
    entries = [entry(ours=1.0), entry(ours=2.0), entry(ours=3.0, dirty=True)]

    (found,) = runs_of(entries, "1").values()

    assert found.figures[0].value == 2.0


def test_last_and_previous_are_those_of_each_command() -> None:
    other = entry(command="python benchmarks/kill.py")
    entries = [entry(FIRST), other, entry(SECOND), entry(SECOND, ours=9.0)]

    last, previous = runs_of(entries, "last"), runs_of(entries, "previous")

    assert [one.figures[0].value for one in last.values()] == [9.0, 2.0]
    assert list(previous) == ["python benchmarks/emit.py"]


@pytest.mark.parametrize(
    ("entries", "which", "words"),
    [([], "last", "empty: measure with --keep"), ([entry()], "previous", "no command was kept twice")],
)
def test_a_history_without_runs_says_so(entries: list[Entry], which: str, words: str) -> None:
    with pytest.raises(BadHistory, match=words):
        runs_of(entries, which)


def test_times_and_ratios_are_compared_in_one_table() -> None:
    before, after = entry(FIRST), entry(SECOND, ours=3.0)

    table = comparison_table(compare({before.command: before}, {after.command: after}))

    assert cells(table, 2) == [
        "python benchmarks/emit.py (11111111 → 22222222)", "p50", "µs", "2.00", "3.00", "+50.0 %", "worse than 1.25×"
    ]  # fmt: skip
    assert cells(table, 3) == ["", "p50", "÷ peer", "0.500", "0.750", "+50.0 %", "worse than 1.25×"]


def test_a_bound_can_be_given() -> None:
    before, after = entry(FIRST), entry(SECOND, ours=3.0)

    found = compare({before.command: before}, {after.command: after}, bound=1.6)

    assert not any(one.is_worse for one in found.changes)


def test_times_of_different_machines_are_not_compared_but_ratios_are() -> None:
    before, after = entry(FIRST), entry(SECOND, machine={**HERE, "cpu": "another"})

    found = compare({before.command: before}, {after.command: after})

    assert [one.unit for one in found.changes] == ["÷ peer"]
    assert "Times of `python benchmarks/emit.py` are not compared: the machines differ (some and another)." in (
        comparison_table(found)
    )


def test_what_only_one_side_has_is_named() -> None:
    emit, kill = entry(), entry(command="python benchmarks/kill.py")
    alone = entry(figures=[lower("p50", 2.0, "µs")])

    found = compare({emit.command: emit, kill.command: kill}, {alone.command: alone})

    assert found.notes == [
        "Not measured after: p50 ÷ peer of `python benchmarks/emit.py`.",
        "Only before: `python benchmarks/kill.py`.",
    ]


def test_runs_without_a_common_command_cannot_be_compared() -> None:
    emit, kill = entry(), entry(command="python benchmarks/kill.py")

    with pytest.raises(BadHistory, match=r"no command in common: `.*emit.py` before, `.*kill.py` after"):
        compare({emit.command: emit}, {kill.command: kill})


def test_a_comparison_is_json_even_if_a_number_was_zero() -> None:
    before, after = entry(figures=[lower("lost", 0, "points")]), entry(figures=[lower("lost", 3, "points")])

    (change,) = json.loads(json.dumps(plain(compare({"c": before}, {"c": after})), allow_nan=False))["changes"]

    assert (change["percent"], change["worse"], change["is_worse"]) == (None, None, True)


def test_a_ratio_that_got_worse_than_its_bound_fails() -> None:
    verdict = check_ratios([entry(SECOND, ours=3.0)], [entry(FIRST)])

    assert verdict.failures == [
        "`python benchmarks/emit.py`: p50 ÷ peer is 0.75, and was 0.5 at commit 11111111: 1.50 times worse; "
        "the bound is 1.25 (load average 0.1 on 2 cores, 0.1 then)"
    ]


def test_a_time_that_got_worse_on_a_slower_machine_passes() -> None:
    verdict = check_ratios([entry(SECOND, ours=6.0, theirs=12.0)], [entry(FIRST)])

    assert verdict.failures == []
    assert verdict.passed == ["`python benchmarks/emit.py`: none of 1 ratios is worse than its bound (commit 11111111)"]


def test_the_best_of_several_measurements_counts() -> None:
    verdict = check_ratios([entry(SECOND, ours=3.0), entry(SECOND, ours=2.1)], [entry(FIRST)])

    assert verdict.failures == []


def test_a_check_compares_with_the_same_machine_if_it_can() -> None:
    elsewhere = entry(SECOND, ours=0.1, machine={**HERE, "cpu": "another"})

    assert check_ratios([entry(THIRD)], [entry(FIRST), elsewhere]).failures == []
    assert len(check_ratios([entry(THIRD)], [elsewhere]).failures) == 1


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (entry(SECOND, figures=[]), "p50 ÷ peer was not measured; commit 11111111 has it"),
        (entry(SECOND, command="other"), "`other`: the history has no run of it to compare with"),
    ],
)
def test_a_check_of_nothing_fails(new: Entry, words: str) -> None:
    (failure,) = check_ratios([new], [entry(FIRST)]).failures

    assert words in failure


def test_check_ends_with_1_and_says_what_got_worse(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    option = save([entry(FIRST), entry(SECOND, ours=3.0)])

    assert main(["check", *option]) == 1
    assert "1.50 times worse; the bound is 1.25" in capsys.readouterr().out
    assert main(["check", *option, "--bound", "1.6"]) == 0


def test_new_runs_are_checked_against_the_history(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text(line_of(entry(SECOND)), encoding="utf-8")

    assert main(["check", *save([entry(FIRST)]), "--new", str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failures"] == []

    new.write_text("", encoding="utf-8")
    assert main(["check", *save([entry(FIRST)]), "--new", str(new)]) == 2
    assert "new.jsonl has no run" in capsys.readouterr().err


def test_compare_prints_a_table_or_json(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    option = save([entry(FIRST), entry(SECOND)])

    assert main(["compare", "previous", "last", *option]) == 0
    assert "11111111 → 22222222" in capsys.readouterr().out
    assert main(["compare", "1", "2", "--json", *option]) == 0
    assert [one["percent"] for one in json.loads(capsys.readouterr().out)["changes"]] == [0, 0]
    assert main(["compare", "7", "last", *option]) == 2
    assert "the history knows 11111111, 22222222" in capsys.readouterr().err


def test_a_bound_below_1_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--bound", "0.5"])
    assert "a bound is a factor" in capsys.readouterr().err


JOB = (ROOT / ".ci/benchmarks").read_text(encoding="utf-8")


def test_the_history_has_a_run_of_each_command_of_the_job_without_uncommitted_changes() -> None:
    commands = [command_of("", line.split()).strip() for line in JOB.splitlines() if line.startswith("  python ")]
    measured = [command for command in commands if not command.startswith("python -m benchmarks check")]

    kept = [one.command for one in read_history(HISTORY) if not one.dirty]

    assert len(measured) >= 4
    assert set(measured) - set(kept) == set()


def test_the_document_explains_the_history() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8").partition("## History of the figures")[2]

    for word in ("--keep", "python -m benchmarks compare", "python -m benchmarks check", ".ci/benchmarks", "bound"):
        assert word in text
