"""What readers of streams wait for: rows and their corners, bounded states, positions."""

from __future__ import annotations

import asyncio
import json
import math
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.live.feeds.joining import Joining
from consumers.live.feeds.matching import NameMatch, Wanted
from consumers.live.feeds.rows import Of, Row, corners, row_of, text_of
from consumers.live.feeds.topic_positions import parse_token, write_token
from consumers.live.feeds.waiting import WaitingRows
from consumers.live.stream.messages import Message
from consumers.live.stream.positions import write_positions
from consumers.live.stream.recent import Recent
from consumers.live.stream.subscribers import MAX_QUEUE_BYTES
from consumers.log.record import Record
from schemas import events as ev
from schemas.columns import float_from_json
from schemas.subjects import Subject
from schemas.wire import encode
from tests.support.log_author import Author

VALUES = st.lists(st.floats(width=32), min_size=1, max_size=40)


def row(values: list[float], *, offset: int = 0, name: str = "loss", first_step: int = 0) -> Row:
    series = ev.Series(
        name=name,
        steps=array("q", range(first_step, first_step + len(values))),
        times=array("q", range(first_step, first_step + len(values))),
        values=array("d", values),
    )
    return row_of(Of("run", name, name, "main", {}, 1), 0, offset, series)


def told(one: Row) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text_of(one))
    document["columns"]["values"] = [float_from_json(value) for value in document["columns"]["values"]]
    return document


@given(VALUES)
def test_corners_are_the_first_lowest_highest_last_and_first_non_finite(values: list[float]) -> None:
    found = corners(array("d", values))
    finite = [value for value in values if math.isfinite(value)]

    assert found == sorted(set(found))
    assert {0, len(values) - 1} <= set(found)
    assert len(found) <= 5
    if finite:
        shown = [values[at] for at in found if math.isfinite(values[at])]
        assert (min(shown), max(shown)) == (min(finite), max(finite))
    odd = [at for at, value in enumerate(values) if not math.isfinite(value)]
    assert set(odd[:1]) <= set(found)


@given(records=st.lists(VALUES, min_size=1, max_size=30), names=st.integers(1, 4), limit=st.integers(8, 60))
def test_what_waits_is_bounded_and_says_what_it_lacks(records: list[list[float]], names: int, limit: int) -> None:
    waiting = WaitingRows(lambda: limit)
    points: dict[str, dict[int, float]] = {}
    for offset, values in enumerate(records):
        name, first = f"s{offset % names}", 100 * offset
        points.setdefault(name, {}).update({first + at: value for at, value in enumerate(values)})
        waiting.add(row(values, offset=offset, name=name, first_step=first))
        assert waiting.points <= limit

    rows, is_overrun = waiting.take()

    assert not (is_overrun and rows)
    assert (len(waiting), waiting.points) == (0, 0)
    if is_overrun:
        return
    for name, of_series in points.items():
        found = [told(one) for one in rows if one.of.series == name]
        assert sum(one["count"] for one in found) == len(of_series)
        assert sum(one["count"] - one.get("left_out", 0) for one in found) == sum(
            len(one["columns"]["steps"]) for one in found
        )
        sent = {step: value for one in found for step, value in zip(*list(one["columns"].values())[::2], strict=True)}
        assert {step: str(value) for step, value in sent.items()} == {step: str(of_series[step]) for step in sent}
        finite = [value for value in of_series.values() if math.isfinite(value)]
        shown = [value for value in sent.values() if math.isfinite(value)]
        assert (min(shown, default=0), max(shown, default=0)) == (min(finite, default=0), max(finite, default=0))
        assert list(sent)[-1] == max(of_series)


def test_more_series_than_may_wait_drop_everything_and_say_so() -> None:
    waiting = WaitingRows(lambda: 10)
    for number in range(11):
        waiting.add(row([1.0], name=f"s{number}"))

    assert waiting.take() == ([], True)
    waiting.add(row([1.0]))
    assert len(waiting.take()[0]) == 1


def test_a_reader_that_takes_has_rows_as_they_were_recorded() -> None:
    waiting = WaitingRows(lambda: 100)
    values = [float(at) for at in range(50)]
    waiting.add(row(values, offset=7))

    document = told(waiting.take()[0][0])
    assert (document["columns"]["values"], document["offset"], document["count"]) == (values, 7, 50)
    assert "left_out" not in document
    assert "first_offset" not in document


