"""
Every kind of event and every place that reads events: what a place does with each kind, and whether that is so.

The places are real: the fold and the history on PostgreSQL, the messages of the stream, each tracker in a folder of its
own, and the comparison of `gateway verify`. A kind is handled by a place if one event of it, after the same run without
it, changes what the place holds.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.delivery.backfill.history_events import run_events
from consumers.delivery.verify.compare import findings
from consumers.delivery.verify.read_back import read_store, read_tracker
from consumers.live.stream.messages import Message
from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.store.delivery.history import Histories, IncompleteRun
from consumers.store.pool import Database
from consumers.store.read.reader import StoreReader
from consumers.trackers.edits import find_run_deletion
from consumers.trackers.magnus.translate import calls, fold_tag
from consumers.trackers.mlflow.tracker import MlflowTracker
from consumers.trackers.parquet.tracker import ParquetTracker
from consumers.trackers.protocol import Tracker, capabilities_of
from consumers.trackers.tensorboard.tracker import TensorboardTracker
from consumers.trackers.testing.checks import deliver
from consumers.trackers.testing.runs import RunAuthor
from consumers.trackers.trackio.tracker import TrackioTracker
from consumers.trackers.wandb.live.translate import translate as translate_live
from consumers.trackers.wandb.tracker import WandbTracker
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import FloatValue, JsonValue, StringValue
from schemas.wire import Envelope, encode

TOPIC, FOLDER = "log", "materialiser"
LOST = 1_000_000  # offset at which the log begins, for a tracker that gets its runs from PostgreSQL
AT = 1_500_000_001_000_000  # µs, after everything else in the run
TABLES = (
    "runs", "steps", "attempts", "params", "tags", "run_labels", "artifacts", "code_identities", "observations",
    "console_lines", "series", "producers", "edits", "metric_definitions",
)  # fmt: skip
# Which every event moves: the position in the log, the number of records, the time of the last one.
MOVED = ("run_id", "next_offset", "first_offset", "next_seq", "series_id", "updated", "log_offset")


def _series(name: str) -> list[ev.Series]:
    return [ev.Series(name=name, steps=array("q", [9]), times=array("q", [AT]), values=array("d", [0.75]))]


# One event of each kind about a run; it says something that the run of `before` does not.
EVENTS: dict[str, ev.AnyEvent] = {
    event.kind: event
    for event in (
        ev.RunCreated(time=AT, name="other"),
        ev.RunStarted(time=AT, name="other"),
        ev.RunResumed(time=AT, attempt=2, name="other"),
        ev.RunReopened(time=AT),
        ev.RunFinished(time=AT, message="done"),
        ev.RunFailed(time=AT, message="ValueError"),
        ev.RunKilled(time=AT, message="SIGTERM"),
        ev.StepStarted(time=AT, step_name="test"),
        ev.StepFinished(time=AT, step_name="train", message="done"),
        ev.AttemptStarted(time=AT, step_name="train", attempt=2),
        ev.AttemptFinished(time=AT, step_name="train", status="fail"),
        ev.Heartbeat(time=AT),
        ev.ProducerClosed(time=AT, batches=12, points=3),
        ev.Metrics(time=AT, series=_series("loss")),
        ev.MetricRows(
            time=AT,
            names=("loss", "layer/grad"),
            steps=array("q", [7]),
            times=array("q", [AT]),
            values=[array("d", [0.25, 0.5])],
        ),
        ev.SystemMetrics(time=AT, series=_series("system/cpu")),
        ev.Values(time=AT, values=[ev.Observation(name="remark", time=AT, value=StringValue(value="seen"))]),
        ev.Params(time=AT, params={"seed": FloatValue(value=7.0)}),
        ev.Tags(time=AT, tags={"team": "speech"}),
        ev.RunLabels(time=AT, labels={"format": JsonValue(value={"digits": 2})}),
        ev.Note(time=AT, text="looks good"),
        ev.Artifact(time=AT, name="model.pt", uri="s3://bucket/model.pt", size=5),
        ev.ConsoleText(time=AT, lines=["epoch 1"], times=array("q", [AT])),
        ev.CodeIdentity(time=AT, code_identifier="0b62e4c661a4"),
        ev.Environment(time=AT, values={"host": StringValue(value="node1")}),
        ev.Deleted(time=AT, what="run"),
        ev.Renamed(time=AT, what="run", new="other"),
        ev.LifecycleStage(time=AT, stage="deleted"),
        ev.Moved(time=AT, experiment_id="7", tag="letters"),
        ev.MetricDefined(time=AT, name="loss", goal="min", unit="nat", panel="losses"),
    )
}


def before(run_id: str, *, is_over: bool = False) -> tuple[RunAuthor, list[Envelope]]:
    """Return a run to which each kind has something to add, and its author."""
    author = RunAuthor(run_id)
    end = [ev.RunFailed(time=AT - 1, message="ValueError")] if is_over else []
    return author, [
        author.start(name="first", tag="digits"),
        author.params(lr=0.1),
        author.tags(team="vision"),
        author.metrics("loss", [0.5]),
        author.envelope(ev.StepStarted(time=author.now(), step_name="train")),
        *map(author.envelope, end),
    ]


def is_about_ended(kind: str | None) -> bool:
    """Return whether a kind has something to add only to a run that has ended."""
    return kind == "run_reopened"


def with_event(run_id: str, kind: str | None, *, is_over: bool = False) -> tuple[list[Envelope], list[Envelope]]:
    """Return the run, and the event of this kind that follows; without one for None."""
    author, envelopes = before(run_id, is_over=is_over or is_about_ended(kind))
    return envelopes, [] if kind is None else [author.envelope(EVENTS[kind])]


# Places without a server.


def streamed(kind: str, detail: Any) -> bool:
    """Return whether a message of the stream says more of an event than that it happened."""
    (envelope,) = with_event("r", kind)[1]
    said = Message(envelope, 0, 0, 0).document(detail)
    return bool(said.keys() - {"run_id", "kind", "partition", "offset", "producer", "seq", "time"})


def _dumped(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


def _files(folder: Path) -> str:
    return repr([(path, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()])


def _databases(folder: Path) -> str:
    return repr([(path.name, _dumped(path)) for path in sorted(folder.rglob("*.db"))])


TRACKERS: dict[str, tuple[Callable[[Path], Tracker], Callable[[Path], str]]] = {
    "mlflow": (lambda folder: MlflowTracker(url=f"sqlite:///{folder}/mlflow.db"), _databases),
    "wandb": (lambda folder: WandbTracker(folder=str(folder)), _files),
    "tensorboard": (lambda folder: TensorboardTracker(folder=str(folder)), _files),
    "trackio": (lambda folder: TrackioTracker(folder=str(folder)), _databases),
    "parquet": (lambda folder: ParquetTracker(folder=str(folder)), _files),
}


def tracked(tracker_name: str, folder: Path, kinds: Sequence[str]) -> dict[str, bool]:
    """Return for each kind whether its event changes what a tracker holds."""
    make, contents = TRACKERS[tracker_name]
    tracker = make(folder)
    tracker.open(Settings())
    found = {}
    for kind in kinds:
        envelopes, event = with_event(kind, kind)
        state = deliver(tracker, kind, envelopes, {})
        held = contents(folder)
        deliver(tracker, kind, event, state)
        found[kind] = contents(folder) != held
    tracker.close()
    return found


def uploaded(kind: str) -> bool:
    """Return whether an event adds anything to a live run of W&B, which its server would get, or deletes it there."""
    envelopes, event = with_event("r", kind)
    if find_run_deletion(event) is not None:
        return True
    state = translate_live("r", envelopes, {}, "p").state
    return not translate_live("r", event, state, "p").is_empty(state)


def handed(kind: str) -> bool:
    """Return whether a tracker of Magnus is called for an event, or finds it in its context: the tag."""
    (envelope,) = with_event("r", kind)[1]
    event = envelope.event.model_copy(update={"tag": "letters"})
    return bool([*calls(envelope)]) or fold_tag("", [event]) == "letters"


# Places on PostgreSQL.


async def folded(store: Database, runs: Sequence[Sequence[Envelope]]) -> None:
    """Fold these runs into an empty store, in one log."""
    worker, offset = Worker(store, TOPIC), 0
    await worker.assign([0])
    for envelopes in runs:
        for envelope in envelopes:
            made = encode(envelope)
            await worker.apply([Record(TOPIC, 0, offset, made.key, made.value, tuple(made.headers), 0)])
            offset += 1


async def stored(store: Database, run_id: str) -> str:
    """Return all rows of a run, without what every event moves."""
    found: list[Any] = []
    async with store.acquire() as connection:
        for table in TABLES:
            rows = await connection.fetch(f"SELECT * FROM {table} WHERE run_id = $1", run_id)
            plain = [{name: str(value) for name, value in row.items() if name not in MOVED} for row in rows]
            found.append((table, sorted(map(repr, plain))))
    return repr(found)


async def retold(store: Database, run_ids: Sequence[str]) -> dict[str, str]:
    """Return the histories of these runs that a tracker would get from PostgreSQL."""
    histories, found = Histories(store, "t", TOPIC, FOLDER), {}
    await histories.claim({0: 0}, {0: LOST})
    for run_id in run_ids:
        lost = IncompleteRun(run_id, 0, is_begun=False, is_dropped=False)
        frozen = await histories.freeze(lost, 0, lambda rows, _: run_events(rows))
        assert frozen is not None
        found[run_id] = json.dumps(await histories.read(run_id, 0, 1_000))
    return found


async def verified(store: Database, tracker: Tracker, kind: str) -> bool:
    """Return whether `gateway verify` says that a tracker lacks the event, if it has the run without it."""
    state = deliver(tracker, kind, before(kind, is_over=is_about_ended(kind))[1], {})
    reader = StoreReader(store)
    async with reader.snapshot() as now:
        summary = (await now.summaries([kind])).get(kind)
    expected = (await read_store(reader, kind, summary, {})).facts
    if summary is None:
        return True
    held = read_tracker(tracker, kind, Checkpoint(state=state))
    return any(findings("t", expected, held, capabilities_of(tracker)))
