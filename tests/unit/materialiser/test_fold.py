"""The fold gives the same rows however the log is cut, and the right status for any order of the producers."""

from __future__ import annotations

import math
from array import array
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.chunks import append_points, finalise_chunks
from consumers.materialiser.fold.fold import fold
from consumers.materialiser.fold.lifecycle import TWICE
from consumers.materialiser.fold.state import FoldState
from consumers.store.rows import CHUNK_POINTS, FIRST_SPREAD, SMALL_POINTS, Changes, SeriesRow
from consumers.trackers.run_status import fold_run_status
from schemas import events as ev
from schemas.examples import EVENTS
from schemas.wire import Envelope
from tests.support.fold_store import Store, envelopes_of


def metrics(first: int, count: int) -> ev.Metrics:
    series = ev.Series(
        name="loss",
        steps=array("q", range(first, first + count)),
        times=array("q", range(first, first + count)),
        values=array("d", [math.nan if step % 97 == 0 else float(step) for step in range(first, first + count)]),
    )
    return ev.Metrics(time=first, series=[series])


def run_state(envelopes: list[Envelope]) -> tuple[str, int, str]:
    store = Store()
    store.apply(envelopes)
    run = store.state.runs["r1"]
    return run.state, run.attempt, run.message


def grouped(envelopes: list[Envelope], data: st.DataObject) -> Store:
    """Return what is stored when these are split into transactions, with a worker restart before some of them."""
    store = Store()
    while envelopes:
        cut = data.draw(st.integers(1, len(envelopes)))
        store.apply(envelopes[:cut])
        envelopes = envelopes[cut:]
        if data.draw(st.booleans()):
            store.restart()
    return store


@given(st.lists(st.integers(1, 2_300), min_size=1, max_size=12), st.data())
def test_chunks_do_not_depend_on_how_records_are_grouped(sizes: list[int], data: st.DataObject) -> None:
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    envelopes = envelopes_of("r1", "p", [metrics(first, size) for first, size in zip(firsts, sizes, strict=True)])
    at_once, apart = Store(), grouped(envelopes, data)
    at_once.apply(envelopes)

    rows = sorted(at_once.chunks.values(), key=lambda row: row.first_index)

    assert {key: repr(row.point_values) for key, row in apart.chunks.items()} == {
        key: repr(row.point_values) for key, row in at_once.chunks.items()
    }
    assert [step for row in rows for step in row.steps] == list(range(sum(sizes)))
    assert [row.first_index for row in rows] == [sum(r.points for r in rows[:index]) for index in range(len(rows))]
    (series,) = at_once.state.series.values()
    first, *others = [row.points for row in rows if row.first_index < series.open_index] or [CHUNK_POINTS]
    assert CHUNK_POINTS - FIRST_SPREAD < first <= CHUNK_POINTS
    assert set(others) <= {CHUNK_POINTS}
    assert sum(sizes) - series.open_index < CHUNK_POINTS


def test_series_that_begin_together_do_not_fill_their_chunks_together() -> None:
    store = Store()
    store.apply([one for run in range(40) for one in envelopes_of(f"r{run}", "p", [metrics(0, CHUNK_POINTS)])])

    assert len({row.open_index for row in store.state.series.values()}) > 30


@given(st.lists(st.one_of(st.just(1), st.integers(1, 30), st.integers(480, 520)), min_size=1, max_size=100), st.data())
def test_rows_of_open_points_do_not_depend_on_how_records_are_grouped(sizes: list[int], data: st.DataObject) -> None:
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    envelopes = envelopes_of("r1", "p", [metrics(first, size) for first, size in zip(firsts, sizes, strict=True)])
    at_once, apart = Store(), grouped(envelopes, data)
    at_once.apply(envelopes)

    rows = sorted(at_once.chunks.values(), key=lambda row: row.first_index)
    small = [row.points < SMALL_POINTS for row in rows]

    assert sorted(map(repr, apart.chunks.items())) == sorted(map(repr, at_once.chunks.items()))
    assert repr(apart.state.series) == repr(at_once.state.series)
    assert [step for row in rows for step in row.steps] == list(range(sum(sizes)))
    assert small == sorted(small)  # the small rows are the last ones
    assert sum(row.points for row in rows if row.points < SMALL_POINTS) < SMALL_POINTS


