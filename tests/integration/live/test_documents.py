"""`POST /v1/runs/documents` answers runs with their newest points from the real store."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import events as ev
from schemas.api import RunDocumentsPage
from schemas.subjects import Subject
from schemas.values import BoolValue, FloatValue, JsonValue, StringValue
from schemas.wire import Envelope, ProducerId, RegistryEnvelope, encode
from tests.support.live_server import Live, fold, serving, settings_for
from tests.support.log_author import START, Author, write_records
from tests.support.materialiser_process import reading

NAN = float("nan")


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


async def ask(live: Live, **body: Any) -> httpx.Response:
    return await live.http.post("/v1/runs/documents", json=body)


async def documents(live: Live, **body: Any) -> Any:
    answer = await ask(live, **body)
    assert answer.status_code == 200, answer.text
    RunDocumentsPage.model_validate(answer.json(), extra="forbid")
    return answer.json()


async def ids(live: Live, **body: Any) -> list[str]:
    return [run["run_id"] for run in (await documents(live, **body))["runs"]]


def a_run(run_id: str) -> list[Envelope]:
    author = Author(run_id)
    start = author.start(name="first", tag="digits", parent_run_id="outer")
    data = JsonValue(value={"rows": [1, 2]})
    cpu = ev.Series(
        name="system/cpu", integer=True, steps=array("q", [4]), times=array("q", [START]), values=array("d", [3])
    )
    return [
        start, author.envelope(ev.Params(time=author.now(), params={"lr": StringValue(value="0.10")})),
        author.envelope(ev.Tags(time=author.now(), tags={"team": "vision"})),
        author.envelope(ev.RunLabels(time=author.now(), labels={"data/1": data})),
        author.metrics("loss", [0.5, NAN]), author.metrics("inside", [1.0], step_name="fit"),
        author.envelope(ev.SystemMetrics(time=author.now(), series=[cpu])), author.finish(),
    ]  # fmt: skip


async def test_a_document_has_facts_parameters_tags_labels_and_newest_points(live: Live) -> None:
    await live.publish(a_run("one"))

    page = await documents(live, run_ids=["unknown", "one", "one"])
    [run] = page["runs"]

    assert {name: run[name] for name in ("run_id", "name", "experiment", "parent_run_id", "state", "attempt")} == {
        "run_id": "one", "name": "first", "experiment": "digits", "parent_run_id": "outer", "state": "finished",
        "attempt": 1,
    }  # fmt: skip
    assert (run["params"], run["tags"], run["labels"]) == (
        {"lr": "0.10"},
        {"team": "vision"},
        {"data/1": {"rows": [1, 2]}},
    )
    points = {name: (point["step"], point["value"], point["integer"]) for name, point in run["metrics"].items()}
    assert points == {"loss": (1, "NaN", False), "fit/inside": (0, 1.0, False), "system/cpu": (4, 3.0, True)}
    assert run["metrics"]["system/cpu"]["time"] == START
    assert (page["next_page_token"], page["as_of"].count(":")) == (None, 2)


async def test_pages_and_what_is_asked_for(live: Live) -> None:
    await live.publish([
        one for number in range(5) for one in (Author(f"r{number}", time=START + number * 10**6).start(),)
    ])  # fmt: skip
    late, trashed = Author("r9", time=START + 10**7), Author("r8", time=START + 10**7)

    first = await documents(live, limit=2)
    await live.publish([
        late.start(), trashed.start(), trashed.envelope(ev.LifecycleStage(time=trashed.now(), stage="deleted"))
    ])  # fmt: skip
    second = await documents(live, limit=2, page_token=first["next_page_token"])
    named = await documents(live, limit=2, run_ids=["r4", "?", "r8", "r1"])

    assert [run["run_id"] for page in (first, second) for run in page["runs"]] == ["r4", "r3", "r2", "r1"]
    assert await ids(live, where="run_id = 'r0' or run_id = 'r9'") == ["r9", "r0"]
    assert (await ids(live, stage="deleted"), len(await ids(live, stage="all"))) == (["r8"], 7)
    assert ([run["run_id"] for run in named["runs"]], named["next_page_token"]) == (["r4"], "?")
    assert await ids(live, run_ids=["r4", "?", "r8", "r1"], page_token="?") == ["r8", "r1"]


async def test_the_end_of_the_log_is_a_position_to_wait_for(live: Live) -> None:
    await live.publish_unfolded([Author("late").start()])

    answer = await ask(live, run_ids=["late"], min_offsets="end", timeout_s=0.05)
    assert (answer.status_code, "not folded within 0.05 s: 1 of partition" in answer.text) == (504, True)
    await fold(live.settings)
    assert await ids(live, run_ids=["late"], min_offsets="end") == ["late"]


KEYS = [
    ["metric", "loss"],
    ["param_text", "lr"],
    ["tag", "team"],
    ["fact", "began"],
    ["fact", "ended"],
    ["fact", "name"],
]


def sortable_runs() -> Iterator[Envelope]:
    """Yield runs that share times, names and values, and lack some of them."""
    for number, loss in enumerate([0.5, NAN, None, -math.inf, 0.5, math.inf, NAN, 0.25, -0.0]):
        author = Author(f"r{number}", time=START + number // 3 * 1_000_000)
        yield author.start(name="ab"[number % 2])
        if number % 3:
            params = {"lr": StringValue(value=str(number % 4))}
            yield author.envelope(ev.Params(time=author.now(), params=params))
            yield author.envelope(ev.Tags(time=author.now(), tags={"team": "xyz"[number % 3]}))
        if loss is not None:
            yield author.metrics("loss", [loss])
        if number % 4:
            yield author.finish()


async def test_orders_of_several_keys_are_the_same_on_pages_of_any_size(live: Live) -> None:
    await live.publish(sortable_runs())
    orders = [
        [{"key": first, "descending": down}, {"key": second, "descending": not down}]
        for first, second in itertools.combinations(KEYS, 2) for down in (True, False)
    ]  # fmt: skip
    orders.append([])  # by id

    for order in orders:
        whole, found, token = await ids(live, order_by=order), list[str](), None
        while token is not None or not found:
            page = await documents(live, order_by=order, limit=4, page_token=token)
            found += [run["run_id"] for run in page["runs"]]
            token = page["next_page_token"]
        assert (found, sorted(found)) == (whole, [f"r{number}" for number in range(9)]), order
    assert whole == sorted(whole)
    best = await ids(live, order_by=[{"key": ["metric", "loss"], "descending": True}, {"key": ["fact", "run_id"]}])
    assert best == ["r5", "r0", "r4", "r7", "r8", "r3", "r1", "r6", "r2"]


async def test_large_documents_are_read_a_few_at_once(live: Live, database: str) -> None:
    """The first FIRST_DOCUMENTS tell how many follow at once; a page ends after MAX_PAGE_BYTES."""
    wanted = [f"r{number}" for number in range(26)]
    authors = [Author(run_id) for run_id in wanted]
    await live.publish([author.start() for author in authors])
    long = {str(number): StringValue(value="x" * 200_000) for number in range(4)}
    await live.publish([one.envelope(ev.Params(time=one.now(), params=long)) for one in authors[:24]])

    found, token, pages = list[str](), None, 0
    while token is not None or not found:
        page = await documents(live, run_ids=wanted, page_token=token, limit=26)
        found += [run["run_id"] for run in page["runs"]]
        token, pages = page["next_page_token"], pages + 1
    async with reading(database) as store, store.snapshot() as now:
        read = [run_id async for run_id, _ in now.documents.read(wanted)]
    assert (found, read, pages) == (wanted, wanted, 3)


async def test_filters_as_trees_and_runs_of_experiments(live: Live) -> None:
    about = RegistryEnvelope(
        Subject("experiments", "7"), ProducerId("q"), 0, START, ev.ExperimentCreated(time=START, name="digits")
    )
    await write_records(live.settings.kafka, live.settings.topic, [encode(about)])
    by_id, by_name, none = Author("id"), Author("name"), Author("none")
    tags = [{"key": "a", "value": "b"}, {"key": 'c"', "value": "d"}]
    label = JsonValue(value={"kind": "train", "rows": [7], "tags": tags})
    await live.publish([
        by_id.start(tag="x", experiment_id="7"), by_name.start(tag="digits"), none.start(),
        by_id.envelope(ev.Params(time=by_id.now(), params={"lr": FloatValue(value=0.5), "on": BoolValue(value=True)})),
        by_id.envelope(ev.RunLabels(time=by_id.now(), labels={"data/a": label, "word": StringValue(value="o'k")})),
        by_name.envelope(ev.RunLabels(time=by_name.now(), labels={"data/b": JsonValue(value={"kind": "test"})})),
    ])  # fmt: skip

    async def found(key: list[str], op: str, *values: object) -> list[str]:
        return sorted(await ids(live, filter={"key": key, "op": op, "values": list(values)}))

    assert sorted(await ids(live, experiment_ids=["7"])) == ["id", "name"]
    assert (await ids(live, experiment_ids=[""]), await ids(live, experiment_ids=[])) == (["none"], [])
    assert len(await ids(live, experiment_ids=["7", "", "?"])) == 3
    for key, op, value in (
        (["param", "lr"], "in", "0.50"), (["param_text", "lr"], "in", "0.5"), (["param_text", "lr"], "not in", "0.50"),
        (["param_text", "on"], "in", "True"), (["label", "word"], "like", "o'_"),
        (["label", 'data/*tags/key=c"/value'], "in", "d"), (["joined", "runs:/{run_id}/x"], "like", "runs:/i%/x"),
        (["label", "data/*rows/0"], "in", "7"), (["label", "data/*kind"], "not in", "test"),
    ):  # fmt: skip
        assert await found(key, op, value) == ["id"], key
    assert (await found(["param_text", "lr"], "in", "0.50"), await found(["param_text", "on"], "in", "TRUE")) == (
        [],
        [],
    )
    assert await found(["label", "data/*kind"], "is null") == ["none"]
    assert await found(["label", "data/*tags/key=a/value"], "in", "d") == []
    lacks = {"not": {"key": ["label", "data/*"], "op": "is not null"}}
    either = {"any": [lacks, {"key": ["fact", "run_id"], "op": "in", "values": ["id"]}]}
    assert sorted(await ids(live, filter={"all": [either]}, where="state = 'lost'")) == ["id", "none"]

    path = "/v1/run-labels?experiment_id=7&experiment_id=&prefix=data/&path=kind&path=tags/key=a/value"
    listed = (await live.json(path))["labels"]
    assert listed == [
        {"experiment_id": "7", "values": ["test", None]},
        {"experiment_id": "7", "values": ["train", "b"]},
    ]
    assert (await live.json(path.replace("=7", "=8")))["labels"] == []
    assert (await live.get(path + "&path=%00")).status_code == 422


WRONG = [
    (b"", "body"), (b"[]", "body"), (b"{", "body"), (b'{"x":1}', "x"), (b'{"run_ids":"a"}', "run_ids"),
    (b'{"run_ids":["\\u0000"]}', "run_ids.0"), (b'{"limit":0}', "limit"), (b'{"where":"metrics."}', "where"),
    (b'{"stage":"x"}', "stage"), (b'{"page_token":"x"}', "page_token"), (b'{"min_offsets":"x"}', "min_offsets"),
    (b'{"run_ids":["a"],"page_token":"x"}', "page_token"), (b'{"timeout_s":61}', "timeout_s"),
    *[(b'{"filter":%b}' % tree, "filter") for tree in (
        b"[]", b'{"all":[]}', b'{"key":["x","y"],"op":"in","values":["z"]}', b'{"key":["fact","z"],"op":"is null"}',
        b'{"key":["metric","m"],"op":"<","values":["1"]}', b'{"key":["metric","m"],"op":"<","values":[NaN]}',
        b'{"key":["metric","m"],"op":"like","values":[1]}', b'{"key":["tag","t"],"op":"<","values":["1"]}',
        b'{"key":["tag","t"],"op":"in","values":[]}', b'{"key":["tag","t"],"op":"like","values":["a","b"]}',
        b'{"key":["fact","state"],"op":"in","values":["x"]}', b'{"key":["joined","{points}"],"op":"in","values":["1"]}',
        b'{"key":["tag","t"],"op":"in","values":["\\u0000"]}',
        b'{"key":["tag","t"],"op":"like","values":["\\\\"]}', b'{"not":' * 60 + b"{}" + b"}" * 60,
    )],
    *[(b'{"order_by":%b}' % keys, "order_by") for keys in (b"{}", b"[1]", b'[{"key":["label","x"]}]')],
]  # fmt: skip


async def test_what_cannot_be_asked_names_the_field(live: Live) -> None:
    answers = [await live.http.post("/v1/runs/documents", content=body) for body, _ in WRONG]

    named = [(answer.status_code, answer.json()["error"].partition(": ")[0]) for answer in answers]
    assert named == [(422, f"parameter {name}") for _, name in WRONG]
