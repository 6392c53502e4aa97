"""The fold gives one answer for any order of producers, any split into transactions, and any duplicates."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.chunks import finalise_chunks
from consumers.materialiser.fold.fold import fold
from consumers.materialiser.fold.lifecycle import TWICE
from consumers.materialiser.fold.state import FoldState
from consumers.store.rows import Changes, RunRow
from schemas import events as ev
from schemas.values import FloatValue
from schemas.wire import Envelope, ProducerId, RunId

RUN = "r1"
STEPS = ("main", "train", "eval")
NUMBERS = st.sampled_from([1, 1, 2, 2, 3])  # of attempts
VALUES = st.floats(width=64)
LIFE: list[type[Any]] = [ev.RunCreated, ev.RunStarted, ev.RunResumed, ev.RunFinished, ev.RunFailed, ev.RunKilled]


class Store:
    """The rows that the store would hold after the last transaction."""

    def __init__(self) -> None:
        self.state = FoldState()
        self.rows: dict[str, dict[Any, Any]] = {}
        self.lists: dict[str, list[Any]] = {}
        self.offset = 0

    def apply(self, envelopes: Sequence[Envelope]) -> Store:
        """Fold and store these records in one transaction."""
        changes = Changes()
        for envelope in envelopes:
            fold(self.state, changes, envelope, 0, self.offset)
            self.offset += 1
        finalise_chunks(changes)
        chunks = self.rows.setdefault("chunks", {})
        for series, first in changes.reopened.items():
            for key in [key for key in chunks if key[0] == series and key[1] >= first]:
                del chunks[key]
        for name in ("params", "tags", "run_labels", "artifacts", "code_identities", "chunks"):
            self.rows.setdefault(name, {}).update(getattr(changes, name))
        for name in ("observations", "console_lines", "edits"):
            self.lists.setdefault(name, []).extend(getattr(changes, name))
        return self

    def everything(self) -> str:
        """Return every row, except for the count of duplicates."""
        state = self.state
        heads: list[dict[Any, Any]] = [state.runs, state.producers, state.steps, state.attempts, state.series]
        rows = [sorted((repr(key), asdict(row)) for key, row in part.items()) for part in heads]
        for _, row in rows[1]:
            row["refused"] = 0
        for _, row in rows[0]:
            row["next_offset"] = 0  # with duplicates the log is longer
        stored = {name: sorted((repr(key), repr(row)) for key, row in part.items()) for name, part in self.rows.items()}
        return repr((rows, stored, self.lists))

    def life(self) -> str:
        """Return what does not depend on the order of producers in the log."""
        run = asdict(self.state.runs[RUN])
        run["next_offset"] = 0
        steps = {row.step_name: (row.state, row.message) for row in self.state.steps.values()}
        attempts = sorted(map(repr, self.state.attempts.values()))
        points = sorted(
            (row.name, row.step_name, row.attempt, row.points, row.non_finite, row.last_step, repr(row.last_value),
             repr(row.min_value), repr(row.max_value))
            for row in self.state.series.values()
        )  # fmt: skip
        params = sorted((key, row["value"]) for key, row in self.rows["params"].items())
        ledgers = sorted(map(repr, self.state.producers.values()))
        text = repr((run, sorted(steps.items()), attempts, points, params, ledgers))
        return text.replace(f"{TWICE}; ", "").replace(TWICE, "")  # a start is the second one only in an order


@st.composite
def events(draw: st.DrawFn, producer: int, number: int) -> ev.AnyEvent:
    """Return one event; its time is unique, and names for which the last write wins belong to its producer."""
    time = draw(st.integers(0, 1_000)) * 1_000 + producer * 100 + number
    step, attempt = draw(st.sampled_from(STEPS)), draw(NUMBERS)
    message = draw(st.sampled_from(["", "boom", "over"]))
    kind = draw(st.sampled_from(["life", "life", "life", "step", "step", "metrics", "params", "beat"]))
    if kind == "life":
        model = draw(st.sampled_from(LIFE))
        fields: dict[str, Any] = (
            {"message": message} if issubclass(model, (ev.RunFinished, ev.RunFailed, ev.RunKilled)) else {}
        )
        made: ev.AnyEvent = model(time=time, attempt=attempt, **fields)
        return made
    if kind == "metrics":
        values = array("d", draw(st.lists(VALUES, min_size=1, max_size=4)))
        steps = array("q", [time * 10 + index for index in range(len(values))])
        return ev.Metrics(time=time, step_name=step, attempt=attempt,
                          series=[ev.Series(name="loss", steps=steps, times=steps, values=values)])  # fmt: skip
    if kind == "step":
        if draw(st.booleans()):
            return ev.StepStarted(time=time, step_name=step, attempt=attempt)
        return ev.StepFinished(
            time=time,
            step_name=step,
            attempt=attempt,
            status=draw(st.sampled_from(["success", "fail"])),
            message=message,
        )
    if kind == "params":
        params = {f"p{producer}": FloatValue(value=float(number))}
        return ev.Params(time=time, step_name=step, attempt=attempt, params=params)
    return ev.Heartbeat(time=time)


@st.composite
def producers(draw: st.DrawFn) -> list[list[Envelope]]:
    """Return the records of one to three producers of a run, each in order."""
    return [
        [
            Envelope(RunId(RUN), ProducerId(f"p{producer}"), seq, 0, draw(events(producer, seq)))
            for seq in range(draw(st.integers(1, 4)))
        ]
        for producer in range(draw(st.integers(2, 4)))
    ]


def interleaved(data: st.DataObject, parts: list[list[Envelope]]) -> list[Envelope]:
    turns = [index for index, part in enumerate(parts) for _ in part]
    left = [iter(part) for part in parts]
    return [next(left[index]) for index in data.draw(st.permutations(turns))]


@given(producers(), st.data())
def test_the_order_of_producers_does_not_matter(parts: list[list[Envelope]], data: st.DataObject) -> None:
    one_by_one = [envelope for part in parts for envelope in part]
    backwards = [envelope for part in reversed(parts) for envelope in part]

    expected = Store().apply(one_by_one).life()
    assert Store().apply(backwards).life() == expected
    assert Store().apply(interleaved(data, parts)).life() == expected


@given(producers(), st.data())
def test_cuts_and_duplicates_anywhere_change_nothing(parts: list[list[Envelope]], data: st.DataObject) -> None:
    log = interleaved(data, parts)
    again = list(log)
    for index in data.draw(st.lists(st.integers(0, len(log) - 1), max_size=6)):
        after = data.draw(st.integers(again.index(log[index]) + 1, len(again)))
        again.insert(after, log[index])
    cut = Store()
    while again:
        size = data.draw(st.integers(1, len(again)))
        cut.apply(again[:size])
        again = again[size:]

    whole = Store().apply(log)
    assert _without_offsets(cut) == _without_offsets(whole)


@pytest.mark.parametrize("values", [(0.0, -0.0), (-0.0, 0.0)])
@pytest.mark.parametrize("is_one_record", [True, False])
def test_the_order_of_zeros_of_both_signs_does_not_matter(values: tuple[float, float], is_one_record: bool) -> None:
    cut = [list(values)] if is_one_record else [[value] for value in values]
    envelopes = []
    for seq, part in enumerate(cut):
        steps = array("q", range(10 * seq, 10 * seq + len(part)))
        series = ev.Series(name="loss", steps=steps, times=steps, values=array("d", part))
        envelopes.append(Envelope(RunId(RUN), ProducerId("p0"), seq, 0, ev.Metrics(time=5, series=[series])))

    (row,) = Store().apply(envelopes).state.series.values()
    assert (repr(row.min_value), repr(row.max_value)) == ("0.0", "0.0")


def _without_offsets(store: Store) -> str:
    for row in [row for name in ("observations", "console_lines") for row in store.lists.get(name, [])]:
        row["log_offset"] = 0
    for row in store.rows.get("params", {}).values():
        row["log_offset"] = 0
    return store.everything()


def state_of(*events: ev.AnyEvent) -> RunRow:
    envelopes = [
        Envelope(RunId(RUN), ProducerId(f"p{index}"), 0, event.time, event) for index, event in enumerate(events)
    ]
    return Store().apply(envelopes).state.runs[RUN]


CREATED, STARTED, RESUMED = ev.RunCreated(time=1), ev.RunStarted(time=2), ev.RunResumed(time=20, attempt=2)
FINISHED, FAILED = ev.RunFinished(time=9), ev.RunFailed(time=8, message="boom")
FINISHED_2 = ev.RunFinished(time=29, attempt=2)
POINTS = ev.Metrics(
    time=5, series=[ev.Series(name="loss", steps=array("q", [0]), times=array("q", [5]), values=array("d", [0.5]))]
)
PARAMS = ev.Params(time=1, params={"lr": FloatValue(value=0.1)})


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([CREATED], "created"),
        ([CREATED, PARAMS], "created"),
        ([PARAMS, CREATED], "created"),
        ([CREATED, POINTS], "running"),
        ([POINTS, CREATED], "running"),
        ([POINTS, STARTED], "running"),
        ([FINISHED, POINTS], "finished"),
        ([FINISHED, STARTED], "finished"),
        ([FINISHED, ev.Heartbeat(time=99)], "finished"),
        ([FAILED, FINISHED], "failed"),
        ([FAILED, RESUMED], "running"),
        ([RESUMED, FAILED], "running"),
        ([FAILED, FINISHED_2], "finished"),
        ([FINISHED_2, FAILED], "finished"),
        ([RESUMED, FINISHED_2, FAILED, STARTED], "finished"),
    ],
)
def test_hard_cases_have_the_state_a_person_expects(events: list[ev.AnyEvent], state: str) -> None:
    assert state_of(*events).state == state


def test_a_step_has_the_state_of_its_newest_attempt() -> None:
    first = ev.StepFinished(time=5, step_name="train", status="fail", message="boom")
    again = ev.StepStarted(time=6, step_name="train", attempt=2)
    events: list[ev.AnyEvent] = [again, first]
    envelopes = [Envelope(RunId(RUN), ProducerId(f"p{index}"), 0, 0, event) for index, event in enumerate(events)]
    state = Store().apply(envelopes).state

    assert state.steps[RUN, "train"].state == "running"
    assert state.attempts[RUN, "train", 1].state == "failed"


def test_a_late_event_of_a_superseded_attempt_only_fills_gaps() -> None:
    newer = ev.RunResumed(time=20, attempt=2, name="new")
    older = ev.RunStarted(time=2, name="old", tag="digits")

    assert [(run.name, run.tag) for run in (state_of(newer, older), state_of(older, newer))] == [("new", "digits")] * 2


def test_the_last_lifecycle_stage_of_the_log_counts_and_a_deleted_run_loses_nothing() -> None:
    deleted, restored = ev.LifecycleStage(time=9, stage="deleted"), ev.LifecycleStage(time=3, stage="active")

    assert state_of(STARTED, deleted).lifecycle_stage == "deleted"
    assert state_of(STARTED, deleted, restored).lifecycle_stage == "active"
    run = state_of(deleted, STARTED, POINTS, FINISHED)
    assert (run.lifecycle_stage, run.state, run.points, run.deleted) == ("deleted", "finished", 1, False)


def started(**fields: Any) -> ev.RunStarted:
    return ev.RunStarted(time=2, **fields)


def resumed(**fields: Any) -> ev.RunResumed:
    return ev.RunResumed(time=20, attempt=2, **fields)


@pytest.mark.parametrize(
    ("events", "experiment_id", "tag"),
    [
        ([started(tag="digits")], "", "digits"),
        ([started(tag="digits", experiment_id="7")], "7", "digits"),
        ([started(tag="digits"), ev.Moved(time=3, experiment_id="8")], "8", "digits"),
        ([started(tag="digits"), ev.Moved(time=3, experiment_id="8", tag="letters")], "8", "letters"),
        ([started(tag="digits", experiment_id="7"), ev.Moved(time=3, tag="letters")], "", "letters"),
        ([ev.Moved(time=9, tag="letters"), ev.Moved(time=3, tag="words")], "", "words"),
        ([started(tag="digits"), ev.Moved(time=3, experiment_id="8"), resumed()], "8", "digits"),
        ([started(experiment_id="7"), resumed(tag="letters")], "", "letters"),
        ([resumed(tag="letters"), started(experiment_id="7")], "", "letters"),
        ([started(tag="digits", experiment_id="7"), resumed(experiment_id="8")], "8", "digits"),
        ([resumed(experiment_id="8"), started(tag="digits", experiment_id="7")], "8", "digits"),
    ],
)
def test_the_last_event_that_names_an_experiment_counts(
    events: list[ev.AnyEvent], experiment_id: str, tag: str
) -> None:
    run = state_of(*events)

    assert (run.experiment_id, run.tag) == (experiment_id, tag)


def test_edits_are_kept_in_the_order_of_the_log() -> None:
    events: list[ev.AnyEvent] = [
        STARTED,
        ev.Renamed(time=3, what="run", new="better"),
        ev.Renamed(time=4, what="param", old="lr", new="rate"),
        ev.Deleted(time=5, what="tag", name="team"),
        ev.Deleted(time=6, what="run"),
        POINTS,
    ]
    envelopes = [Envelope(RunId(RUN), ProducerId("p"), seq, 0, event) for seq, event in enumerate(events)]
    store = Store().apply([*envelopes, *envelopes])

    assert [(edit.what, edit.name, edit.new) for edit in store.lists["edits"]] == [
        ("param", "lr", "rate"),
        ("tag", "team", None),
    ]
    run = store.state.runs[RUN]
    assert (run.name, run.deleted, run.points) == ("better", True, 1)
