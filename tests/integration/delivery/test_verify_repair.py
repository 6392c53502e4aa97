"""`gateway verify --repair`: what a tracker has lost is named, and only that is delivered again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from consumers.store.pool import open_database
from schemas.wire import Envelope
from tests.support.delivery_process import Place, delivery, progress, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until, until_folded
from tests.support.mlflow_service import MlflowServer, running_mlflow
from tests.support.verify_command import gateway, start_command, verify

RUNS = ("one", "two", "odd 😀/run")
REWRITTEN = "anew"  # key of `--json`  # words: ok
FOLDERS = {"parquet": "parquet_dir", "tensorboard": "tensorboard_dir", "wandb": "wandb_dir"}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


def settings(place: Place) -> dict[str, str]:
    return {f"GATEWAY_{name.upper()}": str(place.folder / kind) for kind, name in FOLDERS.items()}


async def fill(place: Place) -> None:
    """Write three runs."""
    await write(place.kafka, place.topic, envelopes())
    await until_folded(place.database, place.topic, len(envelopes()))


def envelopes() -> list[Envelope]:
    return [envelope for run_id in RUNS[:2] for envelope in plain(run_id)] + edge_case_envelopes(RUNS[2])


def plain(run_id: str) -> list[Envelope]:
    author = Author(run_id)
    return [author.start(), author.metrics("loss", [3.0, 2.0]), author.metrics("acc", [0.1, 0.2]), author.finish()]


async def deliver(place: Place, tracker: str) -> None:
    with delivery(place, tracker, settings(place)) as running:
        await until_caught_up(place, running, tracker)


def untouched(place: Place, lost: Mapping[str, set[str]]) -> dict[Path, tuple[int, int]]:
    """Return inode and modification time of the files of all runs except the lost ones."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for tracker, runs in lost.items()
        for path in (place.folder / tracker).rglob("*")
        if path.is_file() and not any(run_id in str(path.relative_to(place.folder)) for run_id in runs)
    }


async def file_of(place: Place, tracker: str, run_id: str) -> Path:
    if tracker == "parquet":
        return place.folder / "parquet" / "points" / f"run={run_id}" / "part-00000.parquet"
    folder = place.folder / ("wandb/wandb" if tracker == "wandb" else tracker)
    state = (await progress(place, tracker))[run_id].state
    return folder / str(state["file"])


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


async def test_lost_files_are_named_and_rewritten_and_no_others(place: Place) -> None:
    with materialiser(place.folder, place.variables()):
        await fill(place)
    for tracker in FOLDERS:
        await deliver(place, tracker)
    (await file_of(place, "parquet", "one")).unlink()
    cut(await file_of(place, "wandb", "one"))
    (await file_of(place, "tensorboard", "two")).unlink()
    lost = {"parquet": {"one"}, "wandb": {"one"}, "tensorboard": {"two"}}
    others = untouched(place, lost)
    arguments = [word for tracker in FOLDERS for word in ("--to", tracker)]

    red = await verify(place, *arguments, variables=settings(place))
    repaired = await verify(place, *arguments, "--repair", variables=settings(place))
    again = await verify(place, *arguments, "--repair", variables=settings(place))

    assert (red.status, red.different()) == (1, lost), red.err
    assert repaired.status == 0, repaired.out + repaired.err
    rewritten = {tracker: sorted(runs) for tracker, runs in lost.items()}
    assert repaired.facts["repaired"] == {
        "read_on": {tracker: [] for tracker in lost},
        REWRITTEN: rewritten,
        "left": [],
    }
    assert again.facts["repaired"] is None
    assert untouched(place, lost) == others
    places = repaired.facts["places"]
    assert [places[tracker] for tracker in FOLDERS] == [places["postgresql"]] * 3


