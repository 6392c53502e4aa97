"""`gateway runs delete | rename | tag`, `run.delete` and `run.rename` on real parts: log, PostgreSQL and a tracker."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from consumers.store.read.reader import StoreReader
from consumers.trackers.testing.runs import RunAuthor
from gateway.local.ports import HOST, free_ports
from schemas import events as ev
from schemas.runlog import RunLog
from schemas.runtime.access.guard import STEP_401
from schemas.values import StringValue
from schemas.wire import Envelope
from tests.support.client_harness import read_log, train
from tests.support.delivery_process import Place, delivery
from tests.support.gateway_command import COMMAND
from tests.support.live_process import live_process
from tests.support.log_author import write
from tests.support.materialiser_process import dump, materialiser, reading, until, until_complete, until_folded
from tests.support.server_process import serving
from tests.support.verify_command import CommandResult, gateway, verify

SERIES_OF_A_PAGE = 1_000
FACTS = ("series", "chunks", "observations", "params", "tags", "steps", "attempts")  # tables with the contents of runs


class System(NamedTuple):
    """A log, the worker that folds it, and the API that the commands query."""

    place: Place
    store: StoreReader
    variables: dict[str, str]

    async def runs(self, *arguments: str, **more: str) -> CommandResult:
        """Run `gateway runs ...`."""
        return await gateway(self.place, "runs", *arguments, variables=self.variables | more)

    async def done(self, *arguments: str) -> list[dict[str, Any]]:
        """Run `gateway runs ... --json`, which must succeed, and return its events."""
        answer = await self.runs(*arguments, "--json")
        assert answer.status == 0, answer.err
        return [
            {name: value for name, value in event.items() if name != "producer"} for event in answer.facts["events"]
        ]

    async def log(self, run_id: str) -> RunLog | None:
        """Return a run log."""
        return await self.store.run_log(run_id)

    async def until(self, run_id: str, holds: Callable[[RunLog | None], object], what: str) -> None:
        """Return once the condition holds for a run log."""

        async def is_true() -> bool:
            return bool(holds(await self.log(run_id)))

        await until(is_true, what)

    async def until_folded(self) -> int:
        """Wait until all records of the log are folded; return their number."""
        records = len(await asyncio.to_thread(read_log, self.place.kafka, self.place.topic))
        await until_folded(self.place.database, self.place.topic, records)
        return records


@pytest.fixture
async def system(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[System]:
    place = Place(kafka, topic, database, tmp_path)
    port = str(free_ports(1)[0])
    variables = {
        "GATEWAY_LIVE_PORT": port,
        "GATEWAY_LIVE_URL": f"http://{HOST}:{port}",
        "GATEWAY_HOME": str(tmp_path / "home"),
        "GATEWAY_CAPTURE": "none",
    }
    with materialiser(tmp_path, place.variables()), live_process(tmp_path, place.variables() | variables):
        async with reading(database) as store:
            yield System(place, store, variables)


def whole(author: RunAuthor, envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Return the envelopes with an end appended, so that readers see the run as complete."""
    end = ev.ProducerClosed(time=author.now(), batches=len(envelopes) + 1, points=0)
    return [*envelopes, author.envelope(end)]


def plain_run(run_id: str, name: str = "plain") -> list[Envelope]:
    """Return a run with a few of all parts that can be deleted, renamed and tagged."""
    author = RunAuthor(run_id)
    remark = ev.Observation(name="remark", labels={"x": "1"}, time=author.now(), value=StringValue(value="seen"))
    return whole(
        author,
        [
            author.start(name=name),
            author.params(lr=0.1, seed=7.0),
            author.tags(team="vision", draft="yes"),
            author.metrics("loss", [0.5, 0.25]),
            author.metrics("acc", [0.1, 0.9]),
            author.scoped("test", {"loss": {}, "acc": {"rank": "3"}}),
            author.envelope(ev.Values(time=author.now(), values=[remark])),
            author.finish(),
        ],
    )


def metrics(log: RunLog | None) -> set[str]:
    """Return the names of the series of all steps."""
    assert log is not None
    return {f"{step.name}: {name}" for step in log.steps.values() for name in step.user_defined_metrics}