def message(author: Author, offset: int, size: int = 1) -> Message:
    return Message(author.metrics("loss", [1.0]), partition=0, offset=offset, size=size)


def test_a_record_that_came_twice_is_repeated_and_one_from_before_the_stream_is_late() -> None:
    author, joining = Author("run"), Joining({0: 5})
    before = message(author, 6)
    one, two = message(author, 7), message(author, 8)

    assert [joining.is_next(message(author, offset)) for offset in (4, 5, 5, 6)] == [False, True, False, True]
    assert [joining.admit(each) for each in (one, two, one, before, before, two)] == [
        "new", "new", "repeated", "late", "repeated", "repeated",
    ]  # fmt: skip


def test_what_comes_while_a_stream_catches_up_is_bounded_in_bytes() -> None:
    author, joining = Author("run"), Joining({})
    joining.begin()
    half = MAX_QUEUE_BYTES // 2

    assert all(joining.holds_back(message(author, offset, half)) for offset in range(2))
    assert not joining.is_lost
    assert joining.holds_back(message(author, 2))
    assert joining.is_lost
    assert [one.offset for one in joining.end()] == [0, 1]


def test_another_attempt_is_noticed() -> None:
    joining = Joining({})

    asked = [("a", 1), ("a", 1), ("b", 2), ("a", 2), ("a", 1)]
    assert [joining.is_new_attempt(run, "main", attempt) for run, attempt in asked] == [False, False, False, True, True]


async def test_names_are_matched_here_and_regular_expressions_asked_once() -> None:
    asked: list[list[str]] = []

    async def ask(regex: str, names: Any) -> set[str]:
        asked.append(list(names))
        return {name for name in names if "val" in name}

    match = NameMatch(Wanted(prefix="a/", words=("LOSS",), regex="val"), ask)
    assert [match.decide(name) for name in ("b/val loss", "a/val", "a/val loss")] == [False, False, None]
    await match.ask(["a/val loss", "a/loss"])

    assert [match.decide(name) for name in ("a/val loss", "a/loss", "a/new loss")] == [True, False, None]
    assert asked == [["a/val loss", "a/loss"]]
    assert NameMatch(Wanted(names=frozenset({"x"})), ask).decide("y") is False


@pytest.mark.parametrize("positions", [{"alerts": "12"}, {"runs": "0:1", "series": "0:2,1:3", "alerts": "0"}])
def test_positions_of_topics_are_read_as_they_were_written(positions: dict[str, str]) -> None:
    offsets, number = parse_token(write_token(positions))

    assert {topic: write_positions(found) for topic, found in offsets.items()} | {"alerts": str(number)} == positions


def test_the_position_of_one_topic_is_that_of_every_answer() -> None:
    assert write_token({"series": "0:17,3:120"}) == "0:17,3:120"
    assert parse_token("0:17") == ({"runs": {0: 17}, "series": {0: 17}, "saved": {0: 17}}, None)


@pytest.mark.parametrize(
    "text", ["x=1", "runs=0:1;runs=0:2", "alerts=1;alerts=2", "alerts=x", "runs=", "0:1;1:2", "=", ";"]
)
def test_positions_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_token(text)


def record(run_id: str, partition: int, offset: int) -> Record:
    made = encode(Author(run_id).start())
    return Record("t", partition, offset, made.key, made.value, tuple(made.headers), 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 1)), max_size=40), st.integers(1, 6))
def test_recent_subjects_are_those_of_the_records_or_unknown(written: list[tuple[str, int]], limit: int) -> None:
    recent, ends = Recent(limit), {0: 0, 1: 0}
    recent.begin(ends)
    log: list[tuple[str, int, int]] = []
    for run_id, partition in written:
        recent.note([record(run_id, partition, ends[partition])])
        log.append((run_id, partition, ends[partition]))
        ends[partition] += 1

    for number in range(len(log) + 1):
        found = recent.after(number)
        truth = {Subject("runs", run_id) for run_id, _, _ in log[number:]}
        assert set(found) == truth if found is not None else len({one[:2] for one in log}) > limit
    for first in range(ends[0] + 1):
        some = recent.since({0: first, 1: ends[1]})
        truth = {Subject("runs", run_id) for run_id, partition, offset in log if partition == 0 and offset >= first}
        assert some is None or truth == set(some)


async def test_a_record_wakes_who_waits() -> None:
    recent = Recent()
    waiting = asyncio.create_task(recent.changed.wait())
    recent.note([record("a", 0, 0)])

    assert await waiting
