"""A series, parameter or tag that is renamed: one series per name, even if the name is taken, and after a rebuild."""

from __future__ import annotations

import asyncio
import json
from array import array
from pathlib import Path

import pytest

from schemas import events as ev
from schemas.values import IntValue, StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author, write
from tests.support.materialiser_process import environment, materialiser, reading, until_folded
from tests.support.rebuild_process import execute, facts, rebuild


def renamed(author: Author, old: str, new: str) -> Envelope:
    return author.envelope(ev.Renamed(time=author.now(), what="series", old=old, new=new))


def deleted(author: Author, name: str) -> Envelope:
    return author.envelope(ev.Deleted(time=author.now(), what="series", name=name))


def labelled(author: Author, name: str, value: float, **labels: str) -> Envelope:
    series = ev.Series(
        name=name, labels=labels, steps=array("q", [0]), times=array("q", [author.now()]), values=array("d", [value])
    )
    return author.envelope(ev.Metrics(time=author.time, series=[series]))


def to_a_free_name(author: Author) -> list[Envelope]:
    """More than a chunk, renamed, then continued under both names."""
    long = [
        author.metrics("old", [float(i) for i in range(first, first + 350)], first_step=first)
        for first in (0, 350, 700)
    ]
    return [
        *long,
        renamed(author, "old", "new"),
        author.metrics("new", [8.0] * 700, first_step=1_050),
        author.metrics("old", [9.0]),
    ]


def to_a_taken_name(author: Author) -> list[Envelope]:
    return [
        author.metrics("old", [1.0, 2.0]),
        author.metrics("new", [3.0]),
        renamed(author, "old", "new"),
        author.metrics("old", [4.0], first_step=2),
        author.metrics("new", [5.0], first_step=1),
    ]


def to_the_name_of_a_deleted(author: Author) -> list[Envelope]:
    return [
        author.metrics("new", [1.0] * 1_200),
        deleted(author, "new"),
        author.metrics("old", [2.0]),
        renamed(author, "old", "new"),
        author.metrics("new", [3.0], first_step=1),
    ]


def deleted_and_gone_on(author: Author) -> list[Envelope]:
    return [
        author.metrics("loss", [1.0] * 1_200),
        deleted(author, "loss"),
        author.metrics("loss", [2.0, 3.0], first_step=7),
    ]


def with_labels(author: Author) -> list[Envelope]:
    """One of two is taken."""
    return [
        labelled(author, "old", 1.0, rank="0"),
        labelled(author, "old", 2.0, rank="1"),
        labelled(author, "new", 3.0, rank="1"),
        renamed(author, "old", "new"),
    ]


def exchanged(author: Author) -> list[Envelope]:
    steps = [("a", "spare"), ("b", "a"), ("spare", "b"), ("b", "b"), ("none", "a")]
    return [
        author.metrics("a", [1.0]),
        author.metrics("b", [2.0]),
        *(renamed(author, old, new) for old, new in steps),
        author.metrics("a", [3.0], first_step=1),
    ]


CASES = {
    "free": (to_a_free_name, {"new": (1_750, 8.0), "old": (1, 9.0)}),
    "taken": (to_a_taken_name, {"old": (3, 4.0), "new": (2, 5.0)}),
    "deleted": (to_the_name_of_a_deleted, {"new": (2, 3.0)}),
    "gone on": (deleted_and_gone_on, {"loss": (2, 3.0)}),
    "labels": (with_labels, {"new{rank=0}": (1, 1.0), "old{rank=1}": (1, 2.0), "new{rank=1}": (1, 3.0)}),
    "exchanged": (exchanged, {"a": (2, 3.0), "b": (1, 1.0)}),
}  # fmt: skip


async def test_a_renamed_series_has_its_name_alone_and_a_rebuild_agrees(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = [envelope for name, (made, _) in CASES.items() for envelope in made(Author(name))]
    variables = environment(kafka, topic, database, batch_records="3")
    await write(kafka, topic, envelopes)
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(envelopes))
    found = {}
    async with reading(database) as store:
        for name in CASES:
            page = await store.series(name, buckets=5_000)
            assert page is not None
            found[name] = {one.series: (len(one.points), one.last) for one in page.series}
    double = await execute(
        database,
        "SELECT run_id, name FROM series WHERE NOT deleted"
        " GROUP BY run_id, step_name, attempt, name, labels HAVING count(*) > 1",
    )
    orphans = await execute(database, "SELECT FROM chunks WHERE series_id NOT IN (SELECT series_id FROM series)")
    checked = await asyncio.to_thread(rebuild, variables, "--check", "--json")

    assert found == {name: expected for name, (_, expected) in CASES.items()}
    assert (double, orphans) == ([], [])
    assert (checked.returncode, facts(checked)["equal"]) == (0, True), checked.stderr


@pytest.mark.parametrize("batch_records", ["1", "100"])
async def test_a_taken_name_of_a_parameter_or_tag_keeps_its_value(
    kafka: str, topic: str, database: str, tmp_path: Path, batch_records: str
) -> None:
    author = Author("run")
    envelopes = [
        author.envelope(ev.Params(time=1, params={"lr": IntValue(value=1), "rate": IntValue(value=2)})),
        author.envelope(ev.Tags(time=1, tags={"old": "x", "new": "y", "free": "z"})),
        author.envelope(ev.Renamed(time=1, what="param", old="lr", new="rate")),
        author.envelope(ev.Renamed(time=1, what="tag", old="old", new="new")),
        author.envelope(ev.Renamed(time=1, what="tag", old="free", new="other")),
        author.envelope(ev.Tags(time=1, tags={"free": "again"})),
    ]
    await write(kafka, topic, envelopes)
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records=batch_records)):
        await until_folded(database, topic, len(envelopes))

    params = await execute(database, "SELECT name, value FROM params ORDER BY name")
    tags = await execute(database, "SELECT name, value FROM tags ORDER BY name")

    assert [(name, json.loads(value)["value"]) for name, value in params] == [("lr", 1), ("rate", 2)]
    assert dict(map(tuple, tags)) == {"old": "x", "new": "y", "other": "z", "free": "again"}


def seen(author: Author, name: str, text: str, **labels: str) -> Envelope:
    one = ev.Observation(name=name, labels=labels, time=author.now(), value=StringValue(value=text))
    return author.envelope(ev.Values(time=author.time, values=[one]))


async def test_observations_follow_their_series(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    author = Author("run")
    envelopes = [
        seen(author, "gone", "1"),
        deleted(author, "gone"),
        seen(author, "gone", "2"),
        seen(author, "old", "3", rank="0"),
        seen(author, "old", "4", rank="1"),
        labelled(author, "new", 1.0, rank="1"),
        renamed(author, "old", "new"),
        seen(author, "old", "5", rank="0"),
    ]
    await write(kafka, topic, envelopes)
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, len(envelopes))

    found = await execute(database, "SELECT name, value FROM observations ORDER BY log_offset")

    assert [(name, json.loads(value)["value"]) for name, value in found] == [
        ("gone", "2"), ("new", "3"), ("old", "4"), ("old", "5"),
    ]  # fmt: skip
