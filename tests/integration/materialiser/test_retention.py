"""`gateway retention`: points of old months are dropped; everything else stays, reports it, and can be verified."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from consumers.store.read.reader import StoreReader
from schemas import events as ev
from schemas.wire import Envelope
from tests.support.gateway_command import gateway_with
from tests.support.log_author import Author, write
from tests.support.materialiser_process import environment, materialiser, reading, until, until_complete, until_folded
from tests.support.process_tree import until as until_true
from tests.support.rebuild_process import execute, facts, folded_rows, rebuild, running


def instant(year: int, month: int, day: int = 10) -> int:
    """Return µs."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


JUNE, JULY, AUGUST = (instant(2026, month) for month in (6, 7, 8))


def training(run_id: str, time: int, *, points: int = 1_500) -> list[Envelope]:
    """Return a run of the month of `time`: two chunks and a remainder."""
    author = Author(run_id, time=time)
    envelopes = [author.start(name=run_id)]
    envelopes += [
        author.metrics("loss", [1 / (step + 1) for step in range(first, first + 100)], first_step=first)
        for first in range(0, points, 100)
    ]
    closed = ev.ProducerClosed(time=author.now(), batches=len(envelopes) + 2, points=points)
    return [*envelopes, author.finish(), author.envelope(closed)]


def retention(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in variables.items() if name.startswith("GATEWAY_")}
    return gateway_with(settings, "retention", *arguments)


