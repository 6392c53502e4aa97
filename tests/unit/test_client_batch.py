from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gateway.client import batch
from gateway.client.batch import Cut, Cutter, split
from gateway.client.journal import Event, Marker, Observation
from gateway.client.values import dumps

if TYPE_CHECKING:
    from gateway.client.journal import Item, Where

MAIN: Where = ("main", 1, ())
NS = 1_700_000_000_000_000_000


def point(name: str = "loss", value: float = 0.5, step: int | None = 0, where: Where = MAIN) -> Item:
    return (name, value, step, NS, where)


def seen(name: str, text: str, step: int | None = None) -> Observation:
    kept: dict[str, object] = {"type": "string", "value": text}
    return Observation(name, kept, len(dumps(kept)), step, NS // 1_000, MAIN)


def cuts(items: list[Item], cutter: Cutter | None = None) -> list[Cut]:
    return [one for one in (cutter or Cutter()).cut(items) if isinstance(one, Cut)]


def steps(found: list[Cut], name: str = "loss") -> list[int]:
    return [step for cut in found for one in cut.body["series"] if one["name"] == name for step in one["steps"]]


def test_a_batch_holds_at_most_a_thousand_points() -> None:
    found = cuts([point(step=step) for step in range(2_500)])

    assert [cut.points for cut in found] == [1_000, 1_000, 500]
    assert steps(found) == list(range(2_500))


def test_a_batch_of_long_names_stays_below_256_kib() -> None:
    found = cuts([point(name=f"{number:04d}" + "😀" * 1_020) for number in range(900)])

    assert max(len(dumps(cut.body).encode()) for cut in found) < batch.MAX_BYTES
    assert sum(cut.points for cut in found) == 900


def test_points_of_one_series_share_columns() -> None:
    (cut,) = cuts([point(step=0), point("acc", 1, 0), point(step=1), point("acc", 2, 1)])

    assert cut.body["series"] == [
        {"name": "loss", "steps": [0, 1], "times": [NS // 1_000] * 2, "values": [0.5, 0.5]},
        {"name": "acc", "integer": True, "steps": [0, 1], "times": [NS // 1_000] * 2, "values": [1, 2]},
    ]


def test_a_series_is_of_integers_only_when_all_its_values_are() -> None:
    (cut,) = cuts([point(value=1), point(value=2.0, step=1)])

    assert "integer" not in cut.body["series"][0]


def test_labels_tell_series_of_one_name_apart() -> None:
    rank = ("main", 1, (("rank", "3"),))
    (cut,) = cuts([point(), point(where=rank)])

    assert [one.get("labels") for one in cut.body["series"]] == [None, {"rank": "3"}]


def test_named_steps_and_attempts_have_events_of_their_own() -> None:
    found = cuts([point(), point(where=("train", 1, ())), point(where=("train", 2, ())), point(step=1)])

    assert [(cut.body["step_name"], cut.body["attempt"], cut.points) for cut in found] == [
        ("main", 1, 2),
        ("train", 1, 1),
        ("train", 2, 1),
    ]


def test_points_before_a_lifecycle_event_come_before_it() -> None:
    marker = Marker()
    items = [point(step=0), seen("note", "x"), Event({"kind": "run_finished"}), point(step=1), marker]
    found = Cutter().cut(items)

    kinds = [one.body["kind"] if isinstance(one, Cut) else one for one in found]
    assert kinds == ["metrics", "values", "run_finished", "metrics", marker]


def test_a_point_without_a_step_gets_the_next_one() -> None:
    cutter = Cutter()
    given = [None, None, 7, None, 3, None]
    found = cuts([point(step=step) for step in given], cutter) + cuts([point(step=None)], cutter)

    assert steps(found) == [0, 1, 7, 8, 3, 9, 10]


def test_points_and_text_of_one_name_are_numbered_together() -> None:
    found = cuts([point(step=None), seen("loss", "a"), point(step=None)])

    assert steps(found[:1]) == [0, 1]
    assert found[1].body["values"][0]["step"] == 2


def test_each_series_counts_for_itself() -> None:
    rank = ("main", 1, (("rank", "1"),))
    (cut,) = cuts([point(step=5), point("acc", step=None), point(step=None, where=rank), point(step=None)])

    assert [one["steps"] for one in cut.body["series"]] == [[5, 6], [0], [0]]


def test_a_step_beyond_64_bits_becomes_the_next_step() -> None:
    assert steps(cuts([point(step=4), point(step=2**70)])) == [4, 5]


def test_texts_are_gathered_up_to_256_kib() -> None:
    found = cuts([seen(f"t{number}", "x" * 100_000) for number in range(5)])

    assert [cut.values for cut in found] == [2, 2, 1]


def test_names_that_become_equal_share_one_series() -> None:
    (cut,) = cuts([point("a\x00"), point("a\ufffd", step=1)])

    assert [one["steps"] for one in cut.body["series"]] == [[0, 1]]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.none() | st.integers(-5, 5), st.sampled_from(["main", "x"])),
        max_size=60,
    ),
    st.lists(st.integers(1, 10), max_size=8),
)
def test_where_the_items_are_cut_changes_nothing(
    given_points: list[tuple[str, int | None, str]], sizes: list[int]
) -> None:
    items = [point(name, 1.0, step, (where, 1, ())) for name, step, where in given_points]
    whole, parts = Cutter(), Cutter()
    rest, found = items, []
    for size in sizes:
        found += cuts(rest[:size], parts)
        rest = rest[size:]
    found += cuts(rest, parts)

    assert _by_series(found) == _by_series(cuts(items, whole))


def _by_series(found: list[Cut]) -> dict[tuple[str, str], list[int]]:
    series: dict[tuple[str, str], list[int]] = {}
    for cut in found:
        for one in cut.body["series"]:
            series.setdefault((cut.body["step_name"], one["name"]), []).extend(one["steps"])
    return series


def test_a_large_object_is_split_and_nothing_is_lost() -> None:
    given = {f"p{number}": {"type": "string", "value": "x" * 60_000} for number in range(12)}
    parts = split(given)

    assert max(len(json.dumps(part)) for part in parts) < batch.MAX_BYTES + 1_000
    assert {name: value for part in parts for name, value in part.items()} == given
