"""Points that come as rows of many series: the same rows of the store however the log is cut, and every value once."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.fold import rows_of
from consumers.materialiser.fold.state import SetKey
from consumers.store.rows import CHUNK_POINTS, ROW_POINTS
from schemas import events as ev
from schemas.wire import Envelope
from tests.support.fold_store import Store, envelopes_of

SETS = (("a", "b", "c"), ("c", "d"), ("b", "a"), ("e",))
ODD = (math.nan, math.inf, -math.inf, -0.0, 1e308)


def rows(
    names: Sequence[str], first: int, count: int, *, odd: bool = False, integers: Sequence[int] = ()
) -> ev.MetricRows:
    places = array("q", range(first, first + count))
    cells = [
        array("d", [ODD[(step + at) % 5] if odd else step + at / 8 for at in range(len(names))]) for step in places
    ]
    return ev.MetricRows(
        time=first, names=tuple(names), integers=array("q", integers), steps=places, times=places, values=cells
    )


def columns(name: str, first: int, count: int) -> ev.Metrics:
    places = array("q", range(first, first + count))
    series = ev.Series(name=name, steps=places, times=places, values=array("d", [float(step) for step in places]))
    return ev.Metrics(time=first, series=[series])


@st.composite
def logs(draw: st.DrawFn) -> list[Envelope]:
    """Return records with rows and with columns of the same series, in any order."""
    events: list[ev.AnyEvent] = []
    for _ in range(draw(st.integers(1, 14))):
        first, count = draw(st.integers(0, 400)), draw(st.sampled_from([1, 1, 2, 5, 31, 33, 400, 1_100]))
        if draw(st.integers(0, 3)):
            names = draw(st.sampled_from(SETS))
            integers = [0] if draw(st.booleans()) else []
            events.append(rows(names, first, count, odd=draw(st.integers(0, 4)) == 0, integers=integers))
        else:
            events.append(columns(draw(st.sampled_from("abcd")), first, count))
    return envelopes_of("r1", "p", events)


@given(logs(), st.data())
def test_rows_do_not_depend_on_transactions_restarts_and_forgotten_points(
    log: list[Envelope], data: st.DataObject
) -> None:
    at_once, apart = Store(), Store()
    at_once.apply(log)
    left = log
    while left:
        cut = data.draw(st.integers(1, len(left)))
        apart.apply(left[:cut])
        left = left[cut:]
        match data.draw(st.integers(0, 2)):
            case 1:
                apart.restart()
            case 2:
                apart.trim()

    assert {key: repr(row) for key, row in apart.chunks.items()} == {
        key: repr(row) for key, row in at_once.chunks.items()
    }
    assert [summary(apart, key) for key in at_once.state.series] == [summary(at_once, k) for k in at_once.state.series]


def summary(store: Store, key: object) -> str:
    row = store.state.series[key]  # type: ignore[index]
    facts = (row.name, row.points, row.non_finite, row.integer, row.open_index, row.last_step, row.last_time)
    return repr((*facts, row.last_value, row.min_value, row.max_value, row.tail, row.loose))


@given(logs())
def test_every_value_is_stored_once_and_the_summary_is_that_of_columns(log: list[Envelope]) -> None:
    store, plain = Store(), Store()
    store.apply(log)
    plain.apply([one._replace(event=as_columns(one.event)) for one in log])

    for key, row in plain.state.series.items():
        assert stored(store, key) == stored(plain, key)
        kept = store.state.series[key]
        for name in ("points", "non_finite", "integer", "last_step", "last_time", "min_value", "max_value"):
            assert getattr(kept, name) == getattr(row, name), name
        assert repr(kept.last_value) == repr(row.last_value)


def as_columns(event: ev.AnyEvent) -> ev.AnyEvent:
    if isinstance(event, ev.MetricRows):
        return ev.Metrics(time=event.time, series=event.series)
    return event


def stored(store: Store, key: object) -> list[tuple[int, int, str]]:
    chunks = sorted((index, row) for (series, index), row in store.chunks.items() if series == key)
    assert [index for index, _ in chunks] == [sum(r.points for _, r in chunks[:at]) for at in range(len(chunks))]
    return [
        (step, time, repr(value))
        for _, row in chunks
        for step, time, value in zip(row.steps, row.times, row.point_values, strict=True)
    ]


def test_open_points_of_many_series_are_in_few_rows() -> None:
    store = Store()
    for step in range(CHUNK_POINTS // 4):
        store.apply([one._replace(seq=step) for one in envelopes_of("r1", "p", [rows(SETS[0], step, 1)])])

    for key, row in store.state.series.items():
        sizes = [chunk.points for (series, _), chunk in sorted(store.chunks.items()) if series == key]
        assert sum(sizes) == CHUNK_POINTS // 4
        assert len(sizes) == -(-CHUNK_POINTS // 4 // ROW_POINTS)
        assert len(row.tail) == len(sizes)


def test_a_transaction_of_many_series_is_bounded_in_rows() -> None:
    names = [f"w/{number}" for number in range(1_000)]
    log = envelopes_of("r1", "p", [rows(names, step, 1) for step in range(64)])
    sets: set[SetKey] = set()

    counts = [rows_of(one, sets) for one in log]

    assert counts[0] >= 500  # a row of each series, and one of its points, of half the size of others
    assert sum(counts[1:]) <= 63 * (1_000 // ROW_POINTS + 1)


def test_points_that_retention_drops_are_gone_from_memory_too() -> None:
    store = Store()
    store.apply(envelopes_of("r1", "p", [rows(SETS[3], 0, 450)]))
    (row,) = store.state.series.values()
    dropped = replace(row, tail=[], steps=array("q"), times=array("q"), values=array("d"), is_dropped=True)
    dropped.held = dropped.loose = dropped.open_index

    row.restore(dropped)

    assert (row.is_dropped, row.tail, len(row.values), row.end) == (True, [], 0, row.open_index)


def test_the_points_that_stay_in_memory_are_few() -> None:
    store = Store()
    store.apply(envelopes_of("r1", "p", [rows(SETS[0], 0, 450)]))
    store.trim()

    assert all(len(row.values) <= ROW_POINTS for row in store.state.series.values())
    assert all(row.end == 450 for row in store.state.series.values())
