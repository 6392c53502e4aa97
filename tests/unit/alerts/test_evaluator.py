"""What fires, from records alone: each kind of condition, one firing until it is resolved, and no matter how cut."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.consumer import loaded
from consumers.alerts.evaluator.evaluator import Evaluator
from consumers.alerts.evaluator.facts import Facts, Progress
from consumers.alerts.evaluator.rules import Rule, RuleIndex, compile_rule
from consumers.alerts.evaluator.state import RunState, SeriesState, Transition
from consumers.log.record import Record
from consumers.store.alerts.states import RunRow, SeriesRow
from schemas import events as ev
from schemas.values import FloatValue, StringValue
from schemas.wire import Envelope, encode
from tests.support.log_author import START, Author

LOG_MS = START // 1_000


def rule(when: dict[str, Any], rule_id: str = "r", since_ms: int = 0, **fields: Any) -> Rule:
    return compile_rule(rule_id, 1, "", {"when": when, **fields}, since_ms)


def records(envelopes: Sequence[Envelope], *, every_ms: int = 1_000) -> list[Record]:
    """Return records of one partition, which the log got at intervals."""
    found = []
    for offset, envelope in enumerate(envelopes):
        key, value, headers = encode(envelope)
        found.append(Record("t", 0, offset, key, value, tuple(headers), LOG_MS + offset * every_ms))
    return found


def written(state: Any) -> Any:
    """Return a state as PostgreSQL gives it back."""
    return orjson.loads(orjson.dumps(state))


def stored(run: RunState) -> RunState:
    """Return a run as a process reads it that has just started."""
    series = {name: written(one.to_json()) for name, one in run.series.items()}
    kept = {name: SeriesState.from_json(one) for name, one in series.items() if one is not None}
    return RunState(
        run.run_id,
        run.partition,
        Facts.from_json(written(run.facts.to_json())),
        Progress.from_json(written(run.progress.to_json())),
        kept,
    )


def evaluate(
    rules: Sequence[Rule], of: Sequence[Record], *, end_ms: int = 0, restart: Sequence[int] = ()
) -> list[Transition]:
    """Return the transitions of records, with a new evaluator before those of the offsets `restart`."""
    index = RuleIndex(rules)
    evaluator = Evaluator(index)
    found: list[Transition] = []
    for record in of:
        run_id = (record.key or b"").decode()
        if record.offset in restart:
            runs = [stored(run) for run in evaluator.runs.values()]
            evaluator = Evaluator(index)
            for run in runs:  # the others are loaded with their next record
                (evaluator.resume if run.is_open else evaluator.add)(run)
        if run_id not in evaluator.runs:
            evaluator.add(RunState(run_id, 0))
        evaluator.observe(record)
        found += evaluator.take_changes().transitions
    if end_ms:
        evaluator.pass_time(0, LOG_MS + end_ms)
        found += evaluator.take_changes().transitions
    return found


def told(transitions: Sequence[Transition]) -> list[tuple[bool, int | None]]:
    return [(one.fired, one.step) for one in transitions]


def one_series(values: Sequence[float], *, at_once: int = 3, **fields: Any) -> list[Record]:
    author = Author("run")
    parts = [values[at : at + at_once] for at in range(0, len(values), at_once)]
    return records(
        [
            author.start(),
            *(author.metrics("loss", part, first_step=at * at_once, **fields) for at, part in enumerate(parts)),
        ]
    )


NAN, INF = math.nan, math.inf


def on_off(fired: int, resolved: int) -> list[tuple[bool, int]]:
    return [(True, fired), (False, resolved)]


@pytest.mark.parametrize(
    ("when", "values", "expected"),
    [
        ({"kind": "threshold", "op": ">", "value": 10}, [1, 11, 12, 3, 50], [(True, 1), (False, 3), (True, 4)]),
        ({"kind": "threshold", "op": ">", "value": 10}, [1, NAN, 12, NAN], [(True, 2), (False, 3)]),
        ({"kind": "threshold", "op": "<=", "value": 0, "for_points": 3}, [0, 0, 1, 0, 0, 0, 0, 1], on_off(5, 7)),
        ({"kind": "threshold", "op": ">", "value": 2, "of": "mean", "points": 2}, [1, 2, NAN, 4, 0], on_off(3, 4)),
        ({"kind": "threshold", "op": ">", "value": 0, "for_s": 0.004}, [1, 1, 1, 1, 1, 0], [(True, 3), (False, 5)]),
        ({"kind": "nan"}, [1, NAN, INF, 2], [(True, 1), (False, 3)]),
        ({"kind": "nan", "infinite": False}, [1, INF, NAN], [(True, 2)]),
        ({"kind": "stalled", "goal": "min", "steps": 3}, [5, 4, 4, 4, 6, 3, 3], [(True, 4), (False, 5)]),
        ({"kind": "stalled", "goal": "max", "seconds": 0.003, "min_change": 0.5}, [1, 1.2, 1.4, 2], on_off(2, 3)),
        ({"kind": "spike", "min_points": 5}, [1, 1.1, 0.9, 1, 1.05, 9, 1, NAN, 0.95], [(True, 5), (False, 6)]),
        ({"kind": "spike", "min_points": 5, "direction": "down"}, [1, 1, 1, 1, 1, 9, 1, -25], [(True, 7)]),
    ],
)  # fmt: skip
def test_conditions_on_points(when: dict[str, Any], values: list[float], expected: list[tuple[bool, int]]) -> None:
    found = evaluate([rule(when, series={"name": "loss"})], one_series(values))

    assert told(found) == expected


@pytest.mark.parametrize(
    "when",
    [
        {"kind": "threshold", "op": ">", "value": 10, "of": "mean", "points": 4},
        {"kind": "spike", "window": 40, "direction": "down"},
    ],
)
def test_numbers_whose_sum_is_larger_than_a_float_end_nothing(when: dict[str, Any]) -> None:
    values = [0.0] * 21 + [1.7e308] * 19 + [1.0, -1.7e308, 0.0]

    assert told(evaluate([rule(when, series={"name": "loss"})], one_series(values)))


def test_silence_is_measured_by_the_log_and_ends_with_news_or_the_run() -> None:
    author = Author("run")
    start, point, end = author.start(), author.metrics("loss", [1.0]), author.finish()
    late = [one._replace(time_ms=one.time_ms + 100_000 * (one.offset > 0)) for one in records([start, point, end])]
    quiet = rule({"kind": "no_news", "seconds": 60})

    fired, resolved = evaluate([quiet], late, end_ms=10_000_000)

    assert (fired.fired, fired.time) == (True, (LOG_MS + 60_000) * 1_000)
    assert (resolved.fired, resolved.alert_id) == (False, fired.alert_id)
    assert [one.time for one in evaluate([quiet], late[:2], end_ms=161_000)] == [fired.time, resolved.time]
    assert len(evaluate([quiet], late[:2], end_ms=161_002)) == 3


def test_a_deadline_that_passes_within_a_batch_needs_its_run_whatever_the_order_of_times() -> None:
    quiet, busy = Author("quiet"), Author("busy")
    evaluator = Evaluator(RuleIndex([rule({"kind": "no_news", "seconds": 60})]))
    first, *batch = records([quiet.start(), busy.start(), busy.metrics("loss", [1.0])])
    evaluator.add(RunState("quiet", 0))
    evaluator.observe(first)
    kept = stored(evaluator.runs["quiet"])
    evaluator.forget()
    batch[0] = batch[0]._replace(time_ms=LOG_MS + 90_000)  # a log without LogAppendTime has times of producers

    assert evaluator.clocks.due_by(batch) == {"quiet"}
    for run in (kept, RunState("busy", 0)):
        evaluator.add(run)
    for record in batch:
        evaluator.observe(record)
    assert [one.run_id for one in evaluator.take_changes().transitions] == ["quiet"]


def test_silence_of_a_series() -> None:
    author = Author("run")
    made = [
        author.start(),
        author.metrics("a", [1.0]),
        *(author.metrics("b", [1.0]) for _ in range(9)),
        author.metrics("a", [2.0]),
    ]

    found = evaluate([rule({"kind": "no_news", "seconds": 5}, series={"name": "a"})], records(made))

    assert [(one.fired, one.series) for one in found] == [(True, "a"), (False, "a")]
    assert found[0].time == (LOG_MS + 6_000) * 1_000


@pytest.mark.parametrize(
    ("ending", "state"), [(ev.RunFailed, "failed"), (ev.RunKilled, "killed"), (ev.RunFinished, "")]
)
def test_the_end_of_a_run(ending: Any, state: str) -> None:
    author = Author("run")
    end = author.envelope(ending(time=author.now(), message="out of memory"))
    again = author.envelope(ev.RunResumed(time=author.now(), attempt=2))

    found = evaluate([rule({"kind": "run_ended"})], records([author.start(), end, again]))

    assert [one.fired for one in found] == ([True, False] if state else [])
    assert not state or state in found[0].message
    assert not state or "out of memory" in found[0].message


def test_a_lost_run_and_one_that_sends_no_heartbeats() -> None:
    lost = rule({"kind": "run_ended", "lost_after_s": 30})
    silent = Author("run")

    assert [one.fired for one in evaluate([lost], records([silent.start()]), end_ms=31_000)] == [True]
    silent = Author("run")
    assert evaluate([lost], records([silent.start(heartbeats=False)]), end_ms=31_000) == []


def test_missing_records_and_dropped_values() -> None:
    author = Author("run")
    made = [author.start(), author.metrics("loss", [1.0]), author.metrics("loss", [2.0]), author.metrics("loss", [3.0])]
    missing = rule({"kind": "record_missing", "seconds": 10})
    gap = records([made[0], made[2], made[3]])
    filled = records([made[0], made[2], made[3], made[1]])
    closing = author.envelope(ev.ProducerClosed(time=author.now(), batches=5, points=3, dropped=7))

    assert [one.fired for one in evaluate([missing], gap, end_ms=60_000)] == [True]
    assert evaluate([missing], filled, end_ms=60_000) == []
    (dropped,) = evaluate([missing], records([*made, closing]), end_ms=60_000)
    assert "7 values" in dropped.message


def test_an_idle_gpu_until_the_run_ends() -> None:
    author = Author("run")

    def load(percent: float) -> Envelope:
        made = author.metrics("system/gpu/0/utilization_percent", [percent])
        event = made.event
        assert isinstance(event, ev.Metrics)
        return made._replace(event=ev.SystemMetrics(time=event.time, series=event.series))

    made = [author.start(), load(90), load(1), load(2), load(3), author.finish(), load(0)]

    found = evaluate([rule({"kind": "gpu_idle", "seconds": 0.002})], records(made))

    assert [(one.fired, one.value) for one in found] == [(True, 3.0), (False, None)]


def test_runs_and_series_that_a_rule_is_about() -> None:
    author = Author("run")
    params = author.envelope(
        ev.Params(time=author.now(), params={"lr": FloatValue(value=0.1), "net": StringValue(value="rf")})
    )
    tags = author.envelope(ev.Tags(time=author.now(), tags={"team": "vision"}))
    moved = author.envelope(ev.Tags(time=author.now(), tags={"team": "speech"}))
    made = [author.start(tag="digits", name="first"), params, tags, author.metrics("val/loss", [NAN]), moved]
    fits = [
        "experiment = 'digits' and params.lr < 0.2",
        "tags.team = 'vision'",
        "name like 'fir%'",
        "params.net in ('rf', 'x')",
    ]
    differs = ["experiment = 'letters'", "not params.net = 'rf'", "params.lr > 0.2", "tags.owner is not null"]

    def count(where: str, **series: str) -> int:
        return len(evaluate([rule({"kind": "nan"}, where=where, series=series or None)], records(made)[:4]))

    assert [count(where) for where in (*fits, *differs)] == [1] * 4 + [0] * 4
    assert [
        count("", **{kind: text}) for kind, text in (("name", "val/loss"), ("prefix", "val/"), ("regex", "loss$"))
    ] == [1] * 3
    assert [count("", name="loss"), count("", prefix="loss")] == [0, 0]
    assert [one.fired for one in evaluate([rule({"kind": "nan"}, where="tags.team = 'vision'")], records(made))] == [
        True,
        False,
    ]


def test_a_parameter_that_is_not_finite_is_compared_after_a_restart_as_before() -> None:
    author = Author("run")
    params = ev.Params(time=author.now(), params={"lr": FloatValue(value=INF)})
    made = [author.start(), author.envelope(params), author.metrics("loss", [NAN])]

    assert evaluate([rule({"kind": "nan"}, where="params.lr > 5")], records(made), restart=[2])


def test_one_firing_within_a_cooldown_and_again_after_it() -> None:
    values = [11, 1, 11, 1, 11, 11]
    made = one_series(values, at_once=1)
    cooling = rule({"kind": "threshold", "op": ">", "value": 10}, cooldown_s=0.007)

    assert told(evaluate([cooling], made)) == [(True, 0), (False, 1), (True, 5)]


def test_a_run_that_fails_again_within_the_cooldown_fires_after_it() -> None:
    author = Author("run")
    made = [author.start()]
    for attempt in (1, 2):
        made.append(author.envelope(ev.RunFailed(time=author.now() + 7, attempt=attempt)))
        made.append(author.envelope(ev.RunResumed(time=author.now(), attempt=attempt + 1)))
    made.insert(4, Author("other").start())
    failed = rule({"kind": "run_ended", "states": ["failed"]}, cooldown_s=60)

    found = evaluate([failed], records(made[:-1]), end_ms=100_000)

    assert [one.fired for one in found] == [True, False, True]
    assert repr(evaluate([failed], records(made[:-1]), end_ms=100_000, restart=[4])) == repr(found)
    assert 60_000_000 <= found[2].time - found[0].time < 60_001_000  # deadlines are ms, times of events µs
    assert [one.fired for one in evaluate([failed], records(made), end_ms=80_000)] == [True, False]


@given(
    st.lists(
        st.tuples(st.sampled_from(["loss", "acc", "fail", "resume", "tag", "gap"]), st.integers(0, 4_000)), max_size=30
    ),
    st.sets(st.integers(0, 30)),
    st.sampled_from([0.0, 2.5, 7.0]),
)
def test_what_time_alone_decides_ends_and_does_not_depend_on_restarts(
    happened: list[tuple[str, int]], restarts: set[int], cooldown_s: float
) -> None:
    kinds: list[dict[str, Any]] = [
        {"when": {"kind": "no_news", "seconds": 3}},
        {"when": {"kind": "no_news", "seconds": 3}, "series": {"name": "acc"}},
        {"when": {"kind": "run_ended", "states": ["failed", "lost"], "lost_after_s": 5}},
        {"when": {"kind": "record_missing", "seconds": 2}},
        {"when": {"kind": "gpu_idle", "below": 5, "seconds": 2}, "series": {"name": "acc"}},
    ]  # fmt: skip
    rules = [rule(rule_id=f"r{number}", cooldown_s=cooldown_s, **fields) for number, fields in enumerate(kinds)]
    author, attempt, made, now_ms = Author("run"), 1, [], 0
    made.append((author.start(), now_ms))
    for what, later_ms in happened:
        now_ms += later_ms
        attempt += what == "resume"
        events: dict[str, ev.AnyEvent] = {
            "fail": ev.RunFailed(time=author.now() + later_ms, attempt=attempt),
            "resume": ev.RunResumed(time=author.now(), attempt=attempt),
            "tag": ev.Tags(time=author.now(), tags={"a": "b"}),
        }
        event = events.get(what)
        point = author.metrics("loss" if event or what == "gap" else what, [1.0], attempt=attempt)
        if what != "gap":  # a record that never comes
            made.append((point if event is None else author.envelope(event), now_ms))
    log = [
        one._replace(time_ms=LOG_MS + at) for one, (_, at) in zip(records([one for one, _ in made]), made, strict=True)
    ]

    found = evaluate(rules, log, end_ms=now_ms + 60_000)

    assert repr(evaluate(rules, log, end_ms=now_ms + 60_000, restart=sorted(restarts))) == repr(found)


def test_an_attempt_begins_again_and_points_of_earlier_ones_no_longer_count() -> None:
    author = Author("run")
    made = [
        author.start(), author.metrics("loss", [NAN]), author.metrics("loss", [NAN], attempt=2, first_step=7),
        author.metrics("loss", [1.0]),
    ]  # fmt: skip

    assert told(evaluate([rule({"kind": "nan"})], records(made))) == [(True, 0), (False, None), (True, 7)]


def test_the_alarm_of_a_metric_is_a_rule_of_its_run() -> None:
    author, other = Author("run"), Author("other")
    alarm = author.envelope(ev.MetricDefined(time=author.now(), name="loss*", alarm="> 10 or nan"))
    calm = author.envelope(ev.MetricDefined(time=author.now(), name="loss*"))
    made = [
        author.start(), alarm, author.metrics("loss/train", [11.0, NAN]), other.start(),
        other.metrics("loss/train", [NAN]), calm,
    ]  # fmt: skip

    found = evaluate([], records(made))

    assert [(one.run_id, one.fired, one.rule.id) for one in found] == [
        ("run", True, "alarm/loss*/0"), ("run", False, "alarm/loss*/0"), ("run", True, "alarm/loss*/1"),
        ("run", False, "alarm/loss*/1"),
    ]  # fmt: skip


def test_only_what_the_log_got_since_the_rule_was_saved_counts() -> None:
    made = one_series([NAN, 1, NAN], at_once=1)

    assert told(evaluate([rule({"kind": "nan"}, since_ms=made[2].time_ms)], made)) == [(True, 2)]


@given(
    st.lists(st.one_of(st.sampled_from([NAN, INF, 0.0, 1.0, 11.0]), st.floats(-20, 20)), min_size=1, max_size=40),
    st.integers(1, 7),
    st.sets(st.integers(0, 20)),
    st.integers(0, 3),
)
def test_duplicates_restarts_and_batches_change_nothing(
    values: list[float], at_once: int, restarts: set[int], repeated: int
) -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "nan"}, {"kind": "threshold", "op": ">", "value": 10, "for_points": 2},
        {"kind": "stalled", "goal": "min", "steps": 4}, {"kind": "spike", "min_points": 5, "window": 8},
        {"kind": "threshold", "op": "<", "value": 0.5, "of": "mean", "points": 3}, {"kind": "no_news", "seconds": 1.5},
        {"kind": "threshold", "op": ">=", "value": 1, "of": "last"},
    ]  # fmt: skip
    rules = [rule(when, f"r{number}", series={"name": "loss"}) for number, when in enumerate(kinds)]
    made = one_series(values, at_once=at_once)
    twice = [
        *made,
        *(one._replace(offset=len(made) + at, time_ms=made[-1].time_ms) for at, one in enumerate(made[:repeated])),
    ]
    single = one_series(values, at_once=1)

    whole = evaluate(rules, made, end_ms=10**7)

    assert repr(evaluate(rules, twice, restart=sorted(restarts), end_ms=10**7)) == repr(whole)
    assert of_points(evaluate(rules, single)) == of_points(whole)


def of_points(transitions: Sequence[Transition]) -> list[tuple[Any, ...]]:
    """What the points of a series caused, in the order of its steps."""
    return sorted(
        (one.step, one.rule.id, one.fired, one.time)
        for one in transitions
        if one.step is not None and one.rule.id != "r5"
    )


def naive(values: Sequence[float], holds_at: Callable[[Sequence[float]], bool]) -> list[tuple[bool, int]]:
    """What a rule tells, point by point: `holds_at` says of the values so far whether its condition holds."""
    found, was = list[tuple[bool, int]](), False
    for step in range(len(values)):
        if (now := holds_at(values[: step + 1])) != was:
            found.append((now, step))
            was = now
    return found


def beyond(values: Sequence[float]) -> bool:
    return len(values) >= 3 and all(value > 0.5 for value in values[-3:])


def stalled(values: Sequence[float]) -> bool:
    if not math.isfinite(values[-1]):
        return stalled(values[:-1]) if len(values) > 1 else False
    best = min(value for value in values if math.isfinite(value))
    return len(values) - 1 - values.index(best) >= 4 or (len(values) > 1 and stalled(values[:-1]) and values[-1] > best)


@given(
    st.lists(st.sampled_from([NAN, INF, -INF, 0.0, 0.5, 1.0, 2.0, -1.0]), min_size=1, max_size=30), st.integers(1, 9)
)
def test_what_is_told_is_what_reading_every_point_again_says(values: list[float], at_once: int) -> None:
    bad = rule({"kind": "nan"}, "bad")
    high = rule({"kind": "threshold", "op": ">", "value": 0.5, "for_points": 3}, "high")
    plain = rule({"kind": "threshold", "op": "<=", "value": 0}, "plain")
    flat = rule({"kind": "stalled", "goal": "min", "steps": 4}, "flat", series={"name": "loss"})

    found = evaluate([bad, high, plain, flat], one_series(values, at_once=at_once))

    said = {one.id: told([each for each in found if each.rule is one]) for one in (bad, high, plain, flat)}
    assert said["bad"] == naive(values, lambda seen: not math.isfinite(seen[-1]))
    assert said["high"] == naive(values, beyond)
    assert said["plain"] == naive(values, lambda seen: seen[-1] <= 0)
    assert said["flat"] == naive(values, stalled)


def spiked(values: Sequence[float]) -> bool:
    """Whether the robust z-score of the last value is beyond 3, by the definition (Iglewicz and Hoaglin, 1993)."""
    numbers = [value for value in values if math.isfinite(value)]
    if not math.isfinite(values[-1]):
        return spiked(values[:-1]) if len(values) > 1 else False
    window = numbers[:-1][-8:]
    if len(window) < 5:
        return False
    middle = statistics.median(window)
    distances = [abs(value - middle) for value in window]
    scale = 1.4826 * statistics.median(distances) or 1.2533 * (math.fsum(distances) / len(distances))
    return abs(values[-1] - middle) > 3 * scale


@given(
    st.lists(
        st.one_of(st.sampled_from([NAN, INF, 0.0, 1.0, 1.0 + 2**-52, 1e300, 5e-324]), st.floats(-20, 20)),
        min_size=1, max_size=40,
    ),
    st.integers(1, 9),
)  # fmt: skip
def test_spikes_are_those_of_the_definition(values: list[float], at_once: int) -> None:
    far = rule({"kind": "spike", "score": 3, "window": 8, "min_points": 5}, series={"name": "loss"})

    assert told(evaluate([far], one_series(values, at_once=at_once))) == naive(values, spiked)


@pytest.mark.parametrize("edit", ["deleted", "renamed"])
def test_a_series_that_is_deleted_or_renamed_begins_again(edit: str) -> None:
    author = Author("run")
    made = [author.start(), author.metrics("loss", [2.0, NAN]), author.metrics("lr", [NAN])]
    now = author.now()
    event = (
        ev.Deleted(time=now, what="series", name="loss")
        if edit == "deleted"
        else ev.Renamed(time=now, what="series", old="loss", new="val")
    )
    made += [author.envelope(event), author.metrics("loss", [NAN], first_step=2)]
    rules = [rule({"kind": "nan"}, series={"regex": "^l"})]

    found = evaluate(rules, records(made))

    assert [(one.fired, one.series, one.step) for one in found] == [
        (True, "loss", 1), (True, "lr", 0), (False, "loss", None), (True, "loss", 2),
    ]  # fmt: skip
    assert edit in found[2].message
    assert repr(evaluate(rules, records(made), restart=[4])) == repr(found)


def test_silence_of_a_series_that_was_deleted_is_no_silence() -> None:
    author = Author("run")
    made = [author.start(), author.metrics("a", [1.0])]
    quiet = rule({"kind": "no_news", "seconds": 5}, series={"name": "a"})
    gone = author.envelope(ev.Deleted(time=author.now(), what="series", name="a"))

    assert len(evaluate([quiet], records(made), end_ms=60_000)) == 1
    assert evaluate([quiet], records([*made, gone]), end_ms=60_000) == []


def test_an_experiment_with_another_name_has_other_rules_from_the_next_record_on() -> None:
    author = Author("run")
    made = records([
        author.start(experiment_id="7"), author.metrics("loss", [NAN]), author.metrics("loss", [NAN], first_step=1),
    ])  # fmt: skip
    digits = rule({"kind": "nan"}, where="experiment = 'digits'")
    evaluator = Evaluator(RuleIndex([digits], {"7": "digits"}))
    evaluator.add(RunState("run", 0))
    for record in made[:2]:
        evaluator.observe(record)
    evaluator.use(RuleIndex([digits], {"7": "letters"}))
    evaluator.observe(made[2])

    assert [one.fired for one in evaluator.take_changes().transitions] == [True, False]


def test_a_state_that_cannot_be_read_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    whole = RunState(
        "run", 0, Facts(name="first"), Progress(), {"loss": SeriesState(1, "loss", 0, {"r": {"v": 1, "h": True}})}
    )
    series = [SeriesRow("run", "loss", whole.series["loss"].to_json()), SeriesRow("run", "lr", {"attempt": 1})]
    rows = [
        RunRow("run", 0, whole.facts.to_json(), whole.progress.to_json(), True),
        RunRow("bad", 0, {"colour": "red"}, {"ledgers": []}, True),
    ]

    found = {one.run_id: one for one in loaded(rows, series)}

    assert found["run"].facts == whole.facts
    assert found["bad"].facts == Facts()
    assert caplog.text.count("begins again") == 3
