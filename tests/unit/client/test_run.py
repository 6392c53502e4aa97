from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.client import recording
from gateway.client.journal.series import ENDINGS
from gateway.client.run.run import Run
from gateway.client.shipping.shipper import Shipper
from schemas import events as ev
from schemas.values import to_plain
from tests.support.client_harness import LoggedPoint, Memory, new_run, points, shipping, values
from tests.support.process_tree import until

WORDS = st.text(max_size=30)
NUMBERS = st.floats() | st.integers() | st.integers(-(2**80), 2**80)
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS | st.binary(max_size=9) | st.complex_numbers() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def shipper(memory: Memory) -> Iterator[Shipper]:
    with shipping(memory) as made:
        yield made


@pytest.fixture
def run(shipper: Shipper) -> Run:
    return new_run(shipper)


def without_time(seen: list[LoggedPoint]) -> list[tuple[str, int, Any]]:
    return [(one.name, one.step, one.value) for one in seen]


def test_numbers_arrive_in_order_with_name_step_and_value(run: Run, memory: Memory) -> None:
    run.emit("loss", 0.5, step=3)
    run.emit("loss", 1)
    run.emit("acc", -0.0, 7)
    run.finish()

    assert without_time(points(memory.events())) == [("loss", 3, 0.5), ("loss", 4, 1.0), ("acc", 7, -0.0)]


def test_a_dict_is_one_value_a_name_and_nested_ones_become_paths(run: Run, memory: Memory) -> None:
    run.emit({"loss": 0.5, "val": {"acc": 0.9, "top": {"5": 0.99}}, "note": "fine", "empty": {}}, step=2)
    run.emit({"loss": 0.25}, 3)
    run.finish()

    seen = sorted(without_time(points(memory.events())))
    assert seen == [("loss", 2, 0.5), ("loss", 3, 0.25), ("val/acc", 2, 0.9), ("val/top/5", 2, 0.99)]
    assert without_time(values(memory.events())) == [("note", 2, "fine"), ("empty", 2, {})]


def test_a_dict_emitted_again_keeps_steps_types_and_what_is_no_number(run: Run, memory: Memory) -> None:
    for _ in range(3):
        run.emit({"loss": 0.5, "epoch": 2, "is_best": True, "huge": 2**60, "inner": {"acc": 0.9}})
    run.emit({"loss": 0.25}, 9)
    run.emit({"loss": 0.125}, 2**70)
    run.finish()

    seen = without_time(points(memory.events()))
    assert [one for one in seen if one[0] == "loss"] == [
        ("loss", 0, 0.5), ("loss", 1, 0.5), ("loss", 2, 0.5), ("loss", 9, 0.25)
    ]  # fmt: skip
    assert [one[1:] for one in seen if one[0] == "epoch"] == [(0, 2), (1, 2), (2, 2)]
    assert [one[1:] for one in seen if one[0] == "inner/acc"] == [(0, 0.9), (1, 0.9), (2, 0.9)]
    assert sorted({(name, value) for name, _, value in without_time(values(memory.events()))}) == [
        ("huge", 2**60),
        ("is_best", True),
    ]


@pytest.mark.parametrize(
    ("odd", "hint"),
    [
        ({"step": 0.25}, "step 0.25 is not an integer"),
        ({"step": math.nan}, "step nan is not an integer"),
        ({"step": "7"}, "step '7' is not an integer"),
        ({"step": 2**70}, "more than 64 bits"),
        ({"time": 1_700_000_000_000}, "looks like milliseconds: give seconds since 1970 (divide by 1,000)"),
        ({"time": 1_700_000_000_000_000_000}, "looks like nanoseconds"),
        ({"time": "yesterday"}, "give seconds since 1970, or a datetime"),
        ({"time": -1}, "give seconds since 1970, or a datetime"),
        ({"labels": {str(number): "x" * 1_000 for number in range(20)}}, "give at most 16,384"),
    ],
)
def test_a_value_with_a_step_time_or_labels_that_cannot_be_kept_is_refused(
    run: Run, memory: Memory, capsys: pytest.CaptureFixture[str], odd: dict[str, Any], hint: str
) -> None:
    for _ in range(3):
        run.emit("loss", 0.5, **odd)
        run.emit("loss", "text", **odd)
    run.emit("loss", 0.25)
    report = run.finish()

    assert without_time(points(memory.events())) == [("loss", 0, 0.25)]
    assert (report.dropped, run.health()["dropped"]) == (6, 6)
    assert [hint in line for line in capsys.readouterr().err.splitlines() if "dropped" in line] == [True]


