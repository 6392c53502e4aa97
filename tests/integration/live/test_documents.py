"""`POST /v1/runs/documents` answers runs with their newest points from the real store."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import events as ev
from schemas.values import JsonValue, StringValue
from schemas.wire import Envelope
from tests.support.live_server import Live, fold, serving, settings_for
from tests.support.log_author import START, Author

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


WRONG = [
    (b"", "body"), (b"[]", "body"), (b"{", "body"), (b'{"x":1}', "x"), (b'{"run_ids":"a"}', "run_ids"),
    (b'{"run_ids":["\\u0000"]}', "run_ids.0"), (b'{"limit":0}', "limit"), (b'{"where":"metrics."}', "where"),
    (b'{"stage":"x"}', "stage"), (b'{"page_token":"x"}', "page_token"), (b'{"min_offsets":"x"}', "min_offsets"),
    (b'{"run_ids":["a"],"page_token":"x"}', "page_token"), (b'{"timeout_s":61}', "timeout_s"),
]  # fmt: skip


async def test_what_cannot_be_asked_names_the_field(live: Live) -> None:
    answers = [await live.http.post("/v1/runs/documents", content=body) for body, _ in WRONG]

    named = [(answer.status_code, answer.json()["error"].partition(": ")[0]) for answer in answers]
    assert named == [(422, f"parameter {name}") for _, name in WRONG]
