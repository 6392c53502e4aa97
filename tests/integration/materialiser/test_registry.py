"""Requests about experiments and models: decided once, in the order of the log, whatever is cut, killed or repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.pool import Database
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope, encode
from tests.support.log_author import START, Author, producer, write_records
from tests.support.materialiser_process import dump, environment, materialiser, until_folded
from tests.support.rebuild_process import execute, rebuild

TABLES = (
    "experiments", "experiment_names", "models", "model_versions", "model_aliases", "logged_models",
    "logged_model_points", "logged_model_artifacts", "decisions",
)  # fmt: skip


def request(number: int, subject: Subject, event: ev.RegistryEvent) -> RegistryEnvelope:
    return RegistryEnvelope(subject, ProducerId(f"p{number}"), 0, event.time, event)


def requests(count: int, seed: int) -> list[RegistryEnvelope]:
    """Return requests that often meet each other; some of them twice."""
    dice = random.Random(seed)
    found: list[RegistryEnvelope] = []
    for number in range(count):
        at, name, version = START + number, dice.choice("abc"), dice.randint(1, 5)
        about: Subject
        if dice.random() < 0.4:
            about = Subject("experiments", dice.choice("123"))
            events: list[ev.RegistryEvent] = [
                ev.ExperimentCreated(time=at, name=name, tags={"a": str(number)}),
                ev.ExperimentRenamed(time=at, name=name),
                ev.ExperimentTags(time=at, tags={"a": None, name: str(number)}),
                ev.ExperimentDeleted(time=at),
                ev.ExperimentRestored(time=at),
            ]
        elif dice.random() < 0.5:
            about, events = logged_model(dice, at, name)
        else:
            about = Subject("models", dice.choice("abc"))
            events = [
                ev.ModelRegistered(time=at),
                ev.ModelRenamed(time=at, name=name),
                ev.ModelDeleted(time=at),
                ev.ModelVersionCreated(time=at, source=f"s{number}", register_model=dice.random() < 0.5),
                ev.ModelVersionCreated(time=at, source=f"s{number}"),
                ev.ModelVersionCreated(time=at, source=f"s{number}"),
                ev.ModelVersionStage(time=at, version=version, stage="Production", archive_existing=True),
                ev.ModelVersionTags(time=at, version=version, tags={"a": str(number)}),
                ev.ModelVersionDeleted(time=at, version=version),
                ev.ModelAliasSet(time=at, alias=name, version=version),
                ev.ModelAliasDeleted(time=at, alias=name),
            ]
        found.append(request(number, about, dice.choice(events)))
        if dice.random() < 0.1:
            found.append(dice.choice(found))
    return found


def logged_model(dice: random.Random, at: int, name: str) -> tuple[Subject, list[ev.RegistryEvent]]:
    """Return requests about a logged model; some of its points are equal to others but for their value."""
    point = ev.ModelPoint(name=name, value=at, time=START, step=dice.randint(0, 3), run_id=dice.choice("xy"))
    created = ev.LoggedModelCreated(time=at, experiment_id="1", name=name, params={"depth": str(at)})
    path = f"{name}/{dice.choice('abc')}"
    return Subject("logged_models", dice.choice("mn")), [
        created,
        created,
        ev.LoggedModelStatus(time=at, status="ready"),
        ev.LoggedModelParams(time=at, params={name: str(at)}),
        ev.LoggedModelTags(time=at, tags={"a": None, name: str(at)}),
        ev.LoggedModelDeleted(time=at),
        ev.LoggedModelArtifact(time=at, path=path, uri=str(at), size=1, sha256="0" * 64),
        ev.LoggedModelArtifact(time=at, path=path, uri=str(at), size=2, sha256="1" * 64),
        ev.LoggedModelArtifactDeleted(time=at, path=name),
        ev.LoggedModelMetrics(time=at, metrics=[point, point.model_copy(update={"value": float("nan")})]),
        ev.LoggedModelMetrics(time=at, metrics=[point]),
    ]


def record(offset: int, envelope: Envelope | RegistryEnvelope) -> Record:
    made = encode(envelope)
    return Record("log", 0, offset, made.key, made.value, tuple(made.headers), 0)


async def fold(store: Database, records: Sequence[Record], cuts: Sequence[int]) -> None:
    worker = Worker(store, "log")
    await worker.assign([0])
    for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        await worker.apply(records[start:end])


async def test_requests_are_decided_alike_however_they_are_cut_into_batches(store: Database, database: str) -> None:
    found: list[dict[str, list[str]]] = []
    for seed in range(4):
        dice = random.Random(seed)
        records = [record(offset, envelope) for offset, envelope in enumerate(requests(200, seed))]
        for cuts in (range(1, len(records)), sorted(dice.sample(range(1, len(records)), 12)), []):
            async with store.acquire() as connection:
                await connection.execute(f"TRUNCATE {', '.join(TABLES)}, consumer_offsets, run_partitions")
            await fold(store, records, list(cuts))
            found.append(await dump(database))
        one_by_one, cut, whole = found[-3:]
        assert cut == one_by_one
        assert whole == one_by_one
        assert all(one_by_one[table] for table in TABLES if table != "model_aliases")


async def test_requests_among_the_records_of_runs_are_folded_with_them(store: Database, database: str) -> None:
    author = Author("run")
    mixed: list[Envelope | RegistryEnvelope] = [
        author.start(tag="digits"),
        request(1, Subject("experiments", "1"), ev.ExperimentCreated(time=START, name="digits")),
        author.metrics("loss", [0.5]),
        author.envelope(ev.Deleted(time=START, what="series", name="loss")),
        request(2, Subject("models", "digits"), ev.ModelRegistered(time=START)),
        author.finish(),
    ]
    await fold(store, [record(offset, envelope) for offset, envelope in enumerate(mixed)], [])

    (run,) = await execute(database, "SELECT state, points FROM runs")
    decided = await execute(database, "SELECT outcome FROM decisions")
    assert (tuple(run), [row["outcome"] for row in decided]) == (("finished", 1), ["done", "done"])


async def test_requests_in_another_partition_of_a_topic_that_grew_come_after_the_earlier_ones(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    experiment, model = Subject("experiments", "1"), Subject("models", "digits")
    asked: list[list[tuple[int, RegistryEnvelope]]] = [
        [
            (0, request(1, experiment, ev.ExperimentCreated(time=START, name="digits"))),
            (1, request(2, model, ev.ModelVersionCreated(time=START, source="a", register_model=True))),
        ],
        [
            (1, request(3, Subject("experiments", "2"), ev.ExperimentCreated(time=START, name="digits"))),
            (0, request(4, model, ev.ModelVersionCreated(time=START, source="b"))),
            (1, request(5, experiment, ev.ExperimentRenamed(time=START, name="letters"))),
        ],
    ]
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        for part, records in zip(asked, (2, 8), strict=True):  # the second part has three copies
            async with producer(kafka) as sender:
                for partition, one in part:
                    made = encode(one)
                    await sender.send_and_wait(
                        topic, made.value, made.key, partition=partition, headers=list(made.headers)
                    )
            await until_folded(database, topic, records)
        checked = await asyncio.to_thread(rebuild, variables, "--check")

    found = await execute(
        database, "SELECT producer, outcome, result ->> 'version' AS version FROM decisions ORDER BY 1"
    )
    assert [tuple(row) for row in found] == [
        ("p1", "done", None), ("p2", "done", "1"), ("p3", "exists", None), ("p4", "done", "2"), ("p5", "done", None),
    ]  # fmt: skip
    claimed = await execute(database, "SELECT run_id, partition FROM run_partitions ORDER BY 1")
    assert [tuple(row) for row in claimed] == [("/experiments", 0), ("/models", 1)]
    assert checked.returncode == 0, checked.stderr


async def test_killed_again_and_again_two_askers_learn_the_same_and_a_rebuild_agrees(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    asked = requests(120, 9)
    with materialiser(tmp_path, variables) as worker:
        await write_records(kafka, topic, map(encode, asked[:10]))
        await until_folded(database, topic, 10)
        await write_records(kafka, topic, map(encode, asked[10:60]))
        worker.kill()
    with materialiser(tmp_path, variables):
        # Two processes at once, each with a request for every name of the other.
        rivals = [
            [
                RegistryEnvelope(
                    Subject("experiments", f"{who}-{number}"),
                    ProducerId(f"{who}-{number}"),
                    0,
                    START,
                    ev.ExperimentCreated(time=START, name=f"rival {number}"),
                )
                for number in range(20)
            ]
            for who in ("left", "right")
        ]
        await asyncio.gather(
            *(write_records(kafka, topic, map(encode, one)) for one in rivals),
            write_records(kafka, topic, map(encode, asked[60:])),
        )
        await until_folded(database, topic, len(asked) + 40)
        checked = await asyncio.to_thread(rebuild, variables, "--check")
        rebuilt = await asyncio.to_thread(rebuild, variables)

    decisions = await execute(
        database, "SELECT outcome, result->>'experiment_id' AS owner, result->>'name' AS name FROM decisions "
        "WHERE result->>'name' LIKE 'rival%' ORDER BY name, outcome"
    )  # fmt: skip
    assert (checked.returncode, rebuilt.returncode) == (0, 0), checked.stderr + rebuilt.stderr
    assert [row["outcome"] for row in decisions] == ["done", "exists"] * 20
    assert all(won["owner"] == lost["owner"] for won, lost in zip(decisions[::2], decisions[1::2], strict=True))
    (count,) = await execute(database, "SELECT count(*) AS decided FROM decisions")
    points = ev.LoggedModelMetrics  # need no decision
    assert count["decided"] == len({one.producer for one in asked if not isinstance(one.event, points)}) + 40