@pytest.mark.parametrize(
    ("given_step", "step"),
    [(3.0, 3), (Decimal(9), 9), (Fraction(10, 1), 10), (numpy.float32(6), 6), (numpy.array([8]), 8), (1e16, 10**16)],
)
def test_whole_numbers_of_any_type_are_steps(run: Run, memory: Memory, given_step: Any, step: int) -> None:
    run.emit("loss", 0.5, step=given_step)
    run.finish()

    assert without_time(points(memory.events())) == [("loss", step, 0.5)]


class Immeasurable(dict[str, float]):
    def __len__(self) -> int:
        raise ValueError("len")


class Named:
    """A mapping whose names are no text: one cannot be hashed, one is a mapping itself."""

    def items(self) -> list[tuple[Any, float]]:
        return [("first", 1.0), ([2], 2.0), (Immeasurable(x=3.0), 3.0), ("last", 4.0)]


def test_an_odd_entry_of_a_dict_takes_no_other_with_it(run: Run, memory: Memory) -> None:
    for _ in range(2):
        run.emit({"a": 1.0, "odd": Immeasurable(x=2.0), "b": 3.0})
        run.emit(Named())  # type: ignore[arg-type]  # it has `items`, as many mappings do
    report = run.finish()

    assert Counter(seen.name for seen in points(memory.events())) == dict.fromkeys(
        ("a", "odd/x", "b", "first", "[2]", "{'x': 3.0}", "last"), 2
    )
    assert (report.emitted, report.sent, report.dropped) == (14, 14, 0)


def test_a_dict_by_name_stays_one_value(run: Run, memory: Memory) -> None:
    run.emit("eggs", {"ham": {"size": 1}})
    run.finish()

    assert without_time(values(memory.events())) == [("eggs", 0, {"ham": {"size": 1}})]


def test_times_and_labels_are_kept(run: Run, memory: Memory) -> None:
    run.emit("loss", 0.5, 1, time=1_700_000_000.000001, labels={"rank": 3, "subset": "a"})
    run.emit("loss", 0.5, 2, time=datetime(2026, 1, 1, tzinfo=UTC))
    run.finish()

    series = [one for event in memory.events() if isinstance(event, ev.Points) for one in event.series]
    assert [one.labels for one in series] == [{"rank": "3", "subset": "a"}, {}]
    assert [seen.time for seen in points(memory.events())] == [1_700_000_000_000_001, 1_767_225_600_000_000]


def test_the_time_of_a_point_is_when_it_was_emitted(run: Run, memory: Memory) -> None:
    before = datetime.now(UTC).timestamp() * 1e6
    run.emit("loss", 0.5)
    run.finish()

    (seen,) = points(memory.events())
    assert before - 1 <= seen.time <= datetime.now(UTC).timestamp() * 1e6 + 1


def test_values_that_are_not_finite_survive(run: Run, memory: Memory) -> None:
    for value in (math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308):
        run.emit("loss", value)
    run.finish()

    found = [seen.value for seen in points(memory.events())]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 5e-324, 1.7976931348623157e308]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(name=ANYTHING, value=ANYTHING, step=ANYTHING, time=ANYTHING, labels=st.none() | ANYTHING)
def test_emit_takes_anything_and_what_it_writes_is_an_event(
    shipper: Shipper, name: Any, value: Any, step: Any, time: Any, labels: Any
) -> None:
    memory = Memory()
    with shipping(memory) as own:
        run = new_run(own)
        run.emit(name, value, step, time=time, labels=labels)
        report = run.finish()

    assert memory.kinds()[-2:] == ["run_finished", "producer_closed"]
    assert report.unsent == 0
    assert report.emitted == len(points(memory.events())) + len(values(memory.events())) + report.dropped


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(given_values=st.lists(st.floats() | st.integers(-(2**53), 2**53), max_size=30))
def test_every_number_survives_exactly(run: Run, shipper: Shipper, given_values: list[float]) -> None:
    memory = Memory()
    with shipping(memory) as own:
        other = new_run(own)
        for value in given_values:
            other.emit("x", value)
        other.finish()

    found = [seen.value for seen in points(memory.events())]
    assert list(map(repr, found)) == list(map(repr, map(float, given_values)))


