"""
One table: what each place that reads events does with each kind of event, and the proof that it does so.

A new kind fails here until each of its cells is decided: `+` is handled, another word is ignored for that reason.
"""

from __future__ import annotations

import shutil
import typing
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from consumers.delivery.flow.backlog import Backlog
from consumers.live.stream.messages import to_message
from consumers.log.record import Record
from consumers.materialiser.registry.fold import fold_request
from consumers.materialiser.registry.state import RegistryState
from consumers.store.migrations import migrate
from consumers.store.pool import Database, open_database
from schemas import events as ev
from schemas.examples import REQUESTS
from schemas.runtime.settings import Settings
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope, encode
from tests.support import kinds_and_places as places

REASONS = {
    "beat": "it says only that its producer lives, and every event says so: the time of the run's last event moves",
    "count": "how many records a producer sent is compared in PostgreSQL only; a history has a producer of its own",
    "brief": "a list of runs learns that something happened, and reads the run again where that changes what it shows",
    "steps": "the tracker knows no steps inside runs; metrics carry their name",
    "ends": "MLflow knows no steps inside runs; the result of a step is a tag, which its own event sets",
    "console": "the tracker keeps no console lines, or stamps them with the time of the upload",
    "sense": "the tracker has no place for what a metric means",
    "bare": "the interface of Magnus has numbers, other values and parameters only",
    "trash": "the tracker has no trash: the run stays, and `gateway verify` says so",
    "apart": "`gateway verify` compares what a person sees of a run; this is kept where the tracker has room for it",
    "no-run": "it is about no run: deliveries, histories and streams are about runs, and pass over it",
}

RUNS = """
                  fold retold stream list  mlflow  wandb   wandb-live tensorboard trackio parquet magnus verify
run_created       +    +      +      +     +       +       +          +           +       +       +      +
run_started       +    +      +      +     +       +       +          +           +       +       +      +
run_resumed       +    +      +      +     +       +       +          +           +       +       +      +
run_reopened      +    +      +      +     +       +       +          +           +       +       bare   +
run_finished      +    +      +      +     +       +       +          +           +       +       bare   +
run_failed        +    +      +      +     +       +       +          +           +       +       bare   +
run_killed        +    +      +      +     +       +       +          +           +       +       bare   +
step_started      +    +      +      brief ends    steps   steps      steps       steps   +       bare   apart
step_finished     +    +      +      brief +       steps   steps      steps       steps   +       bare   apart
attempt_started   +    +      +      brief ends    steps   steps      steps       steps   +       bare   apart
attempt_finished  +    +      +      brief ends    steps   steps      steps       steps   +       bare   apart
heartbeat         beat beat   beat   beat  beat    beat    beat       beat        beat    beat    beat   beat
producer_closed   +    count  +      brief count   count   count      count       count   count   count  count
metrics           +    +      +      +     +       +       +          +           +       +       +      +
metric_rows       +    +      +      +     +       +       +          +           +       +       +      +
system_metrics    +    +      +      +     +       +       +          +           +       +       +      +
values            +    +      +      brief +       +       +          +           +       +       +      +
params            +    +      +      brief +       +       +          +           +       +       +      +
tags              +    +      +      +     +       +       +          +           +       +       bare   +
labels            +    +      +      brief +       +       +          +           +       +       bare   +
note              +    +      +      brief +       +       +          +           +       +       bare   +
artifact          +    +      +      brief +       +       +          +           +       +       bare   +
text              +    +      +      brief console console console    console     console +       bare   +
code              +    +      +      brief +       +       +          +           +       +       bare   apart
environment       +    +      +      brief +       +       +          +           +       +       bare   apart
deleted           +    +      +      +     +       +       +          +           +       +       bare   +
renamed           +    +      +      +     +       +       +          +           +       +       bare   +
lifecycle_stage   +    +      +      +     +       trash   trash      trash       trash   +       bare   +
moved             +    +      +      +     +       +       +          +           +       +       +      +
metric_defined    +    +      +      brief sense   +       +          sense       sense   +       bare   apart
"""

REGISTRY = """
                          fold  elsewhere
experiment_created        +     no-run
experiment_renamed        +     no-run
experiment_described      +     no-run
experiment_tags           +     no-run
experiment_deleted        +     no-run
experiment_restored       +     no-run
model_registered          +     no-run
model_renamed             +     no-run
model_described           +     no-run
model_tags                +     no-run
model_deleted             +     no-run
model_alias_set           +     no-run
model_alias_deleted       +     no-run
model_version_created     +     no-run
model_version_described   +     no-run
model_version_tags        +     no-run
model_version_stage       +     no-run
model_version_deleted     +     no-run
logged_model_created      +     no-run
logged_model_status       +     no-run
logged_model_params       +     no-run
logged_model_tags         +     no-run
logged_model_deleted      +     no-run
logged_model_artifact     +     no-run
logged_model_artifact_deleted + no-run
logged_model_metrics      +     no-run
view_saved                +     no-run
view_deleted              +     no-run
alert_rule_saved          +     no-run
alert_rule_deleted        +     no-run
"""


