"""A journal is cut into events of the contract: sizes, order, columns and steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.encoding.values import dumps
from gateway.client.journal.entries import JournalEvent, Observation
from gateway.client.journal.journal import Journal
from gateway.client.shipping import batching
from gateway.client.shipping.batching import encode_events, split, take_slice

if TYPE_CHECKING:
    from gateway.client.journal.series import StepContext

MAIN: StepContext = ("main", 1, ())
US = 1_700_000_000_000_000


class Made:
    """A journal in memory, and the events into which it is cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/no-folder")
        self.journal = Journal("r")

    def point(self, name: str = "loss", value: float = 0.5, step: int | None = 0, context: StepContext = MAIN) -> None:
        self.journal.put_at(name, value, step, US, context)

    def observe(self, name: str, text: str, step: int | None = None) -> None:
        kept: dict[str, object] = {"type": "string", "value": text}
        self.journal.observe(Observation(name, kept, len(dumps(kept)), step, US, MAIN))

    def bodies(self, *, is_trusted: bool = True) -> list[dict[str, Any]]:
        return list(bodies_of(self.journal, is_trusted=is_trusted))


def bodies_of(journal: Journal, *, is_trusted: bool, size: int = 2**40) -> Iterator[dict[str, Any]]:
    last, end = journal.tail()
    for number, segment in sorted(journal.segments.items()):
        stop = end if number == last else segment.end
        offset = segment.first
        while offset < stop:
            piece = take_slice(segment, offset, min(stop, offset + size), is_trusted=is_trusted)
            yield from (json.loads(event.text) for event in encode_events(segment, piece))
            offset = piece.end


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def steps(found: list[dict[str, Any]], name: str = "loss") -> list[int]:
    return [step for body in found for one in body.get("series", ()) if one["name"] == name for step in one["steps"]]


def counts(found: list[dict[str, Any]]) -> list[int]:
    return [sum(len(one["steps"]) for one in body["series"]) for body in found]


def test_a_batch_holds_at_most_a_thousand_points(made: Made) -> None:
    for step in range(2_500):
        made.point(step=step)

    assert counts(made.bodies()) == [1_000, 1_000, 500]
    assert steps(made.bodies()) == list(range(2_500))


def test_a_batch_of_long_names_stays_below_256_kib(made: Made) -> None:
    for number in range(900):
        made.point(name=f"{number:04d}" + "😀" * 1_020)

    found = made.bodies()
    assert max(len(dumps(body).encode()) for body in found) < batching.MAX_BYTES
    assert sum(counts(found)) == 900


def test_points_of_one_series_share_columns(made: Made) -> None:
    for name, value, step in (("loss", 0.5, 0), ("acc", 1, 0), ("loss", 0.5, 1), ("acc", 2, 1)):
        made.point(name, value, step)

    (body,) = made.bodies()
    assert body["series"] == [
        {"name": "loss", "steps": [0, 1], "times": [US] * 2, "values": [0.5, 0.5]},
        {"name": "acc", "integer": True, "steps": [0, 1], "times": [US] * 2, "values": [1, 2]},
    ]


def test_each_series_has_its_own_steps_times_and_values(made: Made) -> None:
    made.journal.put("a", 0.5, 1, MAIN)
    made.journal.put("b", 0.5, 1, MAIN)
    made.point("a", 1.5, step=2)
    made.point("b", 7, step=2)
    made.point("c", 2.5, step=2)
    made.point("a", 2.5, step=3)
    made.point("b", 2.5, step=4)

    (body,) = made.bodies()
    a, b, c = body["series"]

    assert (a["steps"], b["steps"], c["steps"]) == ([1, 2, 3], [1, 2, 4], [2])
    assert (a["values"], b["values"], c["values"]) == ([0.5, 1.5, 2.5], [0.5, 7, 2.5], [2.5])
    assert (a["times"][1:], b["times"][1:], c["times"]) == ([US, US], [US, US], [US])
    assert a["times"][0] > US < b["times"][0]


def test_a_series_is_of_integers_only_when_all_its_values_are(made: Made) -> None:
    made.point(value=1)
    made.point(value=2.0, step=1)

    assert "integer" not in made.bodies()[0]["series"][0]