def test_params_keep_their_types(run: Run, memory: Memory) -> None:
    run.log_params({"lr": 0.1, "layers": [1, 2]}, seed=7, big=2**80, on=True, name="adam", nothing=None)
    run.finish()

    params = next(event for event in memory.events() if isinstance(event, ev.Params)).params
    assert {name: (one.type, to_plain(one)) for name, one in params.items()} == {
        "lr": ("float", 0.1),
        "layers": ("json", [1, 2]),
        "seed": ("int", 7),
        "big": ("int", str(2**80)),
        "on": ("bool", True),
        "name": ("string", "adam"),
        "nothing": ("json", None),
    }
    assert run.params["seed"] == 7


def test_ten_thousand_params_arrive_though_no_record_holds_them(run: Run, memory: Memory) -> None:
    run.log_params({f"p{number}": "x" * 200 for number in range(10_000)})
    run.finish()

    found = [name for event in memory.events() if isinstance(event, ev.Params) for name in event.params]
    assert found == [f"p{number}" for number in range(10_000)]


def test_tags_labels_notes_and_artifacts_arrive(run: Run, memory: Memory) -> None:
    run.set_tags({"team": "vision", "n": 3})
    run.set_labels(config={"a": [1]})
    run.note("looks good\x00")
    run.artifact("model", "s3://b/model.pt", 12, "AB" * 32)
    run.artifact("odd", "s3://b/odd", sha256="not a digest")
    run.finish()

    tags, labels, note, model, odd = memory.events()[:5]
    assert tags.tags == {"team": "vision", "n": "3"}
    assert to_plain(labels.labels["config"]) == {"a": [1]}
    assert note.text == "looks good\ufffd"
    assert (model.name, model.uri, model.size, model.sha256) == ("model", "s3://b/model.pt", 12, "ab" * 32)
    assert (odd.size, odd.sha256) == (None, "")


@pytest.mark.parametrize("bad", [7, "text", [1], None])
def test_methods_that_take_a_dict_survive_what_is_none(run: Run, bad: Any) -> None:
    run.log_params(bad)
    run.set_tags(bad)
    run.set_labels(bad)

    assert run.finish().unsent == 0


def test_the_end_has_the_totals(run: Run, memory: Memory) -> None:
    for step in range(1_500):
        run.emit("loss", 0.5, step)
    report = run.finish("failed", message="ValueError: no")

    *others, failed, closed = memory.events()
    cut = len(others)
    assert (failed.kind, failed.message, failed.batches) == ("run_failed", "ValueError: no", cut + 1)
    assert (closed.batches, closed.points, closed.dropped) == (cut + 2, 1_500, 0)
    assert (report.emitted, report.sent, report.unsent, report.dropped) == (1_500, 1_500, 0, 0)


def test_a_joined_run_is_closed_but_not_ended(shipper: Shipper, memory: Memory) -> None:
    run = new_run(shipper, is_owner=False)
    run.emit("loss", 0.5)
    run.finish()

    assert memory.kinds() == ["metrics", "producer_closed"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("bad"), "run_failed", "ValueError: bad"),
        (KeyboardInterrupt(), "run_killed", "KeyboardInterrupt"),
        (SystemExit(0), "run_finished", ""),
        (SystemExit(""), "run_failed", "SystemExit"),
        (SystemExit(3), "run_failed", "SystemExit: 3"),
    ],
)
def test_an_exception_decides_how_the_run_ended(
    run: Run, memory: Memory, error: BaseException, kind: str, message: str
) -> None:
    with pytest.raises(type(error)), run:
        raise error

    ended = memory.events()[-2]
    assert (ended.kind, ended.message) == (kind, message)


