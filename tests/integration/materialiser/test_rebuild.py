"""`gateway rebuild` on a real broker, a real PostgreSQL and a running materialiser."""

from __future__ import annotations

import asyncio
import math
import re
import signal
from pathlib import Path

import pytest

from schemas import events as ev
from schemas.subjects import Subject
from schemas.values import FloatValue, StringValue
from schemas.wire import EncodedRecord, Envelope, ProducerId, RegistryEnvelope, encode
from tests.support.log_author import Author, write, write_records
from tests.support.materialiser_process import environment, materialiser, until_folded
from tests.support.rebuild_process import (
    SIDE,
    execute,
    facts,
    folded_rows,
    has_side,
    rebuild,
    running,
    stop_in_the_middle,
)


def training(run_id: str, *, points: int = 1_500) -> list[Envelope]:
    """Return a run with several chunks, values that are not numbers, a rename and deletes."""
    author = Author(run_id)
    values = [math.nan if i == 100 else -0.0 if i == 101 else 1 / (i + 1) for i in range(points)]
    envelopes = [author.start(name="a run", tag="digits")]
    settings = {"lr": FloatValue(value=0.1), "opt": StringValue(value="adam"), "old": FloatValue(value=1.0)}
    envelopes.append(author.envelope(ev.Params(time=author.now(), params=settings)))
    envelopes.append(author.envelope(ev.Tags(time=author.now(), tags={"who": "ada", "gone": "soon"})))
    for first in range(0, points, 70):
        envelopes.append(author.metrics("loss", values[first : first + 70], first_step=first))
    envelopes.append(author.metrics("scratch", [1.0, 2.0]))
    envelopes.append(author.envelope(ev.Deleted(time=author.now(), what="series", name="scratch")))
    envelopes.append(author.envelope(ev.Deleted(time=author.now(), what="tag", name="gone")))
    envelopes.append(author.envelope(ev.Renamed(time=author.now(), what="param", old="old", new="new")))
    envelopes.append(author.envelope(ev.Moved(time=author.now(), experiment_id="7", tag="letters")))
    envelopes.append(author.envelope(ev.LifecycleStage(time=author.now(), stage="deleted")))
    envelopes.append(
        author.envelope(ev.ConsoleText(time=author.now(), stream="stdout", lines=["a"], times=[author.time]))
    )
    envelopes.append(author.envelope(ev.MetricDefined(time=author.now(), name="loss", goal="min", x="epoch")))
    envelopes.append(author.finish())
    return envelopes


def saved() -> list[EncodedRecord]:
    """Return requests that save, change, refuse and delete views and rules; one is there twice."""
    body = {"z": [1, -0.0, 1e300, None], "a": {"é": "\\"}}
    asked: list[tuple[str, ev.RegistryEvent]] = [
        ("views", ev.ViewSaved(time=1, name="one", body=body, author="ada")),
        ("views", ev.ViewSaved(time=2, name="two", body={}, based_on=1)),
        ("views", ev.ViewSaved(time=3, name="late", body={}, based_on=1)),
        ("alert_rules", ev.AlertRuleSaved(time=4, name="nan", body=body, enabled=False)),
        ("alert_rules", ev.AlertRuleDeleted(time=5)),
    ]
    records = [
        encode(RegistryEnvelope(Subject(collection, "x"), ProducerId(f"p{number}"), 0, number, event))  # type: ignore[arg-type]  # a name of the contract
        for number, (collection, event) in enumerate(asked)
    ]
    return [*records, records[0]]


def as_written(run_ids: list[str]) -> list[EncodedRecord]:
    """Return the records of these runs interleaved, some of them twice, with an unreadable one in between."""
    runs = [[encode(envelope) for envelope in training(run_id)] for run_id in run_ids]
    records: list[EncodedRecord] = []
    for envelopes in zip(*runs, strict=True):
        records += envelopes
    records[9:9] = records[3:7]
    records.insert(20, records[5]._replace(value=b'{"kind": "metrics", "trunc'))
    return [*records, *saved()]


async def test_a_check_folds_the_log_again_and_finds_the_live_tables_equal(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    records = as_written(["r1", "r2", "r3"])
    variables = environment(kafka, topic, database, batch_records="17")
    await write_records(kafka, topic, records)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(records))
    before = await folded_rows(database)

    done = await asyncio.to_thread(rebuild, variables, "--check", "--json")

    found = facts(done)
    assert (done.returncode, found["equal"], found["first_difference"]) == (0, True, None), done.stderr
    assert (found["records"], found["points"]) == (len(records), 3 * 1_502)
    assert found["tables"]["runs"] == {"live": 3, "rebuilt": 3, "different": 0}
    assert found["tables"]["dead_letters"]["rebuilt"] == 1
    versions, decisions = (found["tables"][name]["rebuilt"] for name in ("saved_versions", "decisions"))
    assert (versions, decisions, found["tables"]["metric_definitions"]["rebuilt"]) == (3, 5, 3)
    assert set(found["tables"]) >= {"runs", "producers", "series", "chunks", "params", "tags", "console_lines"}
    assert await folded_rows(database) == before
    assert not await has_side(database)


