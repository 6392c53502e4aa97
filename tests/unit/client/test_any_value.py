"""
Whatever a caller passes, every record decodes with the contract, and one odd value takes nothing else with it.

Good values arrive equal. Odd ones are recorded in the form that docs/client.md describes, or counted as dropped.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.client.encoding.values import text_of
from gateway.client.encoding.wire import MAX_RECORD
from gateway.client.guards import safe_repr
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.any_values import ANYTHING, GOOD, MOMENTS, NAMES, Given, Hostile, shared_lists
from tests.support.client_harness import journaled

FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=17_000)  # of each of six properties: 102,000 cases
Body = Any  # of a decorated test


@pytest.fixture(scope="module", autouse=True)
def in_memory() -> Iterator[None]:
    """Journals are in memory: no disk is written to a hundred thousand times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_JOURNAL_DIR", "/dev/null/no-folder")
        yield


def short_and_long(check: Callable[..., None], **given_by: st.SearchStrategy[Any]) -> tuple[Body, Body]:
    """Return a property as a short test of the suite, and as a slow one of many cases."""
    return FEW(given(**given_by)(check)), pytest.mark.slow(pytest.mark.timeout(7_200)(MANY(given(**given_by)(check))))


def recorded(use: Callable[[Run], None]) -> tuple[list[Any], int]:
    """Return what the log gets from a run, decoded with the contract, and how many values were counted as dropped."""
    run, read = journaled()
    use(run)
    envelopes, sizes = read()
    assert max(sizes, default=0) <= MAX_RECORD
    report = run.recorder.count()
    seen = [envelope.event for envelope in envelopes]
    assert report.emitted == len(points(seen)) + len(values(seen)) + report.dropped
    return seen, report.dropped


def points(events: list[Any]) -> list[tuple[str, int, float]]:
    return [
        (series.name, step, value)
        for event in events
        if isinstance(event, ev.Points)
        for series in event.series
        for step, value in zip(series.steps, series.values, strict=True)
    ]


def values(events: list[Any]) -> list[tuple[str, int, Any]]:
    return [(one.name, one.step, one.value) for event in events if isinstance(event, ev.Values) for one in event.values]