def table(text: str) -> dict[str, dict[str, str]]:
    """Return the cells of a table by kind and place."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {kind: dict(zip(head, cells, strict=True)) for kind, *cells in rows}


def kinds(*unions: Any) -> list[str]:
    """Return every kind of event of these unions."""
    members = [one for union in unions for one in typing.get_args(typing.get_args(union)[0])]
    return sorted(one.model_fields["kind"].default for one in members)


def column(place: str) -> dict[str, bool]:
    """Return which kinds a place handles."""
    return {kind: cells[place] == "+" for kind, cells in table(RUNS).items()}


def test_every_kind_is_decided_for_every_place() -> None:
    runs, requests = table(RUNS), table(REGISTRY)

    assert sorted(runs) == kinds(ev.AnyEvent) == sorted(places.EVENTS), "decide each cell of the new kind's row"
    assert sorted(requests) == kinds(
        ev.ExperimentEvent, ev.ModelEvent, ev.LoggedModelEvent, ev.ViewEvent, ev.AlertRuleEvent
    )
    words = {cell for cells in (*runs.values(), *requests.values()) for cell in cells.values()}
    assert words == {"+", *REASONS}


@pytest.mark.parametrize(("place", "detail"), [("stream", "all"), ("list", "last")])
def test_what_a_message_of_the_stream_says(place: str, detail: str) -> None:
    assert {kind: places.streamed(kind, detail) for kind in places.EVENTS} == column(place)


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
@pytest.mark.parametrize("place", list(places.TRACKERS))
def test_what_changes_what_a_tracker_holds(place: str, tmp_path: Path, mlflow_tables: Path) -> None:
    if place == "mlflow":
        shutil.copy(mlflow_tables, tmp_path)
    assert places.tracked(place, tmp_path, list(places.EVENTS)) == column(place)


def test_what_is_sent_to_a_live_run_of_wandb() -> None:
    assert {kind: places.uploaded(kind) for kind in places.EVENTS} == column("wandb-live")


def test_what_is_handed_to_a_tracker_of_magnus() -> None:
    assert {kind: places.handed(kind) for kind in places.EVENTS} == column("magnus")


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    opened = await open_database(database)
    await migrate(opened)
    yield opened
    await opened.close()


async def test_what_is_folded_told_again_and_compared(store: Database, tmp_path: Path) -> None:
    runs = [[*run, *event] for run, event in (places.with_event(kind, kind) for kind in places.EVENTS)]
    without = ("without", "also without", "ended")
    plain = [places.with_event(run_id, None, is_over=run_id == "ended")[0] for run_id in without]
    await places.folded(store, [*runs, *plain])

    rows = {run_id: await places.stored(store, run_id) for run_id in (*places.EVENTS, *without)}
    histories = await places.retold(store, [*places.EVENTS, *without])
    tracker = places.TRACKERS["parquet"][0](tmp_path)
    tracker.open(Settings())
    compared = {kind: await places.verified(store, tracker, kind) for kind in (*places.EVENTS, "without")}

    def changed(found: Mapping[str, str]) -> dict[str, bool]:
        base = {kind: "ended" if places.is_about_ended(kind) else "without" for kind in places.EVENTS}
        return {kind: found[kind] != found[base[kind]] for kind in places.EVENTS}

    for found in (rows, histories):
        assert found["without"] == found["also without"]
    assert not compared["without"]
    assert changed(rows) == column("fold")
    assert changed(histories) == column("retold")
    assert {kind: compared[kind] for kind in places.EVENTS} == column("verify")


def test_a_request_is_decided_and_passed_over_by_all_that_are_about_runs() -> None:
    at = 1_700_000_000_000_000
    about = {
        "experiments": Subject("experiments", "42"),
        "models": Subject("models", "digits"),
        "logged_models": Subject("logged_models", "m-1"),
        "views": Subject("views", "losses"),
        "alert_rules": Subject("alert_rules", "nan"),
    }
    first: dict[str, list[ev.RegistryEvent]] = {
        "experiments": [ev.ExperimentCreated(time=at, name="digits", tags={"old": "1"})],
        "models": [
            ev.ModelRegistered(time=at, tags={"old": "1"}),
            *(ev.ModelVersionCreated(time=at, source="s", tags={"old": "1"}) for _ in range(3)),
            ev.ModelAliasSet(time=at, alias="champion", version=1),
        ],
        "logged_models": [ev.LoggedModelCreated(time=at, experiment_id="42", name="digits")],
        "views": [ev.ViewSaved(time=at, name="losses", body={}) for _ in range(3)],
        "alert_rules": [ev.AlertRuleSaved(time=at, name="nan", body={})],
    }
    handled = {}
    for event in REQUESTS:
        family = event.kind.partition("_")[0]
        collection = next(one for one in ("logged_models", *first) if one.startswith(family))
        is_first = event.kind == first[collection][0].kind and not getattr(event, "based_on", None)
        before = [] if is_first else list(first[collection])
        before += [ev.ExperimentDeleted(time=at)] if event.kind == "experiment_restored" else []
        state = RegistryState()
        for number, one in enumerate([*before, event]):
            envelope = RegistryEnvelope(about[collection], ProducerId("p"), number, one.time, one)
            assert fold_request(state, envelope, number)
        is_kept = bool(state.changes.points)  # without a decision
        handled[event.kind] = is_kept or state.changes.decisions[-1].outcome == "done"

        made = encode(envelope)
        record = Record("log", 0, 0, made.key, made.value, tuple(made.headers), 0)
        backlog = Backlog({0: 0})
        assert (backlog.add([record]), len(backlog), to_message(record)) == (1, 0, None)

    assert handled == {kind: cells["fold"] == "+" for kind, cells in table(REGISTRY).items()}