async def test_a_repair_during_a_live_delivery_is_done_by_that_one(place: Place) -> None:
    with materialiser(place.folder, place.variables()):
        await fill(place)
        with delivery(place, "tensorboard", settings(place)) as running:
            await until_caught_up(place, running, "tensorboard")
            (await file_of(place, "tensorboard", "two")).unlink()
            repaired = await verify(place, "--to", "tensorboard", "--repair", variables=settings(place))
            late = [Author("two", "late").metrics("loss", [1.0], first_step=2)]
            await write(place.kafka, place.topic, late)
            after = await verify(place, "--to", "tensorboard", "--wait", "60", variables=settings(place))

    assert (repaired.status, repaired.facts["repaired"][REWRITTEN]) == (0, {"tensorboard": ["two"]}), repaired.err
    assert after.status == 0, after.out


async def test_a_run_with_new_records_is_not_rewritten(place: Place) -> None:
    author, ended = Author("moving"), asyncio.Event()
    written = [author.start()]

    async def train() -> None:
        while not ended.is_set():
            one = author.metrics("loss", [1.0], first_step=len(written))
            await write(place.kafka, place.topic, [one])
            written.append(one)

    with materialiser(place.folder, place.variables()), delivery(place, "tensorboard", settings(place)) as running:
        await write(place.kafka, place.topic, written)
        await until_folded(place.database, place.topic, 1)
        await until_caught_up(place, running, "tensorboard")
        file = await file_of(place, "tensorboard", "moving")
        inode = file.stat().st_ino
        training = asyncio.create_task(train())
        repaired = await verify(place, "--to", "tensorboard", "--repair", variables=settings(place))
        ended.set()
        await training
        after = await verify(place, "--to", "tensorboard", "--wait", "60", variables=settings(place))

    rewritten = (repaired.facts["repaired"] or {REWRITTEN: {}})[REWRITTEN]
    assert rewritten in ({}, {"tensorboard": []}), repaired.out
    assert (after.status, file.stat().st_ino) == (0, inode), after.out + after.err


async def test_a_killed_repair_continues_when_it_is_run_again(place: Place) -> None:
    with materialiser(place.folder, place.variables()):
        await fill(place)
    await deliver(place, "wandb")
    (await file_of(place, "wandb", "one")).unlink()
    await gateway(place, "trackers", "pause", "wandb", variables=settings(place))  # it stops the repair halfway
    process = start_command(place, "verify", "--to", "wandb", "--repair", variables=settings(place))
    try:
        await until(lambda: has_started_over(place, "one"), "the run starts over")
    finally:
        process.kill()
        process.communicate()
    red = await verify(place, "--to", "wandb", variables=settings(place))
    await gateway(place, "trackers", "resume", "wandb", variables=settings(place))
    repaired = await verify(place, "--to", "wandb", "--repair", variables=settings(place))

    assert red.different() == {"wandb": {"one"}}
    assert (repaired.status, repaired.facts["differences"]) == (0, []), repaired.err


async def has_started_over(place: Place, run_id: str) -> bool:
    kept = (await progress(place, "wandb"))[run_id]
    return kept.rereading and kept.next_offset == 0


async def test_a_run_that_a_killed_repair_set_aside_is_repaired(place: Place) -> None:
    with materialiser(place.folder, place.variables()):
        await fill(place)
    await deliver(place, "parquet")
    (await file_of(place, "parquet", "one")).unlink()
    db = await open_database(place.database, size=1)
    async with db.acquire() as connection:
        await connection.execute("UPDATE deliveries SET status = 'parked', error = 'x' WHERE run_id = 'one'")
    await db.close()

    repaired = await verify(place, "--to", "parquet", "--repair", variables=settings(place))

    assert (repaired.status, repaired.facts["repaired"][REWRITTEN]) == (0, {"parquet": ["one"]}), repaired.err