async def dropped(variables: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = await asyncio.to_thread(retention, variables, "drop", "--yes", "--json", *arguments)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def shown(variables: dict[str, str]) -> dict[str, dict[str, Any]]:
    done = await asyncio.to_thread(retention, variables, "show", "--json")
    assert done.returncode == 0, done.stderr
    return {month["month"]: month for month in json.loads(done.stdout)["months"]}


async def points_by_run(database: str) -> dict[str, int]:
    rows = await execute(database, "SELECT run_id, count(*) FROM metric_points GROUP BY 1")
    return {row[0]: row[1] for row in rows}


async def without_points(database: str) -> dict[str, list[str]]:
    """Return every row that comes from the log and is not a point."""
    return {name: rows for name, rows in (await folded_rows(database)).items() if not name.startswith("chunks")}


async def fold_three_months(kafka: str, topic: str, database: str, folder: Path, *more: Envelope) -> dict[str, str]:
    """Fold a run each of June, July and August."""
    envelopes = [*more, *(envelope for time in (JUNE, JULY, AUGUST) for envelope in training(f"r-{time}", time))]
    variables = environment(kafka, topic, database)
    await write(kafka, topic, envelopes)
    with materialiser(folder, variables):
        await until_folded(database, topic, len(envelopes))
    return variables


async def test_a_drop_takes_the_points_of_old_months_and_leaves_every_other_row(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = await fold_three_months(kafka, topic, database, tmp_path)
    before, whole = await shown(variables), await without_points(database)
    planned = json.loads(
        (await asyncio.to_thread(retention, variables, "drop", "--before", "2026-08", "--dry-run", "--json")).stdout
    )
    untouched = await points_by_run(database)

    done = await dropped(variables, "--before", "2026-08")

    after = await shown(variables)
    kept = {month: (one["kept"], one["runs"], one["points"]) for month, one in before.items()}
    assert kept == dict.fromkeys(("2026-08", "2026-07", "2026-06"), (True, 1, 1_500))
    assert untouched == {f"r-{time}": 1_500 for time in (JUNE, JULY, AUGUST)}
    assert [one["month"] for one in planned["dropped"]] == ["2026-06", "2026-07"]
    assert [(one["month"], one["points"]) for one in done["dropped"]] == [("2026-06", 1_500), ("2026-07", 1_500)]
    assert await points_by_run(database) == {f"r-{AUGUST}": 1_500}
    assert {month: one["kept"] for month, one in after.items()} == {
        "2026-08": True, "2026-07": False, "2026-06": False,
    }  # fmt: skip
    assert after["2026-06"]["bytes"] == before["2026-06"]["bytes"] > 1_500 * 24
    assert after["2026-06"]["dropped"] is not None
    now = await without_points(database)
    assert len(now.pop("retention_dropped")) == 2
    assert now == {name: rows for name, rows in whole.items() if name != "retention_dropped"}


async def test_readers_learn_that_the_points_were_dropped_and_what_stays(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = await fold_three_months(kafka, topic, database, tmp_path)
    await dropped(variables, "--before", "2026-08")

    async with reading(database) as store:
        old, new = await store.run_log(f"r-{JUNE}"), await store.run_log(f"r-{AUGUST}")
        page = await store.series(f"r-{JUNE}")
        summaries = {run.run_id: run for run in await store.runs()}
        counts = await store.dropped_counts(f"r-{JUNE}"), await store.dropped_counts(f"r-{AUGUST}")

    assert old is not None
    assert new is not None
    assert page is not None
    assert old.points_dropped is not None
    assert old.points_dropped.startswith("20")
    assert old.steps["main"].user_defined_metrics == {"loss": {"1499": 1 / 1_500}}
    assert old.shortened == {"loss": 1_500}
    assert [(part.received, part.expected, part.missing) for part in old.completeness] == [(18, 18, [])]
    assert (new.points_dropped, new.shortened) == (None, {})
    (series,) = page.series
    assert page.points_dropped is not None
    assert (series.points, series.count, series.last_step, series.min, series.max) == ([], 1_500, 1_499, 1 / 1_500, 1.0)
    assert summaries[f"r-{JUNE}"].points_dropped == page.points_dropped
    assert (summaries[f"r-{AUGUST}"].points_dropped, summaries[f"r-{JUNE}"].last) == (None, {"loss": 1 / 1_500})
    assert counts == ({"loss": 1_500}, None)
    overview = await execute(database, "SELECT run_id FROM runs_overview WHERE points_dropped IS NOT NULL ORDER BY 1")
    assert [row[0] for row in overview] == [f"r-{JUNE}", f"r-{JULY}"]


async def test_a_rebuild_leaves_out_what_was_dropped_and_is_equal_byte_for_byte(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    long = Author("long", time=JUNE)  # enough points for a summary of chunks
    points = [long.metrics("loss", [0.5] * 1_000, first_step=first) for first in range(0, 66_000, 1_000)]
    variables = await fold_three_months(kafka, topic, database, tmp_path, long.start(), *points)
    before = await asyncio.to_thread(rebuild, variables, "--check", "--json")
    await dropped(variables, "--before", "2026-07")
    live = await folded_rows(database)

    checked = await asyncio.to_thread(rebuild, variables, "--check", "--json")
    switched = await asyncio.to_thread(rebuild, variables, "--json")
    await dropped(variables, "--before", "2026-08")  # also from the tables that a rebuild made
    again = await asyncio.to_thread(rebuild, variables, "--check", "--json")

    chunks = [facts(done)["tables"]["chunks"] for done in (before, checked, again)]
    assert [(one["rebuilt"], one["different"]) for one in chunks] == [(one["live"], 0) for one in chunks]
    assert chunks[0]["live"] > chunks[1]["live"] > chunks[2]["live"] > 0
    groups = [facts(done)["tables"]["chunk_groups"] for done in (before, checked, again)]
    assert [(one["live"], one["rebuilt"], one["different"]) for one in groups] == [(1, 1, 0), (0, 0, 0), (0, 0, 0)]
    assert (before.returncode, checked.returncode, again.returncode) == (0, 0, 0), checked.stdout + again.stdout
    assert facts(switched)["switched"] is True
    assert {name: rows for name, rows in live.items() if name == "runs"}
    assert await points_by_run(database) == {f"r-{AUGUST}": 1_500}


async def test_a_month_dropped_after_a_rebuild_was_interrupted_is_left_out_when_it_resumes(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = await fold_three_months(kafka, topic, database, tmp_path)
    await execute(database, "INSERT INTO tags VALUES ('r1', 'by', 'hand')")
    differs = await asyncio.to_thread(rebuild, variables, "--check")  # keeps its tables for the next one
    await dropped(variables, "--before", "2026-08")

    done = await asyncio.to_thread(rebuild, variables, "--json")

    assert differs.returncode == 1
    assert (done.returncode, facts(done)["records"]) == (0, 0), done.stderr
    assert await points_by_run(database) == {f"r-{AUGUST}": 1_500}
    assert (await asyncio.to_thread(rebuild, variables, "--check")).returncode == 0


@pytest.mark.parametrize("restarted", [True, False], ids=["a new worker", "the same worker"])
async def test_late_points_of_a_dropped_month_are_counted_and_summed_up_and_not_kept(
    kafka: str, topic: str, database: str, tmp_path: Path, restarted: bool
) -> None:
    author = Author("old", time=JUNE)
    first = [author.start(), author.metrics("loss", [float(step) for step in range(700)])]
    late = [
        author.metrics("loss", [float(step) for step in range(700, 1_600)], first_step=700),
        author.metrics("loss", [-5.0], first_step=1_600),
        author.metrics("other", [1.0, 2.0]),
        author.finish(),
        *training("new", JUNE, points=300),  # a run that was unknown until now
        *training("august", AUGUST, points=300),
    ]
    variables = environment(kafka, topic, database)
    await write(kafka, topic, first)
    with materialiser(tmp_path, variables) as worker:
        await until_folded(database, topic, len(first))
        if restarted:
            worker.kill()
        await dropped(variables, "--before", "2026-07")
        await write(kafka, topic, late)
        if not restarted:
            await until_folded(database, topic, len(first) + len(late))
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(first) + len(late))

    months = await shown(variables)
    rows = await execute(
        database,
        "SELECT run_id, name, points, open_index, min_value, max_value, last_value FROM series ORDER BY run_id, name",
    )
    assert (months["2026-06"]["late_points"], months["2026-06"]["points"]) == (900 + 1 + 2 + 300, 700)
    assert [tuple(row) for row in rows] == [
        ("august", "loss", 300, 0, 1 / 300, 1.0, 1 / 300),
        ("new", "loss", 300, 0, 1 / 300, 1.0, 1 / 300),
        ("old", "loss", 1_601, 980, -5.0, 1_599.0, -5.0),  # the length of a first chunk depends on the series
        ("old", "other", 2, 0, 1.0, 2.0, 2.0),
    ]
    assert await points_by_run(database) == {"august": 300}
    async with reading(database) as store:
        await until_complete(store, ["new"])
    checked = await asyncio.to_thread(rebuild, variables, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_a_drop_while_workers_write_and_readers_read_is_never_seen_half_done(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    old, new = ([Author(f"{name}{n}", time=time) for n in range(4)] for name, time in (("old", JUNE), ("new", AUGUST)))
    authors, emitted, stopping = [*old, *new], dict[str, int](), asyncio.Event()
    await write(kafka, topic, [author.start() for author in authors])
    records = len(authors)
    seen: set[tuple[str, bool]] = set()

    async def produce() -> int:
        written = records
        while not stopping.is_set():
            envelopes = []
            for author in authors:
                first = emitted.get(author.run_id, 0)
                emitted[author.run_id] = first + 60
                envelopes.append(author.metrics("loss", [float(first + i) for i in range(60)], first_step=first))
            await write(kafka, topic, envelopes)
            written += len(envelopes)
        return written

    async def read(store: StoreReader) -> None:
        while not stopping.is_set():
            for author in authors:
                page = await store.series(author.run_id, buckets=100_000)
                for series in page.series if page else ():
                    is_dropped = page is not None and page.points_dropped is not None
                    assert len(series.points) == (0 if is_dropped else series.count), author.run_id
                    seen.add((author.run_id[:3], is_dropped))

    variables = environment(kafka, topic, database, batch_records="7")
    with materialiser(tmp_path, variables), materialiser(tmp_path, variables | {"GATEWAY_WORKER": "1"}):
        await until_folded(database, topic, records)
        async with reading(database) as store:
            producing, looking = asyncio.create_task(produce()), asyncio.create_task(read(store))

            async def kept_is_seen() -> bool:
                return ("old", False) in seen

            async def drop_is_seen() -> bool:
                assert not looking.done(), looking.exception()
                return ("old", True) in seen

            await until(kept_is_seen, "readers see points")
            done = await dropped(variables, "--before", "2026-07")
            await until(drop_is_seen, "readers learn of the drop")
            stopping.set()
            written = await producing
            await looking
        await until_folded(database, topic, written)

    assert [one["month"] for one in done["dropped"]] == ["2026-06"]
    assert await points_by_run(database) == {author.run_id: emitted[author.run_id] for author in new}
    month = (await shown(variables))["2026-06"]
    assert month["points"] + month["late_points"] == sum(emitted[author.run_id] for author in old)
    checked = await asyncio.to_thread(rebuild, variables, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_a_drop_waits_for_a_reader_and_says_for_whom(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = await fold_three_months(kafka, topic, database, tmp_path)
    reader = await asyncpg.connect(database, server_settings={"application_name": "a notebook"})
    transaction = reader.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    counted = await reader.fetchval("SELECT count(*) FROM metric_points")
    with running(variables, command=("retention", "drop", "--before", "2026-08", "--yes")) as one:
        await asyncio.to_thread(until_true, lambda: "\n" in one.process.said(1), "it says whom it waits for")
        message = one.process.said(1)
        assert await reader.fetchval("SELECT count(*) FROM metric_points") == counted == 4_500
        await transaction.commit()
        status, out, rest = await asyncio.to_thread(one.end)
    await reader.close()

    assert "a notebook" in message, message
    assert status == 0, rest
    assert out.splitlines()[0].startswith("dropped 2026-06: 1 runs, 1,500 points, ")
    assert await points_by_run(database) == {f"r-{AUGUST}": 1_500}


async def test_a_month_with_a_running_run_is_left_unless_requested(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    begun = now.replace(day=1) - timedelta(days=1)  # the last day of the month before
    author = Author("long", time=int(begun.timestamp()) * 1_000_000)
    alive = ev.Heartbeat(time=int(now.timestamp()) * 1_000_000 + 3_600_000_000)  # longer than this test takes
    await write(kafka, topic, [author.start(), author.metrics("loss", [1.0]), author.envelope(alive)])
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 3)

    left = await asyncio.to_thread(retention, variables, "drop", "--before", f"{now:%Y-%m}", "--yes")
    kept = await points_by_run(database)
    done = await dropped(variables, "--before", f"{now:%Y-%m}", "--even-running")

    assert left.returncode == 1
    assert left.stdout == f"left {begun:%Y-%m}: one of its runs is running; --even-running drops it anyway\n"
    assert kept == {"long": 1}
    assert [one["month"] for one in done["dropped"]] == [f"{begun:%Y-%m}"]
    assert await points_by_run(database) == {}


async def test_the_log_is_the_way_back(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    variables = await fold_three_months(kafka, topic, database, tmp_path)
    await dropped(variables, "--before", "2026-08")
    await execute(database, "DELETE FROM retention_dropped WHERE month = 202607")

    done = await asyncio.to_thread(rebuild, variables, "--restart", "--json")

    assert done.returncode == 0, done.stderr
    assert await points_by_run(database) == {f"r-{JULY}": 1_500, f"r-{AUGUST}": 1_500}