def test_a_tail_of_many_small_rows_as_older_releases_left_it_becomes_one() -> None:
    row, changes = SeriesRow(UUID(int=1), "r1", "main", 1, "loss", {}), Changes()
    for at in range(40):
        row.take_up(at, [at], [at], [0.0])
    changes.series[row.series_id] = row
    append_points(row, metrics(40, 1).series[0], changes)
    finalise_chunks(changes)

    assert changes.reopened == {row.series_id: 0}
    assert [(index, chunk.points) for (_, index), chunk in changes.chunks.items()] == [(0, 41)]


@given(st.lists(st.integers(0, 6), max_size=30))
def test_duplicate_records_change_only_the_count_of_duplicates(again: list[int]) -> None:
    events: list[ev.AnyEvent] = [
        ev.RunStarted(time=1),
        *[metrics(n * 10, 10) for n in range(5)],
        ev.RunFinished(time=99),
    ]
    envelopes = envelopes_of("r1", "p", events)
    once, twice = Store(), Store()
    once.apply(envelopes)
    twice.apply([*envelopes, *[envelopes[index] for index in again]])

    assert repr(twice.chunks) == repr(once.chunks)
    assert repr(twice.state.series) == repr(once.state.series)
    assert twice.state.producers["r1", "p"].refused == len(again)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_three_producers_of_one_run_in_any_order_give_one_answer(order: tuple[int, ...]) -> None:
    owner = envelopes_of("r1", "owner", [ev.RunStarted(time=1), ev.RunFailed(time=9, message="boom")])
    rank_1 = envelopes_of("r1", "rank1", [metrics(0, 5), ev.ProducerClosed(time=8, batches=2, points=5)])
    rank_2 = envelopes_of("r1", "rank2", [ev.RunFinished(time=10)])
    parts = [owner, rank_1, rank_2]

    assert run_state([envelope for index in order for envelope in parts[index]]) == ("failed", 1, "boom")


def test_a_later_attempt_revives_a_run_and_a_late_end_of_the_first_does_not_end_it() -> None:
    first = envelopes_of("r1", "a", [ev.RunStarted(time=1), ev.RunFailed(time=5, message="preempted")])
    second = envelopes_of("r1", "b", [ev.RunResumed(time=6, attempt=2), ev.RunFinished(time=9, attempt=2)])

    assert run_state([*first, second[0]]) == ("running", 2, "")
    assert run_state([first[0], second[0], first[1]]) == ("running", 2, "")
    assert run_state([*first, *second]) == ("finished", 2, "")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (None, ("running", 1, "")),
        (ev.RunFinished(time=12), ("finished", 1, "")),
        (ev.RunKilled(time=12, message="again"), ("killed", 1, "again")),
    ],
)
def test_a_run_that_is_reopened_has_the_end_that_comes_after(
    end: ev.RunFinished | ev.RunKilled | None, expected: tuple[str, int, str]
) -> None:
    ended: list[ev.AnyEvent] = [ev.RunStarted(time=1), ev.RunFailed(time=9, message="boom"), ev.RunReopened(time=10)]
    events = [*ended, *([end] if end else [])]

    assert run_state(envelopes_of("r1", "door", events)) == expected
    known = fold_run_status(None, events)
    assert known is not None
    assert (known.status, known.attempt, known.message) == expected


def test_a_run_that_is_reopened_is_not_lost_when_it_is_silent_until_it_is_resumed() -> None:
    store = Store()
    store.apply(envelopes_of("r1", "native", [ev.RunStarted(time=1), ev.RunFinished(time=9)]))
    assert store.state.runs["r1"].heartbeats
    store.apply(envelopes_of("r1", "door", [ev.RunReopened(time=10)]))
    assert not store.state.runs["r1"].heartbeats
    store.apply(envelopes_of("r1", "native again", [ev.RunResumed(time=11, attempt=2)]))
    assert store.state.runs["r1"].heartbeats


def test_a_reopened_attempt_that_is_superseded_changes_nothing_in_the_run() -> None:
    events: list[ev.AnyEvent] = [
        ev.RunStarted(time=1), ev.RunFailed(time=5), ev.RunResumed(time=6, attempt=2),
        ev.RunFinished(time=9, attempt=2), ev.RunReopened(time=10),
    ]  # fmt: skip

    assert run_state(envelopes_of("r1", "door", events)) == ("finished", 2, "")
    known = fold_run_status(None, events)
    assert known is not None
    assert (known.status, known.attempt) == ("finished", 2)


def test_a_parked_record_shows_as_a_missing_number() -> None:
    envelopes = envelopes_of("r1", "p", [ev.RunStarted(time=1), metrics(0, 5), metrics(5, 5)])
    store = Store()
    store.apply([envelopes[0], envelopes[2]])

    assert store.state.producers["r1", "p"].missing == [[1, 2]]
    store.apply([envelopes[1]])
    assert store.state.producers["r1", "p"].missing == []


