"""Faust ends by itself in a running materialiser: the process notices it, and ends or restarts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser, environment, until_folded

ENDING = """
import os, pathlib
from consumers.materialiser import faust_app as app, backpressure

made, built, took = app.build_app, [], backpressure.ReadAhead.add
todo = pathlib.Path(os.environ["TODO"])

def build_app(*arguments):
    built.append(made(*arguments))
    return built[0]

def take(self, partition, offset, size):  # each record, in the thread of Faust's consumer
    took(self, partition, offset, size)
    if offset == 1 and todo.exists():
        todo.unlink()
        {how}

app.build_app, backpressure.ReadAhead.add = build_app, take
from consumers.materialiser.__main__ import main
main()
"""
CRASH = 'raise RuntimeError("broken on purpose")'
OUTAGE = 'raise ConnectionResetError("the line is cut")'
STOP = "built[0].loop.call_soon_threadsafe(lambda: built[0].loop.create_task(built[0].stop()))"


async def ended_by(how: str, kafka: str, topic: str, database: str, folder: Path) -> Materialiser:
    """Return a materialiser that has folded one record and whose Faust ends in this way at the second."""
    author = Author("run")
    todo = folder / "todo"
    todo.touch()
    variables = environment(kafka, topic, database) | {"TODO": str(todo)}
    one = Materialiser(folder, variables, ("-c", ENDING.format(how=how))).until_ready()
    await write(kafka, topic, [author.start()])
    await until_folded(database, topic, 1)
    await write(kafka, topic, [author.metrics("loss", [1.0]), author.finish()])
    return one


@pytest.mark.parametrize(
    ("how", "said"),
    [(CRASH, "unexpected RuntimeError: broken on purpose"), (STOP, "unexpected RuntimeError: Faust stopped by itself")],
    ids=["crashed", "stopped"],
)
async def test_a_worker_whose_faust_ended_ends_too_and_the_next_one_goes_on(
    kafka: str, topic: str, database: str, tmp_path: Path, how: str, said: str
) -> None:
    one = await ended_by(how, kafka, topic, database, tmp_path)
    try:
        status = one.process.wait(150)
    finally:
        one.kill()

    assert status == 70, one.text()
    assert said in one.text()
    again = Materialiser(tmp_path, environment(kafka, topic, database))
    try:
        await until_folded(database, topic, 3)
    finally:
        again.kill()


async def test_a_worker_whose_faust_ended_for_want_of_kafka_begins_again_in_its_place(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    one = await ended_by(OUTAGE, kafka, topic, database, tmp_path)
    try:
        await until_folded(database, topic, 3)
        assert one.process.poll() is None, one.text()
    finally:
        one.kill()

    assert "Kafka went away (the line is cut): restarting and waiting for it" in one.text()