async def test_what_was_never_delivered_is_delivered_and_the_run_is_not_rewritten(place: Place) -> None:
    with materialiser(place.folder, place.variables()):
        await fill(place)
        await deliver(place, "tensorboard")
        path = await file_of(place, "tensorboard", "one")
        begun = path.read_bytes()
        late = [Author("one", "late").metrics("loss", [1.0], first_step=2)]
        await write(place.kafka, place.topic, late)
        await until_folded(place.database, place.topic, len(envelopes()) + 1)

    repaired = await verify(place, "--to", "tensorboard", "--repair", variables=settings(place))

    assert repaired.facts["repaired"] == {
        "read_on": {"tensorboard": ["one"]},
        REWRITTEN: {"tensorboard": []},
        "left": [],
    }
    assert repaired.status == 0
    assert path.read_bytes().startswith(begun)


async def test_rows_and_a_run_lost_in_mlflow_are_delivered_again(place: Place, server: MlflowServer) -> None:
    place = place._replace(mlflow_url=server.url)
    with materialiser(place.folder, place.variables()):
        await fill(place)
    await deliver(place, "mlflow")
    states = {run_id: kept.state for run_id, kept in (await progress(place, "mlflow")).items()}
    await asyncio.to_thread(forget_rows, server, str(states["one"]["run"]), str(states["two"]["run"]))

    red = await verify(place, "--to", "mlflow")
    repaired = await verify(place, "--to", "mlflow", "--repair")

    assert red.different() == {"mlflow": {"one", "two"}}
    assert {(one["run_id"], one["name"], one["expected"], one["found"]) for one in red.facts["differences"]} == {
        ("one", "loss", 2, 1), ("two", "", "there", "missing"),
    }  # fmt: skip
    assert (repaired.status, repaired.facts["repaired"][REWRITTEN]) == (0, {"mlflow": ["one", "two"]}), repaired.out
    assert (await progress(place, "mlflow"))[RUNS[2]].state == states[RUNS[2]]


async def test_rows_lost_in_trackio_are_delivered_again(place: Place) -> None:
    variables = {"GATEWAY_TRACKIO_DIR": str(place.folder / "trackio")}
    with materialiser(place.folder, place.variables()):
        await fill(place)
    with delivery(place, "trackio", variables) as running:
        await until_caught_up(place, running, "trackio")
    await asyncio.to_thread(forget_row, place.folder / "trackio", "one")

    red = await verify(place, "--to", "trackio", variables=variables)
    repaired = await verify(place, "--to", "trackio", "--repair", variables=variables)

    assert red.different() == {"trackio": {"one"}}
    assert (repaired.status, repaired.facts["repaired"][REWRITTEN]) == (0, {"trackio": ["one"]}), repaired.out


def forget_row(folder: Path, run_id: str) -> None:
    """Delete one row of a run in the project that has it."""
    lost = 0
    for file in folder.glob("*.db"):
        with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
            newest = "SELECT max(id) FROM metrics WHERE run_id = ?"
            lost += connection.execute(f"DELETE FROM metrics WHERE id = ({newest})", (run_id,)).rowcount
    assert lost == 1


def forget_rows(server: MlflowServer, one: str, two: str) -> None:
    """Delete one row of a run, and all of another run, as `mlflow gc` does."""
    with closing(sqlite3.connect(server.database, timeout=30)) as connection, connection:
        connection.execute("DELETE FROM metrics WHERE run_uuid = ? AND key = 'loss' AND step = 0", (one,))
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if "run_uuid" in columns and table != "runs":
                connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (two,))
        connection.execute("DELETE FROM runs WHERE run_uuid = ?", (two,))


async def test_a_tracker_that_cannot_rewrite_a_run_is_reported(place: Place) -> None:
    defined = place.folder / "trackers.toml"
    defined.write_text('[plain]\ntype = "nothing"\n')
    variables = {"GATEWAY_TRACKERS_FILE": str(defined)}
    with materialiser(place.folder, place.variables()):
        await fill(place)

    repaired = await verify(place, "--to", "plain", "--repair", variables=variables)

    assert repaired.status == 1, repaired.err
    assert repaired.out, repaired.err
    assert {one["run_id"] for one in repaired.facts["repaired"]["left"]} == {*RUNS}
    assert "cannot rewrite a run" in repaired.facts["repaired"]["left"][0]["reason"]