@given(st.lists(st.integers(1, 2_300), min_size=2, max_size=8), st.data())
def test_the_row_of_a_series_is_updated_the_same_way_when_its_points_were_dropped(
    sizes: list[int], data: st.DataObject
) -> None:
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    envelopes = envelopes_of("r1", "p", [metrics(first, size) for first, size in zip(firsts, sizes, strict=True)])
    cut = data.draw(st.integers(1, len(envelopes) - 1))
    kept, dropped = Store(), Store()
    kept.apply(envelopes)
    dropped.apply(envelopes[:cut])
    (row,) = dropped.state.series.values()
    row.is_dropped = True  # what a worker loads after the drop
    del row.steps[:], row.times[:], row.values[:]
    stored = dict(dropped.chunks)
    dropped.apply(envelopes[cut:])

    (expected,) = kept.state.series.values()
    summary = ("points", "non_finite", "last_step", "last_time", "min_value", "max_value", "open_index", "month")
    assert [getattr(row, name) for name in summary] == [getattr(expected, name) for name in summary]
    assert dropped.chunks == stored


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_every_kind_of_event_can_be_folded(event: ev.AnyEvent) -> None:
    [envelope] = envelopes_of("run", "producer", [event])

    assert fold(FoldState(), Changes(), envelope, 0, 0)


# An attempt that two trainings started.

FIRST, AGAIN = ev.RunStarted(time=1_000, name="a"), ev.RunStarted(time=5_000, name="b")
DONE, KILLED = ev.RunFinished(time=9_000), ev.RunKilled(time=2_000, message="SIGTERM")
LOGS: list[tuple[list[list[ev.AnyEvent]], bool]] = [
    ([[FIRST, DONE]], False),
    ([[FIRST], [FIRST, DONE]], False),  # the successor of a damaged journal sends the start again
    ([[FIRST, KILLED], [AGAIN, DONE]], True),
    ([[AGAIN, DONE], [FIRST]], True),
    ([[FIRST], [ev.RunResumed(time=3_000, attempt=2)], [AGAIN]], True),
    ([[ev.RunResumed(time=3_000, attempt=2)], [FIRST]], False),  # the first one comes late
    ([[ev.RunCreated(time=500)], [ev.CodeIdentity(time=600, code_identifier="abc")], [FIRST]], False),
    ([[metrics(1_500, 1)], [FIRST], [ev.RunStarted(time=6_000, attempt=2)]], False),
]


@pytest.mark.parametrize(("parts", "is_marked"), LOGS)
def test_an_attempt_that_two_trainings_started_says_so(parts: list[list[ev.AnyEvent]], is_marked: bool) -> None:
    store = Store()
    for number, events in enumerate(parts):
        store.apply(envelopes_of("r1", f"p{number}", events))

    attempt, step = store.state.attempts["r1", "main", 1], store.state.steps["r1", "main"]
    assert attempt.message.startswith(TWICE) == is_marked
    assert step.message.startswith(TWICE) == (is_marked and store.state.runs["r1"].attempt == 1)
    assert TWICE not in store.state.runs["r1"].message


def test_the_message_of_the_end_stays_behind_the_mark() -> None:
    store = Store()
    parts: list[list[ev.AnyEvent]] = [[FIRST, KILLED], [AGAIN], [ev.RunFailed(time=3_000, message="boom")]]
    for number, events in enumerate(parts):
        store.apply(envelopes_of("r1", f"p{number}", events))

    assert store.state.attempts["r1", "main", 1].message == f"{TWICE}; SIGTERM"
    assert store.state.runs["r1"].message == "SIGTERM"


def test_a_file_that_a_step_loads_and_stores_is_kept_as_both() -> None:
    changes, state = Changes(), FoldState()
    events: list[ev.AnyEvent] = [
        ev.Artifact(time=1, name="x", uri="stored", stage="put"),
        ev.Artifact(time=2, name="x", uri="loaded", stage="get"),
        ev.Artifact(time=3, name="x", uri="stored again", stage="put"),
    ]
    for offset, envelope in enumerate(envelopes_of("r1", "p1", events)):
        fold(state, changes, envelope, 0, offset)

    assert {(row["uri"], row["stage"]) for row in changes.artifacts.values()} == {
        ("stored again", "put"),
        ("loaded", "get"),
    }