async def test_edits_reach_postgresql_and_a_tracker_and_change_nothing_when_they_come_again(system: System) -> None:
    trackers = system.place.folder / "trackers.yaml"
    trackers.write_text(json.dumps({"archive": {"type": "parquet", "config": {"folder": str(trackers.parent / "a")}}}))
    variables = {"GATEWAY_TRACKERS_FILE": str(trackers)}
    await write(system.place.kafka, system.place.topic, [b for name in ("kept", "g1", "g2") for b in plain_run(name)])
    await system.until_folded()

    with delivery(system.place, "archive", variables):
        events = [
            *await system.done("delete", "kept", "--series", "loss", "--param", "seed", "--tag", "draft", "--yes"),
            *await system.done("rename", "kept", "--series", "acc", "train/acc"),
            *await system.done("rename", "kept", "--param", "lr", "rate"),
            *await system.done("rename", "kept", "--tag", "team", "group"),
            *await system.done("rename", "kept", "it's a base line"),
            *await system.done("tag", "kept", "group=speech", "note=a=b c", "empty="),
            *await system.done("delete", "kept", "--series", "remark", "--yes"),
            *await system.done("delete", "g1", "g2", "--yes"),
        ]
        await system.until_folded()
        await until_complete(system.store, ["kept"], producers=8)
        log, before = await system.log("kept"), await dump(system.place.database)

        await system.done("rename", "kept", "it's a base line")
        await system.done("tag", "kept", "note=a=b c", "group=speech")
        await system.until_folded()
        again, after = await system.log("kept"), await dump(system.place.database)
        compared = await verify(system.place, "--wait", "100", "--to", "archive", variables=variables)

    assert [(one["run_id"], one["seq"], one["kind"], one.get("what")) for one in events] == [
        ("kept", 0, "deleted", "series"),
        ("kept", 1, "deleted", "param"),
        ("kept", 2, "deleted", "tag"),
        ("kept", 0, "renamed", "series"),
        ("kept", 0, "renamed", "param"),
        ("kept", 0, "renamed", "tag"),
        ("kept", 0, "renamed", "run"),
        ("kept", 0, "tags", None),
        ("kept", 0, "deleted", "series"),
        ("g1", 0, "deleted", "run"),
        ("g2", 0, "deleted", "run"),
    ]
    assert log is not None
    assert (log.name, log.state, log.parameters) == ("it's a base line", "finished", {"rate": 0.1})
    assert log.tags == {"group": "speech", "note": "a=b c", "empty": ""}
    assert metrics(log) == {"main: train/acc", "test: train/acc{rank=3}"}
    assert [(one.missing, one.received == one.expected) for one in log.completeness] == [([], True)] * 8
    assert [await system.log(name) for name in ("g1", "g2")] == [None, None]
    assert again is not None
    assert again.model_dump(exclude={"completeness"}) == log.model_dump(exclude={"completeness"})
    assert [name for name in FACTS if before[name] != after[name]] == []
    assert (compared.status, compared.facts["differences"]) == (0, []), compared.err
    assert [run for run in ("g1", "g2") if list(trackers.parent.glob(f"a/**/run={run}"))] == []


async def test_what_is_not_there_or_taken_is_one_line_and_nothing_is_written(system: System) -> None:
    odd, place = "od'd/run é", system.place
    wide = RunAuthor("wide")
    series: dict[str, dict[str, str]] = {f"m{number:04}": {} for number in range(SERIES_OF_A_PAGE)}
    series["z"] = {}
    runs = [*plain_run("run-2026", "brave-fox-1"), *plain_run(odd), wide.start(), wide.scoped("main", series)]
    await write(place.kafka, place.topic, runs)
    records = await system.until_folded()
    closed_port = f"{HOST}:{free_ports(1)[0]}"

    wrong = {
        ("delete", "run-2025", "--yes"): "did you mean 'run-2026'?",
        ("rename", "run-", "new"): "did you mean 'run-2026'?",
        ("tag", "brave-fox-1", "a=b"): "did you mean 'run-2026'?",
        ("delete", "zebra", "--yes"): "list the runs with `gateway runs list`",
        ("delete", "run-2026", "zebra", "--yes"): "no run 'zebra'",
        ("delete", "run-2026", "--series", "los", "--yes"): "run run-2026 has no series 'los': did you mean 'loss'?",
        ("delete", "run-2026", "--series", "test/acc{rank=3}", "--yes"): "did you mean 'acc'?",
        ("rename", "run-2026", "--param", "learning", "x"): "has no parameter 'learning'",
        ("rename", "run-2026", "--param", "lr", "seed"): "already has a parameter seed",
        ("rename", "run-2026", "--tag", "team", "draft"): "already has a tag draft",
        ("rename", "wide", "--series", "z", "z"): "already has this name",
        ("show", "run-2025"): "did you mean 'run-2026'?",
        ("tail", "zebra"): "list the runs with `gateway runs list`",
        ("rename", odd, "--series", "loss", "loss"): "already has this name",
        ("delete", odd): "confirmation is needed, and stdin is not a terminal: add --yes",
    }  # fmt: skip
    answers = {words: await system.runs(*words) for words in wrong}
    away = await system.runs("delete", odd, "--yes", "--timeout-s", "1", GATEWAY_URL=f"kafka://{closed_port}")
    unread = await system.runs("delete", odd, "--yes", GATEWAY_LIVE_URL=f"http://{closed_port}")

    assert {words: (one.status, one.out) for words, one in answers.items()} == dict.fromkeys(wrong, (2, ""))
    assert [(words, answers[words].err) for words, text in wrong.items() if text not in answers[words].err] == []
    assert [one.err for one in (*answers.values(), away, unread) if len(one.err.splitlines()) != 1] == []
    assert (away.status, unread.status) == (2, 2)
    assert f"Kafka at {closed_port} cannot be reached" in away.err
    assert "nothing was changed: start it with `gateway up`, or correct GATEWAY_URL, and run this again" in away.err
    assert f"the API at http://{closed_port} cannot be reached" in unread.err
    assert len(read_log(place.kafka, place.topic)) == records