async def test_a_rebuild_switches_and_the_worker_continues_without_a_restart(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    first, second = as_written(["r1", "r2"]), [encode(envelope) for envelope in training("r3")]
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables) as worker:
        await write_records(kafka, topic, first)
        await until_folded(database, topic, len(first))
        before = await folded_rows(database)
        done = await asyncio.to_thread(rebuild, variables, "--json")
        after = await folded_rows(database)
        await write_records(kafka, topic, second)
        await until_folded(database, topic, len(first) + len(second))
        assert worker.process.poll() is None
    checked = await asyncio.to_thread(rebuild, variables, "--check")

    assert (done.returncode, facts(done)["switched"], facts(done)["records"]) == (0, True, len(first))
    assert after == before
    assert not await has_side(database)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Equal: " in checked.stdout


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "UPDATE series SET max_value = 2 WHERE run_id = 'r2' AND name = 'loss'",
            r"First difference: series, row series_id=[0-9a-f-]{36}, column max_value: live 2, rebuilt 1$",
        ),
        (
            "UPDATE chunks SET point_values[102] = 0.0 WHERE point_values[102] = '-0.0'",
            r"First difference: chunks, row .*, column point_values: live .*,NaN,0,.*, rebuilt .*,NaN,-0,.*",
        ),
        (
            "DELETE FROM chunks WHERE first_index = 0 AND points >= 500",
            r"First difference: chunks, row series_id=[0-9a-f-]{36}, first_index=0, month=202311: "
            r"the live table has no such row$",
        ),
        (
            "INSERT INTO tags VALUES ('r1', 'by', 'hand')",
            r"First difference: tags, row run_id=r1, name=by: the log has no such row$",
        ),
    ],
    ids=["a cell", "the sign of zero", "a deleted chunk", "a row too many"],
)
async def test_a_check_names_the_first_difference_and_a_rebuild_repairs_it(
    kafka: str, topic: str, database: str, tmp_path: Path, damage: str, message: str
) -> None:
    records = [encode(envelope) for run_id in ("r1", "r2") for envelope in training(run_id)]
    variables = environment(kafka, topic, database)
    await write_records(kafka, topic, records)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(records))
    whole = await folded_rows(database)
    await execute(database, damage)

    checked = await asyncio.to_thread(rebuild, variables, "--check")
    mended = await asyncio.to_thread(rebuild, variables, "--json")

    assert checked.returncode == 1, checked.stderr
    assert re.match(message, checked.stdout.splitlines()[0]), checked.stdout
    assert (facts(mended)["switched"], facts(mended)["records"]) == (True, 0), "it continues after the check"
    assert await folded_rows(database) == whole


async def test_a_running_worker_discards_its_rows_of_damaged_tables_at_the_switch(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    records = [encode(envelope) for envelope in training("r1")]
    variables = environment(kafka, topic, database)
    await write_records(kafka, topic, records[:9])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 9)
    await execute(database, "UPDATE runs SET name = 'damaged'")
    with materialiser(tmp_path, variables) as worker:
        await write_records(kafka, topic, records[9:10])
        await until_folded(database, topic, 10)  # now the worker holds the damaged row in memory
        done = await asyncio.to_thread(rebuild, variables)
        await write_records(kafka, topic, records[10:])
        await until_folded(database, topic, len(records))
        assert worker.process.poll() is None

    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in await execute(database, "SELECT name FROM runs")] == ["a run"]
    assert (await asyncio.to_thread(rebuild, variables, "--check")).returncode == 0


async def many_edits(kafka: str, topic: str, run_id: str, *, count: int = 800) -> int:
    """Write a run of `count` edits, each a transaction of its own, so that folding takes seconds."""
    author = Author(run_id)
    envelopes = [author.start(name="edited")]
    for number in range(count // 2):
        envelopes.append(author.envelope(ev.Tags(time=author.now(), tags={f"t{number}": "x"})))
        envelopes.append(author.envelope(ev.Deleted(time=author.now(), what="tag", name=f"t{number - 1}")))
    await write(kafka, topic, envelopes)
    return len(envelopes)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_an_interrupted_rebuild_resumes_where_it_stopped(
    kafka: str, topic: str, database: str, tmp_path: Path, how: signal.Signals
) -> None:
    records = await many_edits(kafka, topic, "r1") + len(training("r2"))
    await write(kafka, topic, training("r2"))
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, records)
    whole = await folded_rows(database)
    with running(variables) as first:
        done = await stop_in_the_middle(database, first, records)
        first.process.send_signal(how)
        first.process.send_signal(signal.SIGCONT)
        status, _, message = first.end()
    assert await folded_rows(database) == whole, "nothing is switched before its time"

    second = await asyncio.to_thread(rebuild, variables, "--json")

    assert status == (130 if how == signal.SIGINT else -how)
    assert ("resumes where this one stopped" in message) == (how == signal.SIGINT)
    assert 0 < facts(second)["records"] <= records - done
    assert await folded_rows(database) == whole


async def test_a_restart_starts_from_scratch(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    records = await many_edits(kafka, topic, "r1")
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, records)
    with running(variables, "--check") as first:
        await stop_in_the_middle(database, first, records)
    await execute(database, f"UPDATE {SIDE}.tags SET value = 'damaged'")

    done = await asyncio.to_thread(rebuild, variables, "--restart", "--check", "--json")

    assert (done.returncode, facts(done)["records"]) == (0, records), done.stderr
