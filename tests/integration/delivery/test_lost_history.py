"""Runs whose records the log has lost reach trackers completely: from PostgreSQL, then from the log."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas import events as ev
from schemas.wire import Envelope
from tests.support.delivery_process import DEADLINE_S, Delivery, Place, Watch, delivery, progress
from tests.support.edge_case_runs import edge_case_envelopes, points_of
from tests.support.gateway_command import COMMAND, gateway_with
from tests.support.lines_tracker import Lines
from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser, until_folded
from tests.support.mlflow_service import MlflowServer
from tests.support.python_process import PythonProcess
from tests.support.truncated_log import truncate

ROOT = Path(__file__).parents[3]
TRACKERS = ("parquet", "wandb", "sqlite")


@pytest.fixture
def materialiser(place: Place) -> Iterator[Materialiser]:
    one = Materialiser(place.folder, place.variables()).until_ready()
    yield one
    one.kill()


@pytest.fixture
def variables(place: Place) -> dict[str, str]:
    """Return the environment of a delivery to each of TRACKERS."""
    trackers = place.folder / "trackers.yaml"
    trackers.write_text(f"sqlite: {{type: sqlite, config: {{file: {place.folder}/runs.sqlite}}}}\n")
    info = place.folder / "sqlite-site" / "gateway_tracker_sqlite-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gateway-tracker-sqlite\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gateway.trackers]\nsqlite = gateway_tracker_sqlite:SqliteTracker\n")
    paths = [
        str(info.parent),
        str(ROOT / "examples" / "tracker-sqlite"),
        *os.environ.get("PYTHONPATH", "").split(os.pathsep),
    ]
    return place.variables() | {
        "GATEWAY_PARQUET_DIR": str(place.folder / "parquet"),
        "GATEWAY_TRACKERS_FILE": str(trackers),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


class History:
    """Runs entirely before the log's first offset, runs that cross it, and runs after it."""

    def __init__(self, each: int = 4, records: int = 12) -> None:
        self.before = {f"before-{i}": self._training(f"before-{i}", records) for i in range(each)}
        self.before["odd"] = edge_case_envelopes("odd")
        gone = Author("gone")
        self.before["gone"] = [gone.start(), gone.envelope(ev.Deleted(time=gone.now(), what="run"))]
        self.crossing = {f"crossing-{i}": self._training(f"crossing-{i}", records) for i in range(each)}
        self.after = {f"after-{i}": self._training(f"after-{i}", records) for i in range(each)}

    @staticmethod
    def _training(run_id: str, records: int) -> list[Envelope]:
        author = Author(run_id)
        begin = author.start(name=run_id, tag="lost")
        middle = [
            author.metrics(f"loss{i % 2}", [i + 0.1, float("nan"), -0.0], first_step=3 * i) for i in range(records)
        ]
        return [begin, *middle, author.finish()]

    async def written(self, place: Place) -> None:
        """Write all runs, delete the beginning of the log halfway, and return when everything is folded."""
        halves = {run: len(envelopes) // 2 for run, envelopes in self.crossing.items()}
        old = [*self.before.values(), *(envelopes[: halves[run]] for run, envelopes in self.crossing.items())]
        await self._write(place, old)
        await truncate(place.kafka, place.topic)
        again = [envelopes[halves[run] - 1 :] for run, envelopes in self.crossing.items()]  # the last twice
        await self._write(place, [*again, *self.after.values()])

    async def _write(self, place: Place, runs: Sequence[Sequence[Envelope]]) -> None:
        envelopes = [envelope for run in runs for envelope in run]
        async with Watch(place, "no-tracker") as watch:
            await write(place.kafka, place.topic, envelopes)
            ends = await watch._reader.end_offsets()
        await until_folded(place.database, place.topic, sum(ends.values()))

    def runs(self) -> dict[str, list[Envelope]]:
        return self.before | self.crossing | self.after


async def until_all_caught_up(place: Place, tracker: str, running: Delivery) -> None:
    """Return once the tracker was offered the whole log, and no run is rereading."""
    async with Watch(place, tracker) as watch:

        async def all_caught_up() -> bool:
            known = await watch._deliveries.load()
            return await watch.is_caught_up() and not any(run.rereading for run in known.values())

        await watch.until(all_caught_up, running, f"{tracker} has everything")


async def command(variables: dict[str, str], *arguments: str, status: int = 0) -> Any:
    """Run a command of `gateway` and return its facts."""
    done = await asyncio.to_thread(gateway_with, variables, *arguments, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


@asynccontextmanager
async def sql(place: Place) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(place.database)
    try:
        yield connection
    finally:
        await connection.close()


async def frozen_rows(place: Place) -> int:
    """Return how many rows of histories are left in PostgreSQL."""
    async with sql(place) as connection:
        return int(
            await connection.fetchval(
                "SELECT (SELECT count(*) FROM deliveries_history) + (SELECT count(*) FROM deliveries_history_rows)"
            )
        )


async def test_a_new_tracker_gets_the_beginning_of_a_run_that_the_log_has_lost(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    author = Author("r1")
    await write(place.kafka, place.topic, [author.start(), author.metrics("loss", [1.0, 2.0])])
    await until_folded(place.database, place.topic, 2)
    await truncate(place.kafka, place.topic)
    await write(place.kafka, place.topic, [author.metrics("loss", [3.0], first_step=2), author.finish()])
    await until_folded(place.database, place.topic, 4)
    with delivery(place, "parquet", variables) as running:
        await until_all_caught_up(place, "parquet", running)

    assert (await command(variables, "verify", "--to", "parquet"))["equal"]


@pytest.mark.parametrize("tracker", TRACKERS)
async def test_runs_before_across_and_after_the_beginning_of_the_log_are_complete(
    tracker: str, place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History()
    await history.written(place)
    planned = await command(variables, "replay", "--to", tracker, "--all", "--dry-run")
    done = await command(variables, "replay", "--to", tracker, "--all")
    again = await command(variables, "replay", "--to", tracker, "--all")
    with delivery(place, tracker, variables) as running:
        await until_all_caught_up(place, tracker, running)
        verified = await command(variables, "verify", "--to", tracker)

    lost = len(history.before) + len(history.crossing)
    points = sum(len(points_of(envelopes)) for envelopes in history.runs().values())
    assert (planned["from_postgresql"], planned["runs"], planned["points"]) == (lost, len(history.runs()), points)
    assert "the log begins at offset" in planned["why"]
    assert (done["from_postgresql"], done["points"], done["complete"]) == (lost, points, True)
    assert (again["records"], again["from_postgresql"]) == (0, 0)
    assert verified["equal"], verified
    assert await frozen_rows(place) == 0


@pytest.mark.parametrize("kills", [5, pytest.param(12, marks=pytest.mark.slow)])
async def test_killed_at_any_time_during_training_nothing_is_missing_or_doubled(
    place: Place, materialiser: Materialiser, lines: Lines, kills: int
) -> None:
    history = History(each=6, records=60)
    await history.written(place)
    # A timeout of 12 s: a run in which a process was killed three times waits 2 s instead of 20.
    variables = lines.variables() | {"GATEWAY_TRACKER_CALL_S": "12"}
    dice = random.Random(5)
    late = [Author(run, "late") for run in (*history.before, *history.crossing) if run != "odd"]
    live = [
        envelope for author in late for envelope in (author.metrics("late", [1.0, 2.0]), author.metrics("more", [3.0]))
    ]
    lines.behave(slow_s=0.003)
    histories = 0
    for _ in range(kills):
        running = Delivery(place, "lines", variables).until_ready()
        goal = lines_of(lines) + dice.randint(1, 70)
        await asyncio.to_thread(until_lines, running, lines, goal)
        running.kill()
        histories += sum(run.next_offset >= 2**62 for run in (await progress(place, "lines")).values())
        now, live = live[:2], live[2:]
        await write(place.kafka, place.topic, now)
    lines.behave()
    # A run that was called when six processes in a row were killed is parked.
    await asyncio.to_thread(gateway_with, variables, "trackers", "retry", "lines", "--all")
    await write(place.kafka, place.topic, live)
    with delivery(place, "lines", variables) as running:
        await until_all_caught_up(place, "lines", running)
    calls = lines.calls()
    with delivery(place, "lines", variables) as running:
        await until_all_caught_up(place, "lines", running)

    late_points = {author.run_id: 3 for author in late}
    wanted = {run: len(points_of(envelopes)) + late_points.get(run, 0) for run, envelopes in history.runs().items()}
    assert histories > 0, "kills hit histories under way"
    assert {run: points_in(counted) for run, counted in lines.held().items()} == wanted
    assert {count for counted in lines.held().values() for count in counted.values()} == {1}
    assert lines.is_ordered()
    assert lines.redelivered() > 0
    assert lines.calls() == calls, "a second delivery changes nothing"
    assert await frozen_rows(place) == 0


def until_lines(running: Delivery, lines: Lines, goal: int) -> None:
    running.until(lambda: lines_of(lines) >= goal, f"{goal} lines")


def lines_of(lines: Lines) -> int:
    return sum(sum(counted.values()) for counted in lines.held().values())


def points_in(counted: dict[str, int]) -> int:
    return sum(int(line.split()[2]) * count for line, count in counted.items())


@pytest.mark.slow
@pytest.mark.parametrize("tracker", TRACKERS)
async def test_killed_ten_times_each_value_is_there_once_bit_for_bit(
    tracker: str, place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=6, records=250)
    await history.written(place)
    dice = random.Random(7)
    output = place.folder / "replay.log"
    async with Watch(place, tracker) as watch:
        killed = [
            await kill_replay(variables, tracker, watch, await watch.records() + dice.randint(1, 12), output)
            for _ in range(10)
        ]
    done = await command(variables, "replay", "--to", tracker, "--all")
    verified = await command(variables, "verify", "--to", tracker)

    assert killed == [-signal.SIGKILL] * 10, output.read_text()
    assert done["complete"]
    assert verified["equal"], verified
    assert await frozen_rows(place) == 0


async def kill_replay(variables: dict[str, str], tracker: str, watch: Watch, goal: int, output: Path) -> int:
    """Kill a slow replay once the tracker has `goal` records; return its exit status."""
    deadline = time.monotonic() + DEADLINE_S
    with output.open("ab") as out:
        arguments = [*COMMAND, "replay", "--to", tracker, "--all", "--throttle", "1000"]
        running = PythonProcess(arguments, env=variables, stdout=out, stderr=out)
    try:
        while await watch.records() < goal and running.poll() is None:
            assert time.monotonic() < deadline, output.read_text()
            await asyncio.sleep(0.005)
    finally:
        running.kill()
        status = running.wait(150)
    return status


async def test_edits_of_a_run_during_its_history_come_from_the_log(
    place: Place, materialiser: Materialiser, lines: Lines, variables: dict[str, str]
) -> None:
    """A series is deleted and another renamed after a kill: the frozen history continues unchanged."""
    history = History(each=1, records=40)
    await history.written(place)
    lines.behave(slow_s=0.02)
    running = Delivery(place, "lines", lines.variables()).until_ready()
    running.until(lambda: points_in(lines.held().get("before-0", {})) > 0, "some of it")
    running.kill()
    editor = Author("before-0", "editor")
    edits = [
        editor.envelope(ev.Deleted(time=editor.now(), what="series", name="loss0")),
        editor.envelope(ev.Renamed(time=editor.now(), what="series", old="loss1", new="other")),
    ]
    async with Watch(place, "lines") as watch:
        await write(place.kafka, place.topic, edits)
        ends = await watch._reader.end_offsets()
    await until_folded(place.database, place.topic, sum(ends.values()))
    lines.behave()
    with delivery(place, "lines", lines.variables()) as running:
        await until_all_caught_up(place, "lines", running)

    held = lines.held()["before-0"]
    assert points_in(held) == len(points_of(history.before["before-0"]))
    assert {line for line in held if line.startswith("editor")} == {"editor 0 0", "editor 1 0"}


async def test_a_tracker_that_was_away_while_the_log_lost_records_gets_its_runs_again(
    place: Place, materialiser: Materialiser, lines: Lines, variables: dict[str, str]
) -> None:
    paths = os.pathsep.join([lines.variables()["PYTHONPATH"], variables["PYTHONPATH"]])
    variables = variables | lines.variables() | {"PYTHONPATH": paths}
    author, other = Author("r1"), Author("r2")
    await write(place.kafka, place.topic, [author.start(), author.metrics("loss", [1.0]), other.start()])
    await until_folded(place.database, place.topic, 3)
    for tracker in ("parquet", "lines"):
        with delivery(place, tracker, variables) as running:
            await until_all_caught_up(place, tracker, running)
    await write(place.kafka, place.topic, [author.metrics("loss", [2.0, 3.0], first_step=1)])
    await until_folded(place.database, place.topic, 4)
    await truncate(place.kafka, place.topic)
    await write(place.kafka, place.topic, [author.metrics("loss", [4.0], first_step=3), author.finish()])
    await until_folded(place.database, place.topic, 6)
    planned = await command(variables, "replay", "--to", "lines", "--all", "--dry-run")
    for tracker in ("parquet", "lines"):
        with delivery(place, tracker, variables) as running:
            await until_all_caught_up(place, tracker, running)
    held = (await progress(place, "lines"))["r1"]

    assert (await command(variables, "verify", "--to", "parquet"))["equal"]
    assert planned["impossible"] == ["r1"]
    assert held.status == "parked"
    assert "cannot remove it" in held.error


async def test_points_that_are_stored_nowhere_are_reported_and_the_rest_is_delivered(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=1)
    await history.written(place)
    dropped = await asyncio.to_thread(gateway_with, variables, "retention", "drop", "--before", "2024-01", "--yes")
    assert dropped.returncode == 0, dropped.stderr
    planned = await command(variables, "replay", "--to", "parquet", "--all", "--dry-run")
    done = await command(variables, "replay", "--to", "parquet", "--all")

    points = {run: len(points_of(envelopes)) for run, envelopes in (history.before | history.crossing).items()}
    lost = {run: count for run, count in points.items() if count}
    assert planned["without_points"] == done["without_points"] == lost
    assert (done["complete"], done["parked"]) == (True, 0)
    assert set(await progress(place, "parquet")) == set(history.runs())


async def test_it_waits_until_postgresql_has_what_the_log_has_lost_and_reports_that(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=1)
    await history.written(place)
    async with sql(place) as connection:
        await connection.execute("UPDATE consumer_offsets SET next_offset = 0 - next_offset")
    running = Delivery(place, "parquet", variables)
    try:
        running.until(lambda: "waits for the materialiser" in running.text(), "it reports what it waits for")
        shown = await command(variables, "trackers", "show", "parquet")
        async with sql(place) as connection:
            await connection.execute("UPDATE consumer_offsets SET next_offset = 0 - next_offset")
        running.until_ready()
        await until_all_caught_up(place, "parquet", running)
    finally:
        running.kill()

    assert "waits for the materialiser" in shown["last_error"]
    assert (await command(variables, "verify", "--to", "parquet"))["equal"]


async def test_runs_of_an_older_release_may_begin_anywhere_and_come_from_postgresql(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=1)
    await history.written(place)
    async with sql(place) as connection:
        await connection.execute("UPDATE runs SET first_offset = NULL")
    done = await command(variables, "replay", "--to", "parquet", "--all")

    assert done["from_postgresql"] == len(history.runs())
    assert (await command(variables, "verify", "--to", "parquet"))["equal"]


async def test_chosen_runs_are_complete_also_after_a_delivery_that_began_after_them(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=2)
    await history.written(place)
    del history.before["gone"]  # deleted runs cannot be chosen
    names = [name for run in (*history.before, *history.after) for name in ("--run", run)]
    alone = await command(variables, "replay", "--to", "parquet", *names)
    with delivery(place, "parquet", variables) as running:
        await until_all_caught_up(place, "parquet", running)
    verified = await command(variables, "verify", "--to", "parquet")

    assert (alone["complete"], alone["from_postgresql"]) == (True, len(history.before))
    assert verified["equal"], verified


async def test_a_lost_file_of_a_run_that_the_log_has_lost_is_repaired_from_postgresql(
    place: Place, materialiser: Materialiser, variables: dict[str, str]
) -> None:
    history = History(each=1)
    await history.written(place)
    await command(variables, "replay", "--to", "parquet", "--all")
    for lost in (place.folder / "parquet" / "points").glob("run=*before-0*/*.parquet"):
        lost.unlink()
    await command(variables, "verify", "--to", "parquet", status=1)
    repaired = await command(variables, "verify", "--to", "parquet", "--repair")

    assert repaired["equal"]
    assert repaired["repaired"]["anew"] == {"parquet": ["before-0"]}  # words: ok


async def test_mlflow_gets_what_the_log_has_lost_and_again_the_runs_it_had_in_part(
    place: Place, materialiser: Materialiser, variables: dict[str, str], mlflow_server: MlflowServer
) -> None:
    variables = variables | {"GATEWAY_MLFLOW_URL": mlflow_server.url}
    author = Author("part")
    await write(place.kafka, place.topic, [author.start(), author.metrics("loss", [1.0])])
    await until_folded(place.database, place.topic, 2)
    await command(variables, "replay", "--to", "mlflow", "--all")
    await write(place.kafka, place.topic, [author.metrics("loss", [2.0, 3.0], first_step=1), author.finish()])
    history = History(each=2)
    await history.written(place)
    done = await command(variables, "replay", "--to", "mlflow", "--all")
    verified = await command(variables, "verify", "--to", "mlflow")

    assert (done["complete"], done["parked"]) == (True, 0)
    assert done["from_postgresql"] == len(history.before) + len(history.crossing) + 1
    assert verified["equal"], verified
