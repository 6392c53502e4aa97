"""`emit({...})` writes one record a call; every value reaches the log once, and many series stay rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.journal import segment as segments
from gateway.client.journal.folder import find_journals
from gateway.client.journal.format import POINT_ROW, scan
from gateway.client.journal.journal import Journal
from gateway.client.journal.rows.columns import MAX_COLUMNS, WIDE
from gateway.client.shipping.batching import MAX_BYTES, encode_events, take_slice
from gateway.client.shipping.producer import Producer
from gateway.client.shipping.recovery import adopt
from gateway.client.shipping.rows import MAX_ROW_POINTS
from schemas import events as ev
from schemas.wire import decode

MAIN = ("main", 1, ())
TRAIN = ("train", 2, (("rank", "3"),))
Found = dict[tuple[str, str, int, tuple[tuple[str, str], ...]], list[tuple[int, str]]]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/no-folder")  # in memory
    return Journal("r")


def events_of(journal: Journal) -> Iterator[Any]:
    producer = Producer(journal)
    while records := producer.cut(10_000):
        for one in records:
            found: Any = decode(one.record.key, one.record.value, one.record.headers)
            assert one.points == sum(len(series.values) for series in found.event.series)
            yield found.event
        producer.acknowledge(records)


def points_of(events: Iterator[Any]) -> Found:
    found: Found = {}
    for event in events:
        for one in event.series:
            key = one.name, event.step_name, event.attempt, tuple(sorted(one.labels.items()))
            found.setdefault(key, []).extend(zip(one.steps, map(repr, one.values), strict=True))
    return found


def named(count: int, prefix: str = "w") -> dict[str, float]:
    return {f"{prefix}/{number}": number / 8 for number in range(count)}


def test_a_call_is_one_record_of_the_journal(journal: Journal) -> None:
    for step in range(5):
        assert not journal.put_rows(named(10), step, MAIN)

    (segment,) = journal.segments.values()
    rows = [one for one in scan(memoryview(segment.map), segment.first, segment.size) if one.kind == POINT_ROW]
    assert len(rows) == 5
    assert journal.points == 50


def test_few_series_are_columns_in_the_log_and_many_are_rows(journal: Journal) -> None:
    for step in range(3):
        journal.put_rows(named(WIDE - 1, "few"), step, MAIN)
        journal.put_rows(named(WIDE, "many"), step, TRAIN)

    metrics, rows = events_of(journal)

    assert (metrics.kind, rows.kind) == ("metrics", "metric_rows")
    assert [one.steps.tolist() for one in metrics.series] == [[0, 1, 2]] * (WIDE - 1)
    assert rows.steps.tolist() == [0, 1, 2]
    assert (rows.step_name, rows.attempt, rows.labels) == ("train", 2, {"rank": "3"})
    assert rows.names == tuple(named(WIDE, "many"))


def test_ints_floats_nan_and_infinities_stay_what_they_are(journal: Journal) -> None:
    odd = {"nan": math.nan, "inf": math.inf, "low": -math.inf, "zero": -0.0, "int": 7, "large": 2**53}
    for step in range(2):
        journal.put_rows(named(WIDE) | odd | {"either": step if step else 0.5}, step, MAIN)

    (rows,) = events_of(journal)

    shown = {one.name: (one.integer, [repr(value) for value in one.values]) for one in rows.series}
    assert shown["nan"] == (False, ["nan"] * 2)
    assert (shown["inf"], shown["low"]) == ((False, ["inf"] * 2), (False, ["-inf"] * 2))
    assert shown["zero"] == (False, ["-0.0"] * 2)
    assert (shown["int"], shown["large"]) == ((True, ["7.0"] * 2), (True, [repr(float(2**53))] * 2))
    assert shown["either"] == (False, ["0.5", "1.0"])


def test_without_a_step_each_series_goes_on_from_its_own(journal: Journal) -> None:
    journal.put("w/0", 1.0, 5, MAIN)
    left = journal.put_rows(named(2), None, MAIN)
    assert left == named(2)  # their next steps differ: recorded one by one
    journal.put_rows(named(2), 9, MAIN)
    assert not journal.put_rows(named(2), None, MAIN)
    journal.put("w/1", 1.0, None, MAIN)

    steps = {one[0]: [step for step, _ in found] for one, found in points_of(events_of(journal)).items()}
    assert steps == {"w/0": [5, 9, 10], "w/1": [9, 10, 11]}


def test_what_is_no_number_is_left_to_the_caller(journal: Journal) -> None:
    for odd in ("text", None, True, 2**53 + 1, [1.0], {"a": 1.0}):
        few, many = {"a": 1.0, "odd": odd}, named(WIDE) | {"odd": odd}
        assert journal.put_rows(few, 0, MAIN) == few
        assert journal.put_rows(many, 0, MAIN) == {"odd": odd}
    for names in ({1: 1.0}, {"": 1.0}, {"a\x00b": 1.0}, {"x" * 2_000: 1.0}):
        assert journal.put_rows(names, 0, MAIN) == names  # type: ignore[arg-type]
    for step in (2**63, True, 1.5):
        assert journal.put_rows(named(3), step, MAIN) == named(3)  # type: ignore[arg-type]

    assert sum(len(found) for found in points_of(events_of(journal)).values()) == 6 * WIDE


def test_a_call_of_very_many_names_becomes_several_rows(journal: Journal) -> None:
    for step in range(3):
        assert not journal.put_rows(named(2 * MAX_COLUMNS + 7), step, MAIN)

    found = points_of(events_of(journal))
    assert len(found) == 2 * MAX_COLUMNS + 7
    assert set(map(len, found.values())) == {3}


def test_events_of_rows_are_bounded_in_points_and_bytes(journal: Journal) -> None:
    for step in range(300):
        journal.put_rows(named(100), step, MAIN)
    for step in range(30):
        journal.put_rows({f"{number:03d}" + "😀" * 90: float(number) for number in range(500)}, step, MAIN)

    producer, sizes, points = Producer(journal), [], []
    while records := producer.cut(10_000):
        sizes += [len(one.record.value) for one in records]
        points += [one.points for one in records]
        producer.acknowledge(records)

    assert max(points) <= MAX_ROW_POINTS
    assert max(sizes) <= MAX_BYTES * 2
    assert sum(points) == 300 * 100 + 30 * 500


def test_at_the_bound_whole_rows_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/no-folder")
    journal = Journal("r", limit=300_000)
    for step in range(500):
        assert not journal.put_rows(named(200), step, MAIN)

    assert journal.dropped > 0
    assert journal.dropped % 200 == 0
    assert journal.points + journal.dropped == 500 * 200
    assert sum(map(len, points_of(events_of(journal)).values())) == journal.points


calls = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, WIDE - 1, WIDE, 50]),
        st.sampled_from([MAIN, TRAIN]),
        st.sampled_from(["row", "row", "row", "point"]),
        st.sampled_from([0.5, 3, math.nan, -math.inf, -0.0]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(calls, st.booleans())
def test_rows_and_points_of_the_same_series_reach_the_log_once(
    given_calls: list[tuple[int, Any, str, float]], is_small: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/no-folder")
        if is_small:
            patch.setattr(segments, "SIZES", (4_096, 8_192))
        journal = Journal("r")
        expected: Found = {}
        for step, (count, context, how, value) in enumerate(given_calls):
            row = dict.fromkeys(named(count), value)
            if how == "row":
                assert not journal.put_rows(row, step, context)
            else:
                for name in row:
                    journal.put(name, value, step, context)
            for name in row:
                expected.setdefault((name, *context), []).append((step, repr(float(value))))
        found = points_of(events_of(journal))

    assert {key: sorted(points) for key, points in found.items()} == {
        key: sorted(points) for key, points in expected.items()
    }
    assert journal.points == sum(map(len, expected.values()))


@pytest.mark.parametrize("count", [1, 3, 8, 10, 40, 200])
def test_rows_that_end_in_zeros_are_recovered(journal_home: Path, count: int) -> None:
    journal = Journal("r")
    for step in range(5):
        assert not journal.put_rows({name: 1.0 if name == "w/0" else 0.0 for name in named(count)}, step, MAIN)
    journal.close()  # as a SIGKILL leaves it

    (folder,) = find_journals(str(journal_home))
    orphan = adopt(folder)
    assert orphan is not None
    (producer,) = orphan.producers
    found, closed = 0, []
    while records := producer.cut(10_000):
        found += sum(one.points for one in records)
        closed += [one for one in records if b"producer_closed" in one.record.value]
        producer.acknowledge(records)
    orphan.close()
    assert found == 5 * count
    assert b'"dropped":0' in closed[0].record.value


def test_a_cut_that_cannot_be_repeated_is_not_sent(journal: Journal) -> None:
    journal.put_rows(named(3), 0, MAIN)
    first = Producer(journal)
    assert first.cut(10)
    assert journal.cursor is not None
    again = Producer(journal)
    again._to_repeat[-1].crc ^= 1

    with pytest.raises(ValueError, match="cannot be repeated"):
        again.cut(10)


def test_a_row_is_an_event_of_the_contract(journal: Journal) -> None:
    journal.put_rows(named(WIDE), 3, MAIN)

    (event,) = events_of(journal)

    assert isinstance(event, ev.MetricRows)
    assert event.model_dump(mode="json")["values"] == [[number / 8 for number in range(WIDE)]]


@pytest.mark.parametrize("count", [1, 2, 7, WIDE - 1])
def test_rows_are_cut_into_the_same_bytes_by_any_process(journal: Journal, count: int) -> None:
    for step in range(700):
        row = named(count) if step % 300 else dict.fromkeys(named(count), step)  # ints now and then
        assert not journal.put_rows(row, step, MAIN)
        if step % 250 == 9:
            journal.put("alone", 1.0, step, MAIN)

    cuts: tuple[list[Any], list[Any]] = ([], [])
    for cut, is_trusted in zip(cuts, (True, False), strict=True):
        ((_, segment),) = list(journal.segments.items())[:1]
        end = journal.tail()[1] if len(journal.segments) == 1 else segment.end
        at = segment.first
        while at < end:
            piece = take_slice(segment, at, end, is_trusted=True)  # the fast way, where there is one
            again = piece if is_trusted else take_slice(segment, at, piece.end, is_trusted=False)
            cut.append([event.text for event in encode_events(segment, again)])
            assert again.count == piece.count
            at = piece.end
    assert cuts[0] == cuts[1]
