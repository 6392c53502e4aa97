"""Events made from the rows of a run fold to the same rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from consumers.delivery.backfill.history_events import removal_events, run_events
from consumers.materialiser.fold.fold import fold
from consumers.materialiser.fold.state import FoldState
from consumers.store.delivery.history import RunSnapshotRows
from consumers.store.rows import Changes
from schemas import events as ev
from schemas.bounds import MAX_VALUE
from schemas.values import FloatValue, StringValue
from schemas.wire import LAST_TIME, Envelope, decode_run, encode_json
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.log_author import Author


def folded(envelopes: list[Envelope]) -> tuple[FoldState, Changes]:
    state, changes = FoldState(), Changes()
    for offset, envelope in enumerate(envelopes):
        fold(state, changes, envelope, 0, offset)
    return state, changes


def rows_of(state: FoldState, changes: Changes) -> RunSnapshotRows:
    (run,) = state.runs.values()
    steps = sorted(state.steps.values(), key=lambda row: row.position)
    attempts = sorted(state.attempts.values(), key=lambda row: (row.step_name, row.attempt))
    params = sorted(changes.params.values(), key=lambda row: (row["attempt"], row["log_offset"]))
    return RunSnapshotRows(
        asdict(run), list(map(asdict, steps)), list(map(asdict, attempts)), params, list(changes.tags.values()),
        list(changes.run_labels.values()), list(changes.artifacts.values()), list(changes.code_identities.values()),
    )  # fmt: skip


def envelopes_of(rows: RunSnapshotRows) -> list[Envelope]:
    """Return the envelopes of the events, as a tracker receives them."""
    events: list[dict[str, Any]] = [dict(event) for part in run_events(rows) for event in part]
    found = [
        encode_json(rows.run["run_id"], "again", number, event["time"], event["kind"], orjson.dumps(event))
        for number, event in enumerate(events)
    ]
    return [decode_run(record.key, record.value, record.headers) for record in found]


def facts(rows: RunSnapshotRows) -> dict[str, Any]:
    """Return everything except what only points, sequence numbers and the log determine."""
    excluded = ("points", "next_offset", "first_offset", "updated", "created", "month", "partition")
    run = {name: value for name, value in rows.run.items() if name not in excluded}
    params = [{name: value for name, value in row.items() if name != "log_offset"} for row in rows.params]
    return {**rows._asdict(), "run": run, "params": params}


def run_with_steps() -> list[Envelope]:
    author = Author("r1")
    return [
        author.start(name="one", tag="t", group="g", run_config={"a": [1, None]}, dag_hash="d"),
        author.envelope(ev.StepStarted(time=author.now(), step_name="fit", name="Fit", step_type="task", mock=True)),
        author.envelope(ev.Params(time=author.now(), step_name="fit", params={"lr": FloatValue(value=0.1)})),
        author.envelope(ev.StepFinished(time=author.now(), step_name="fit", status="fail", message="no")),
        author.envelope(ev.StepStarted(time=author.now(), step_name="fit", attempt=2, name="Fit", mock=True)),
        author.envelope(ev.StepFinished(time=author.now(), step_name="fit", attempt=2)),
        author.envelope(ev.RunLabels(time=author.now(), labels={"why": StringValue(value="é")})),
        author.envelope(ev.Artifact(time=author.now(), name="model", uri="s3://m", size=3)),
        author.envelope(ev.CodeIdentity(time=author.now(), code_identifier="abc")),
        author.envelope(ev.Environment(time=author.now(), values={"host": StringValue(value="h")})),
        author.envelope(ev.RunResumed(time=author.now(), attempt=2)),
        author.envelope(ev.RunKilled(time=author.now(), attempt=2, message="stopped")),
        author.envelope(ev.Moved(time=author.now(), experiment_id="7", tag="u")),
        author.envelope(ev.LifecycleStage(time=author.now(), stage="deleted")),
    ]


def test_a_run_with_steps_and_attempts_folds_to_the_same_rows() -> None:
    rows = rows_of(*folded(run_with_steps()))

    assert facts(rows_of(*folded(envelopes_of(rows)))) == facts(rows)


def test_an_edge_case_run_keeps_everything_but_its_points() -> None:
    rows = rows_of(*folded(edge_case_envelopes("odd")))
    again = rows_of(*folded(envelopes_of(rows)))

    assert {name: value for name, value in facts(again).items() if name not in ("steps", "attempts")} == {
        name: value for name, value in facts(rows).items() if name not in ("steps", "attempts")
    }


def test_a_run_without_a_start_event_gets_none() -> None:
    author = Author("r1")
    rows = rows_of(*folded([author.envelope(ev.Tags(time=author.now(), tags={"a": "b"}))]))

    assert [envelope.event.kind for envelope in envelopes_of(rows)] == ["run_created", "tags"]


def test_a_removal_ends_with_the_deletion() -> None:
    rows = rows_of(*folded(run_with_steps()))

    assert [event["kind"] for event in removal_events(rows).beginning] == ["run_started", "deleted"]


def test_a_run_whose_clock_is_beyond_the_year_9999_has_a_history() -> None:
    author = Author("r1", time=2**62 - 10_000)
    rows = rows_of(*folded([author.start(), author.metrics("loss", [0.5]), author.finish()]))

    (started, *_) = again = envelopes_of(rows)

    assert facts(rows_of(*folded(again))) == facts(rows)
    assert (started.time, started.event.time) == (LAST_TIME, rows.run["started"])


def test_facts_that_many_records_set_fit_into_events() -> None:
    author = Author("r1")
    large = [{f"p{number}": StringValue(value="x" * 400_000)} for number in range(30)]
    parts = [author.envelope(ev.Params(time=author.now(), params=one)) for one in large]
    parts += [author.envelope(ev.Tags(time=author.now(), tags={f"t{n}": "é" * 150_000})) for n in range(30)]
    parts += [author.envelope(ev.RunLabels(time=author.now(), labels=one)) for one in large]
    parts += [author.envelope(ev.Environment(time=author.now(), values=one)) for one in large]
    rows = rows_of(*folded([author.start(), *parts]))

    events = run_events(rows)

    assert max(len(orjson.dumps(event)) for part in events for event in part) < MAX_VALUE
    assert facts(rows_of(*folded(envelopes_of(rows)))) == facts(rows)