def merged(events: list[Any], kind: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in events:
        if event.kind == kind:
            found.update(getattr(event, field))
    return found


def as_read(value: Any) -> Any:
    """Return a good value in a form that compares NaN, -0.0, true and 1 as what they are."""
    match value:
        case float():
            return repr(value)
        case bool() | None:
            return (value,)
        case list():
            return [as_read(one) for one in value]
        case {"$float": name}:
            return str(name).replace("Infinity", "inf").replace("NaN", "nan")
        case dict():
            return {name: as_read(one) for name, one in value.items()}
        case int() if abs(value) > 2**63 - 1:
            return str(value)  # inside JSON
        case _:
            return value


def raw(value: Any) -> Any:
    return value.value if isinstance(value, Given) else value


def emit_anything(name: Any, value: Any, step: Any, time: Any, labels: Any) -> None:
    name, value, step, time, labels = map(raw, (name, value, step, time, labels))

    def use(run: Run) -> None:
        run.emit("before", 0.5)
        run.emit(name, value, step, time=time, labels=labels)
        run.emit({"in": 1.5, "odd": value, "with": 2.5}, step=7)
        run.emit("after", 0.5)

    seen, dropped = recorded(use)
    assert {("before", 0, 0.5), ("after", 0, 0.5), ("in", 7, 1.5), ("with", 7, 2.5)} <= set(points(seen))
    if issubclass(type(name), str):
        assert len(points(seen)) + len(values(seen)) + dropped >= 6


def emit_good_values(name: str, value: Any, step: int | None, seconds: float | None) -> None:
    seen, dropped = recorded(lambda run: run.emit(name, value, step, time=seconds))
    found = points(seen) + [(name, at, one.value) for name, at, one in values(seen)]

    assert dropped == 0
    assert [(name, at) for name, at, _ in found] == [(name, 0 if step is None else step)]
    is_point = type(value) is float or (type(value) is int and abs(value) <= 2**53)
    assert as_read(found[0][2]) == as_read(float(value) if is_point else value)
    assert bool(points(seen)) == is_point


def emit_datetimes(moment: dt.datetime) -> None:
    seen, _ = recorded(lambda run: run.emit("when", moment))

    assert [one.value - moment for _, _, one in values(seen)] == [dt.timedelta()]


def log_anything(odd_name: Any, odd: Any, good: Any) -> None:
    odd_name, odd = raw(odd_name), raw(odd)

    def use(run: Run) -> None:
        for log in (run.log_params, run.set_labels):
            log({"first": good, odd_name: odd, "last": good})
        run.log_params(nested={"first": good, "odd": odd})
        run.set_tags({"first": "a", odd_name: odd, "last": "b"})
        run.note(odd)
        run.finish(message=odd, timeout_s=0)

    seen, _ = recorded(use)
    params, labels = merged(seen, "params", "params"), merged(seen, "labels", "labels")
    assert len(params) == 4 or as_name(odd_name) in ("first", "last", "nested")
    assert len(labels) == 3 or as_name(odd_name) in ("first", "last")
    for found in (params, labels):
        assert as_read(found["last"].value) == as_read(good)
        assert as_name(odd_name) == "first" or as_read(found["first"].value) == as_read(good)
    tags = merged(seen, "tags", "tags")
    assert tags["last"] == "b"
    assert len(tags) == 3 or as_name(odd_name) in ("first", "last")
    assert [event.kind for event in seen if event.kind in ("note", "run_finished")] == ["note", "run_finished"]


def as_name(name: Any) -> str:
    try:
        return str.__str__(name) if issubclass(type(name), str) else str(name)
    except RuntimeError:
        return "<a name>"


def log_any_object(given_params: Given, given_tags: Given) -> None:
    def use(run: Run) -> None:
        run.log_params(given_params.value, kept=1)
        run.set_labels(given_params.value, kept=1)
        run.set_tags(given_tags.value, kept="yes")

    seen, _ = recorded(use)
    assert merged(seen, "params", "params")["kept"].value == 1
    assert merged(seen, "labels", "labels")["kept"].value == 1
    assert merged(seen, "tags", "tags")["kept"] == "yes"


def use_anything_elsewhere(given_odd: Given) -> None:
    odd = given_odd.value

    def use(run: Run) -> None:
        run.artifact(odd, odd, odd, odd, media_type=odd)
        run.text(odd, odd, odd)
        run.rename(odd)
        run.rename(odd, series=odd)
        run.delete(series=odd, param=[odd])
        with run.step(odd, attempt=odd, step_type=odd):
            run.emit("inside", 0.5)

    seen, _ = recorded(use)
    assert ("inside", 0, 0.5) in points(seen)


SECONDS = st.none() | st.floats(0, 4_102_444_800) | st.integers(0, 4_102_444_800)
STEPS = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)
HASHABLE = NAMES | st.none() | st.integers() | st.floats() | st.builds(lambda: Given(Hostile()))

test_emit_takes_anything, test_emit_takes_anything_many_times = short_and_long(
    emit_anything, name=NAMES | ANYTHING, value=ANYTHING, step=STEPS | ANYTHING, time=SECONDS | ANYTHING,
    labels=st.none() | ANYTHING,
)  # fmt: skip
test_good_values_arrive_equal, test_good_values_arrive_equal_many_times = short_and_long(
    emit_good_values, name=NAMES, value=GOOD, step=STEPS, seconds=SECONDS
)
test_datetimes_arrive_as_the_same_instant, test_datetimes_arrive_as_the_same_instant_many_times = short_and_long(
    emit_datetimes, moment=MOMENTS
)
test_one_odd_item_takes_no_other_with_it, test_one_odd_item_takes_no_other_with_it_many_times = short_and_long(
    log_anything, odd_name=HASHABLE, odd=ANYTHING, good=GOOD
)
test_params_and_tags_may_be_any_object, test_params_and_tags_may_be_any_object_many_times = short_and_long(
    log_any_object, given_params=ANYTHING, given_tags=ANYTHING
)
test_every_other_argument_may_be_anything, test_every_other_argument_may_be_anything_many_times = short_and_long(
    use_anything_elsewhere, given_odd=ANYTHING
)


@example(Given(shared_lists()))
@FEW
@given(ANYTHING)
def test_a_report_of_anything_has_an_end(one: Given) -> None:
    assert len(safe_repr(one.value)) <= 200


def test_this_module_compares_nan() -> None:
    assert as_read(math.nan) == as_read({"$float": "NaN"})


def test_an_int_that_has_no_text_is_named_by_its_type() -> None:
    recorded(lambda run: run.finish(message=10**5_000, timeout_s=0))  # type: ignore[arg-type]

    assert text_of(10**5_000) == "<int>"
