"""How `gateway runs show` summarises completeness."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.run_log import _head, _received, print_run_log, summarise_completeness


def producer(received: int, expected: int | None, *missing: tuple[int, int], twice: int = 0, dropped: int = 0) -> Any:
    return {
        "producer": "p",
        "received": received,
        "expected": expected,
        "missing": [list(pair) for pair in missing],
        "refused_duplicates": twice,
        "dropped_points": dropped,
        "author": "",
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (producer(5, 5), "5 of 5"),
        (producer(5, None), "5 of 5, still open"),
        (producer(4, 5), "4 of 5, missing 4"),
        (producer(5, 10, (2, 3), (5, 7)), "5 of 10, missing 2, 5 to 6, 8 to 9"),
        (producer(1_000, 1_000, twice=3, dropped=12), "1,000 of 1,000, 3 duplicates refused, 12 points dropped by it"),
        (producer(2, 2) | {"author": "ada"}, "2 of 2, by ada"),
    ],
)
def test_a_producer_names_every_missing_range(one: Any, expected: str) -> None:
    assert _received(one) == expected


@pytest.mark.parametrize(
    ("producers", "word"),
    [
        ([producer(5, 5), producer(7, 7, twice=1)], "complete"),
        ([producer(5, 5), producer(7, None)], "open"),
        ([producer(5, 5), producer(6, 7)], "incomplete"),
        ([producer(5, None, (2, 3))], "incomplete"),
        ([producer(5, 5, dropped=1)], "points dropped"),
    ],
)
def test_the_run_has_one_word(producers: list[Any], word: str) -> None:
    assert summarise_completeness(producers).partition(":")[0] == word


def test_the_line_counts_everything() -> None:
    line = summarise_completeness([producer(5, 5), producer(6, 8, (3, 4), twice=2, dropped=9)])

    assert line == (
        "incomplete: 11 of 13 records received, 2 missing, 2 duplicates refused, 9 points dropped before they were sent"
    )


def test_a_run_whose_points_were_dropped_says_so_at_its_head() -> None:
    document = {"run_id": "r1", "tag": "", "status": "SUCCESS", "points_dropped": "2026-11-21 15:00:00.000000"}

    expected = dict(_head(document))["points"]

    assert expected.startswith("dropped from PostgreSQL by retention at 2026-11-21 15:00:00.000000 UTC")


HOSTILE = "a\x1b[31mred\x07\r\nInjected: yes"
DOCUMENT: dict[str, Any] = {
    "run_id": HOSTILE, "name": HOSTILE, "group": HOSTILE, "tag": HOSTILE, "status": "SUCCESS", "message": HOSTILE,
    "start_time": "2026-11-30 03:45:00.000000", "end_time": "2026-11-30 03:46:00.000000", "tags": {HOSTILE: HOSTILE},
    "note": HOSTILE, "parameters": {HOSTILE: HOSTILE}, "completeness": [producer(1, 1)],
    "steps": {
        HOSTILE: {
            "name": HOSTILE, "status": "SUCCESS", "message": HOSTILE,
            "attempts": [
                {"attempt_number": 1, "status": "SUCCESS", "start_time": "2026-11-30 03:45:00.000000",
                 "duration": "0:01:00", "message": HOSTILE}
            ],
            "user_defined_metrics": {HOSTILE: {"0": HOSTILE, "1": 0.5}, f"{HOSTILE} once": HOSTILE},
        }
    },
}  # fmt: skip


def test_no_name_or_value_controls_the_terminal_or_adds_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_run_log(DOCUMENT)

    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("Injected") for line in lines)


def test_each_time_says_its_zone(capsys: pytest.CaptureFixture[str]) -> None:
    print_run_log(DOCUMENT)

    times = [line for line in capsys.readouterr().out.splitlines() if "03:4" in line]
    assert len(times) == 3
    assert all("00.000000 UTC" in line for line in times)


def test_steps_of_branches_are_printed_under_their_internal_names(capsys: pytest.CaptureFixture[str]) -> None:
    def step(name: str, **branches: Any) -> dict[str, Any]:
        fields = {"status": "SUCCESS", "message": "", "attempts": [], "user_defined_metrics": {}}
        return {"name": name, **fields, "branches": branches}

    inside = {
        "map.1.one": step("one"),
        "map.1.in": step("in", **{"map.1.in.a": {"steps": {"map.1.in.a.b": step("b")}}}),
    }
    steps = {"first": step("first"), "map": step("map", **{"map.1": {"steps": inside}})}
    print_run_log({**DOCUMENT, "steps": steps})

    titles = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert titles == ["first", "map", "map.1.one", "map.1.in", "map.1.in.a.b"]
