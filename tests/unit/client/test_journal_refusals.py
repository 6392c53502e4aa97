"""What a journal refuses, and Ctrl-C in the middle of an emit, change nothing else: every point keeps its series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.encoding.values import dumps
from gateway.client.journal import segment as segments
from gateway.client.journal.entries import Observation
from gateway.client.journal.journal import Journal
from gateway.client.shipping.producer import Producer
from schemas import events as ev
from schemas.wire import decode

PLACES = (("train", 1, ()), ("validate", 1, ()), ("train", 1, (("rank", "7"),)))
Place = tuple[str, int, tuple[tuple[str, str], ...]]


def text(size: int, context: Place) -> Observation:
    typed: dict[str, object] = {"type": "string", "value": "x" * size}
    return Observation("sample", typed, len(dumps(typed).encode()), None, 1, context)


def points_by_place(journal: Journal) -> dict[Place, list[float]]:
    """Cut the journal, and return the values of its points for each place they are recorded under."""
    found: dict[Place, list[float]] = {place: [] for place in PLACES}
    producer = Producer(journal)
    while outgoing := producer.cut(10_000):
        for one in outgoing:
            event: Any = decode(one.record.key, one.record.value, one.record.headers).event
            for series in event.series if isinstance(event, ev.Points) else ():
                place = (event.step_name, event.attempt, tuple(sorted(series.labels.items())))
                found[place] += series.values
            one.producer.acknowledge([one])
    return found


emits = st.tuples(st.integers(0, len(PLACES) - 1), st.sampled_from([0, 0, 0, 1_000, 3_000, 9_000]), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(emits, min_size=1, max_size=60), st.sampled_from([8_192, 12_288, 30_000]))
def test_a_point_after_a_refusal_is_recorded_under_its_own_series(
    calls: list[tuple[int, int, bool]], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SIZES", (4_096, 8_192))
        journal = Journal("r", limit=limit)
        emitted: dict[Place, list[float]] = {place: [] for place in PLACES}
        for number, (at, size, is_together) in enumerate(calls * 3):
            place, before = PLACES[at], journal.dropped
            if size:
                journal.observe(text(size, place))
                continue
            if is_together:
                for name, value in journal.put_rows({"loss": float(number)}, None, place).items():
                    journal.put(name, value, None, place)
            else:
                journal.put("loss", float(number), None, place)
            if journal.dropped == before:
                emitted[place].append(float(number))
        found = points_by_place(journal)
        journal.remove()

    assert found == emitted


@pytest.mark.parametrize("step", ["allocate", "write_record", "remove", "publish"])
@pytest.mark.parametrize("is_prepared", [True, False])
def test_ctrl_c_while_a_segment_is_made_loses_no_later_point(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_prepared: bool
) -> None:
    monkeypatch.setattr(segments, "SIZES", (4_096, 8_192))
    journal, place = Journal("r"), PLACES[0]
    for number in range(60):
        journal.put("loss", float(number), None, place)
    if is_prepared:
        journal.prepare()
    owner: Any = segments.Segment if step == "publish" else segments
    call = getattr(owner, step)
    interrupted: list[float] = []

    def interrupt_once(*given: Any) -> Any:
        result = call(*given)
        if not interrupted:
            interrupted.append(float(number))
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, step, interrupt_once)
    for number in range(60, 400):
        try:
            journal.put("loss", float(number), None, place)
        except KeyboardInterrupt:
            continue
    journal.close()

    assert points_by_place(journal)[place] == [float(one) for one in range(400) if one not in interrupted]
    assert journal.dropped == 0


@pytest.mark.parametrize("size", range(4_096, 4_096 + 40 * 16, 40))  # for one of them the limit is a whole slot
def test_points_up_to_the_last_slot_before_the_reserve(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(segments, "SIZES", (size,))
    monkeypatch.setattr(segments, "PAGE", 8)
    journal = Journal("r")
    for number in range(500):
        journal.put("loss", float(number), None, PLACES[0])
    journal.close()

    assert points_by_place(journal)[PLACES[0]] == list(map(float, range(500)))