async def test_a_person_is_asked_and_names_are_completed(system: System) -> None:
    await write(system.place.kafka, system.place.topic, plain_run("run-1", "brave-fox-1"))
    records = await system.until_folded()

    offered = {
        words: await asyncio.to_thread(completed, system, words)
        for words in (
            "gateway runs delete ru",
            "gateway runs delete run-1 --series l",
            "gateway runs rename run-1 --param ",
            "gateway runs delete run-1 --tag d",
        )
    }
    refused = await asyncio.to_thread(answer, system, "n", "delete", "run-1", "--series", "loss")
    kept = len(read_log(system.place.kafka, system.place.topic))
    agreed = await asyncio.to_thread(answer, system, "y", "delete", "run-1")
    await system.until("run-1", lambda log: log is None, "the run is gone")
    gone = await system.runs("delete", "run-1", "--yes")

    assert list(offered.values()) == [["run-1"], ["loss"], ["lr", "seed"], ["draft"]]
    assert refused.status != 0
    assert "brave-fox-1" in refused.err
    assert "Delete series loss of this run for good?" in refused.err
    assert kept == records
    assert (agreed.status, agreed.out.splitlines()[0].strip()) == (0, "run run-1: deleted")
    assert "trackers follow" in agreed.out
    assert (gone.status, "no run 'run-1'" in gone.err) == (2, True)


def completed(system: System, words: str) -> list[str]:
    """Return the completions that a shell offers for the last word."""
    count = len(words.split()) - (not words.endswith(" "))
    asked = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    program = [sys.executable, "-c", "from gateway.cli.main import app; app(prog_name='gateway')"]
    environment = system.place.variables() | system.variables | asked
    shown = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return shown.stdout.split()


def answer(system: System, letter: str, *arguments: str) -> CommandResult:
    """Run `gateway runs ...` at a terminal where a person types one letter."""
    controller, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, "runs", *arguments],
            env=system.place.variables() | system.variables,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(controller, f"{letter}\n".encode())
        out, err = process.communicate(timeout=100)
    finally:
        os.close(controller)
        os.close(terminal)
    return CommandResult(process.returncode, out, err)


TRAINING = """
    import gateway
    with gateway.start_run(run_id="trained", name="first", params={"lr": 0.1}, tags={"draft": "yes"}) as run:
        for step in range(2_500):
            gateway.emit("loss", 1.0, step)
        run.delete(series="loss", tag="draft")
        for step in range(3):
            gateway.emit("loss", 2.0, step)
        run.rename("train/loss", series="loss")
        gateway.emit("loss", 3.0, 0)
        run.rename("second")
    """


async def test_training_code_takes_back_and_renames_what_it_recorded_before(system: System) -> None:
    place = system.place
    sent = {"GATEWAY_URL": f"kafka://{place.kafka}", "GATEWAY_TOPIC": place.topic}
    done = await asyncio.to_thread(train, TRAINING, system.variables | sent)
    await system.until("trained", lambda log: log is not None and log.state == "finished", "the run is finished")
    await until_complete(system.store, ["trained"])
    found = [(point.series, point.step, point.value) async for point in system.store.points("trained")]
    log = await system.log("trained")

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(found) == [("loss", 0, 3.0), ("train/loss", 0, 2.0), ("train/loss", 1, 2.0), ("train/loss", 2, 2.0)]
    assert log is not None
    assert (log.name, log.tags, log.parameters) == ("second", {}, {"lr": 0.1})


async def test_an_edit_goes_through_a_gateway_server_where_training_does(system: System) -> None:
    place = system.place
    await write(place.kafka, place.topic, plain_run("run-1"))
    records = await system.until_folded()

    with serving(place.folder, place.kafka, place.topic, token="open") as server:
        refused = await system.runs(
            "tag", "run-1", "a=b", "--timeout-s", "1", GATEWAY_URL=server.url, GATEWAY_TOKEN="shut"
        )
        untouched = len(read_log(place.kafka, place.topic))
        answer = await system.runs(
            "delete", "run-1", "--tag", "team", "--yes", GATEWAY_URL=server.url, GATEWAY_TOKEN="open"
        )
    await system.until("run-1", lambda log: log is not None and set(log.tags) == {"draft"}, "the tag is gone")

    assert (refused.status, len(refused.err.splitlines()), untouched) == (2, 1, records)
    assert "refused the token" in refused.err
    assert f"nothing was changed: {STEP_401}, and run this again" in refused.err
    assert (answer.status, answer.out.splitlines()[0]) == (0, "run run-1: deleted tag team"), answer.err