class NoText:
    """Cannot be compared, nor be true or false."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("eq")

    def __bool__(self) -> bool:
        raise ValueError("bool")

    def __str__(self) -> str:
        return "odd"

    __hash__ = object.__hash__


@pytest.mark.parametrize(("status", "message", "text"), [("great", "", "great"), (NoText(), NoText(), "odd")])
def test_an_unknown_status_is_a_failure(run: Run, memory: Memory, status: Any, message: Any, text: str) -> None:
    run.finish(status, message=message)  # a mistake that people make

    ended = memory.events()[-2]
    assert (ended.kind, ended.message) == ("run_failed", text)


def test_what_is_recorded_after_the_end_arrives_from_a_producer_of_its_own(run: Run, memory: Memory) -> None:
    run.finish()
    run.emit("loss", 0.5)
    run.emit("text", "x")
    run.log_params({"a": 1})
    again = run.finish("failed")

    ended, late = ["run_finished", "producer_closed"], ["metrics", "values", "params", "producer_closed"]
    assert memory.kinds() == ended + late
    assert len({envelope.producer for envelope in memory.envelopes()}) == 2
    assert (again.emitted, again.sent, again.unsent) == (2, 2, 0)
    assert run.health()["notices"]["finished"] == 3


def test_a_capture_that_ends_after_the_run_is_kept_and_says_nothing(run: Run, memory: Memory) -> None:
    may_go_on, recorder = threading.Event(), run.recorder

    def capture() -> None:
        may_go_on.wait(60)
        recorder.record_at("note", 1, text="captured")

    recorder.background().submit(capture)
    run.finish(timeout_s=0.1)
    may_go_on.set()
    until(lambda: run.finish(timeout_s=1.0).unsent == 0 and "note" in memory.kinds(), "the capture arrives")

    assert "finished" not in run.health()["notices"]


def test_a_run_is_finished_once_for_any_number_of_calls(run: Run, memory: Memory) -> None:
    reports = [run.finish() for _ in range(3)]

    assert memory.kinds() == ["run_finished", "producer_closed"]
    assert [report.unsent for report in reports] == [0, 0, 0]


def test_a_run_whose_end_is_interrupted_ends_with_the_next_call(shipper: Shipper, memory: Memory) -> None:
    seen = ends = 0
    is_interrupted = True
    folder = str(Path(recording.__file__).parent)

    def interrupt(frame: FrameType, event: str, _: Any) -> None:
        nonlocal seen, is_interrupted
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(folder):
            seen += 1
            if seen == ends:
                sys.setprofile(None)
                is_interrupted = True
                raise KeyboardInterrupt

    while is_interrupted:
        run = new_run(shipper, f"r{ends}")
        ends, seen, is_interrupted = ends + 1, 0, False
        with suppress(KeyboardInterrupt):
            sys.setprofile(interrupt)
            run.finish("failed", message="first")
        sys.setprofile(None)
        run.finish()

    found = {one.run_id for one in memory.envelopes() if one.event.kind in ENDINGS}
    assert found == {f"r{number}" for number in range(ends)}


def test_threads_lose_nothing_and_keep_their_own_order(run: Run, memory: Memory) -> None:
    def work(number: int) -> None:
        for step in range(2_000):
            run.emit(f"t{number}", float(step), step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()

    found = points(memory.events())
    assert all([s.step for s in found if s.name == f"t{number}"] == list(range(2_000)) for number in range(8))


def test_health_has_counts_and_the_address(run: Run) -> None:
    run.emit("loss", 0.5)
    run.flush()
    health = run.health()

    assert (health["emitted"], health["sent"], health["unsent"]) == (1, 1, 0)
    assert (health["address"], health["topic"], health["connected"]) == ("kafka://memory:1", "t", True)


def test_steps_go_on_after_the_end_of_a_run(memory: Memory, run: Run) -> None:
    for value in (1.0, 2.0):
        run.emit("loss", value)
    run.finish()
    run.emit("loss", 3.0)
    run.finish()

    found = sorted((seen.step, seen.value) for seen in points(memory.events()))
    assert found == [(0, 1.0), (1, 2.0), (2, 3.0)]