def test_labels_tell_series_of_one_name_apart(made: Made) -> None:
    made.point()
    made.point(context=("main", 1, (("rank", "3"),)))

    assert [one.get("labels") for one in made.bodies()[0]["series"]] == [None, {"rank": "3"}]


def test_named_steps_and_attempts_have_events_of_their_own(made: Made) -> None:
    for context, step in ((MAIN, 0), (("train", 1, ()), 0), (("train", 2, ()), 0), (MAIN, 1)):
        made.point(context=context, step=step)

    found = made.bodies()
    assert [(body["step_name"], body["attempt"]) for body in found] == [("main", 1), ("train", 1), ("train", 2)]
    assert counts(found) == [2, 1, 1]


def test_points_before_a_lifecycle_event_come_before_it(made: Made) -> None:
    made.point(step=0)
    made.observe("note", "x")
    made.journal.append(JournalEvent({"kind": "run_finished"}))
    made.point(step=1)

    assert [body["kind"] for body in made.bodies()] == ["metrics", "values", "run_finished", "metrics"]


def test_a_point_without_a_step_gets_the_next_one(made: Made) -> None:
    for step in (None, None, 7, None, 3, None, None):
        made.point(step=step)

    assert steps(made.bodies()) == [0, 1, 7, 8, 3, 9, 10]


def test_points_and_text_of_one_name_are_numbered_together(made: Made) -> None:
    made.point(step=None)
    made.observe("loss", "a")
    made.point(step=None)

    found = made.bodies()
    assert steps(found) == [0, 2]
    assert found[1]["values"][0]["step"] == 1


def test_each_series_counts_for_itself(made: Made) -> None:
    rank: StepContext = ("main", 1, (("rank", "1"),))
    made.point(step=5)
    made.point("acc", step=None)
    made.point(step=None, context=rank)
    made.point(step=None)

    assert [one["steps"] for one in made.bodies()[0]["series"]] == [[5, 6], [0], [0]]


@pytest.mark.parametrize("odd", [2**70, -(2**70)])
def test_a_step_beyond_64_bits_is_refused_and_changes_no_later_step(made: Made, odd: int) -> None:
    made.point(step=4)
    made.journal.put("loss", 0.5, odd, MAIN)
    made.point(step=None)

    assert steps(made.bodies()) == [4, 5]
    assert made.journal.dropped == 1


def test_texts_are_gathered_up_to_256_kib(made: Made) -> None:
    for number in range(5):
        made.observe(f"t{number}", "x" * 100_000)

    assert [len(body["values"]) for body in made.bodies()] == [2, 2, 1]


def test_names_that_become_equal_share_one_series(made: Made) -> None:
    made.point("a\x00")
    made.point("a\ufffd", step=1)

    assert [one["steps"] for one in made.bodies()[0]["series"]] == [[0, 1]]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.none() | st.integers(-5, 5), st.sampled_from(["main", "x"])),
        max_size=60,
    ),
    st.integers(1, 10),
)
def test_events_depend_neither_on_the_cuts_nor_on_the_reader(
    given_points: list[tuple[str, int | None, str]], size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = Made(patch)
        for name, step, step_name in given_points:
            made.point(name, 1.0, step, (step_name, 1, ()))

    whole = _by_series(made.bodies())
    assert whole == _by_series(list(bodies_of(made.journal, is_trusted=False, size=size * 40)))
    assert made.bodies() == made.bodies(is_trusted=False)


def _by_series(found: list[dict[str, Any]]) -> dict[tuple[str, str], list[int]]:
    series: dict[tuple[str, str], list[int]] = {}
    for body in found:
        for one in body["series"]:
            series.setdefault((body["step_name"], one["name"]), []).extend(one["steps"])
    return series


def test_a_large_object_is_split_and_nothing_is_lost() -> None:
    given = {f"p{number}": {"type": "string", "value": "x" * 60_000} for number in range(12)}
    parts = split(given)

    assert max(len(json.dumps(part)) for part in parts) < batching.MAX_BYTES + 1_000
    assert {name: value for part in parts for name, value in part.items()} == given
