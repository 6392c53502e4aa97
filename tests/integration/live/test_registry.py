"""The registry over the query API: every list, document and refusal, on a real log and a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from consumers.store.registry.search import narrowed
from consumers.store.search.filter_terms import All
from consumers.store.search.page_token import PagePosition, write_token
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope
from tests.support.live_server import Live, serving, settings_for
from tests.support.log_author import START

NAMES = ["a/b", "x/versions/3", "x/versions", "x", "%2F 100%", "ü?#&;", " "]

REFUSALS = [
    ("/v1/experiments/none", 404, "no experiment 'none'"),
    ("/v1/experiments/%00", 404, "no experiment"),
    ("/v1/models/none", 404, "no model 'none'"),
    ("/v1/models/" + "n" * 1_025, 404, "no model"),
    ("/v1/models/none/versions/3", 404, "model 'none' has no version 3"),
    ("/v1/models/none/versions/99999999999", 404, "has no version"),
    ("/v1/models/none/versions/" + "9" * 5_000, 404, "has no version 9999"),
    ("/v1/models/none/versions/%D9%A3", 404, "no model 'none/versions/٣'"),
    ("/v1/logged-models/none", 404, "no logged model 'none'"),
    ("/v1/logged-models/none/artifacts", 404, "no logged model 'none'"),
    ("/v1/logged-models/%00", 404, "no logged model"),
    ("/v1/logged-models/x/artifacts?page_token=x", 422, "page_token"),
    ("/v1/decisions/models/none?timeout_s=0", 504, "is not decided within 0 s"),
    ("/v1/decisions/runs/none", 422, "experiments"),
    ("/v1/decisions/models/none?seq=-1", 422, "seq"),
    ("/v1/experiments?state=gone", 422, "state"),
    ("/v1/experiments?where=metrics.loss<1", 422, "expected tags.NAME or a fact such as name"),
    ("/v1/experiments?where=version=1", 422, "facts are artifact_location, created, description"),
    ("/v1/models?where=name='%00'", 422, "U+0000"),
    ("/v1/model-versions?stage=%00", 422, "U+0000"),
    ("/v1/models?page_token=x", 422, "page_token"),
    ("/v1/models?order=name&page_token=x", 422, "page_token"),
    ("/v1/models?order=version", 422, "'version' is not one of name, created, updated"),
    ("/v1/experiments?order=name+up", 422, "with asc or desc behind it"),
    ("/v1/models?min_offsets=0:9&timeout_s=0", 504, "not folded within 0 s"),
    ("/v1/models/none?min_offsets=x", 422, "min_offsets"),
]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


class Asker:
    """Writes requests, each with a producer and a time of its own."""

    def __init__(self) -> None:
        self.requests: list[RegistryEnvelope] = []

    def experiment(self, experiment_id: str, kind: type[ev.ExperimentEvent], **fields: Any) -> None:
        self._add(Subject("experiments", experiment_id), kind, fields)

    def model(self, name: str, kind: type[ev.ModelEvent], **fields: Any) -> None:
        self._add(Subject("models", name), kind, fields)

    def logged_model(self, model_id: str, kind: type[ev.LoggedModelEvent], **fields: Any) -> None:
        self._add(Subject("logged_models", model_id), kind, fields)

    def _add(self, subject: Subject, kind: Any, fields: dict[str, Any]) -> None:
        number = len(self.requests)
        event = kind(time=START + number, **fields)
        self.requests.append(RegistryEnvelope(subject, ProducerId(f"p{number}"), 0, event.time, event))


@pytest.fixture
async def stocked(live: Live) -> Live:
    """The server, with experiments, models and versions."""
    ask = Asker()
    for number in range(5):
        tags = {"team": "vision" if number % 2 else "audio"}
        ask.experiment(f"e{number}", ev.ExperimentCreated, name=f"experiment {number}", tags=tags)
    ask.experiment("e1", ev.ExperimentRenamed, name="renamed")
    ask.experiment("e2", ev.ExperimentDeleted)
    ask.experiment("e3", ev.ExperimentCreated, name="refused")
    for name in NAMES:
        ask.model(name, ev.ModelRegistered, description=f"is {name}", tags={"task": "ocr"})
    for number in range(1, 5):
        ask.model(
            "x", ev.ModelVersionCreated, source=f"s3://b/{number}", run_id=f"r{number % 2}", tags={"n": str(number)}
        )
    ask.model("x/versions", ev.ModelVersionCreated, source="file:///v")
    for version, stage in ((1, "Production"), (2, "Production"), (3, "Staging")):
        ask.model("x", ev.ModelVersionStage, version=version, stage=stage)
    ask.model("x", ev.ModelAliasSet, alias="the best/1", version=2)
    ask.model("x", ev.ModelAliasSet, alias="other", version=2)
    log_models(ask)
    await live.publish(ask.requests)
    return live


def log_models(ask: Asker) -> None:
    """Add requests about logged models m0 to m5, of which m5 is deleted."""
    for number in range(6):
        ask.logged_model(
            f"m{number}", ev.LoggedModelCreated, experiment_id=f"e{number % 2}", name=f"n{number // 2}",
            params={"depth": str(number)}, tags={"team": "vision"} if number else {},
        )  # fmt: skip
        points = [
            ev.ModelPoint(
                name="acc`%", value=value, time=START, step=step, run_id="r", dataset_name="d", dataset_digest=digest
            )
            for step, (value, digest) in enumerate([(number, "1"), (9 - number, "2")])
        ]
        if number < 3:
            ask.logged_model(f"m{number}", ev.LoggedModelMetrics, metrics=points)
    ask.logged_model("m1", ev.LoggedModelStatus, status="ready")
    ask.logged_model("m5", ev.LoggedModelDeleted)
    for path in ("MLmodel", "data/a", "data/b/c"):
        ask.logged_model("m1", ev.LoggedModelArtifact, path=path, uri="u", size=1, sha256="0" * 64)
    ask.logged_model("m1", ev.LoggedModelArtifactDeleted, path="data/b")


async def column(live: Live, path: str, rows: str, field: str, **parameters: Any) -> list[Any]:
    """Return one field of each row of a list."""
    return [one[field] for one in (await live.json(path, **parameters))[rows]]


async def test_experiments_models_pages_and_decisions_are_read_and_searched(stocked: Live) -> None:
    """Five checks of one server: starting one takes longer than all of them."""
    await check_experiments(stocked)
    await check_models(stocked)
    await check_pages(stocked)
    await check_decisions(stocked)
    await check_logged_models(stocked)


async def check_experiments(live: Live) -> None:
    async def experiments(**parameters: Any) -> list[str]:
        return await column(live, "/v1/experiments", "experiments", "experiment_id", **parameters)

    assert await experiments() == ["e4", "e3", "e1", "e0"]
    assert await experiments(state="deleted") == ["e2"]
    assert await experiments(state="all", where="tags.team = 'vision'") == ["e3", "e1"]
    assert await experiments(where="name like 'experiment%' and not (tags.team = 'audio')") == ["e3"]
    assert await experiments(where="tags.team != 'audio'") == ["e3", "e1"]
    assert await experiments(where="tags.none is null and created >= 0", limit=1) == ["e4"]
    assert await experiments(where="experiment_id in ('e0', 'e2')", state="all") == ["e2", "e0"]
    assert await experiments(name="renamed") == ["e1"]
    assert await experiments(name="experiment 1") == []
    assert await experiments(name="' or 1=1 --") == []
    renamed = await live.json("/v1/experiments/e1")
    assert (renamed["name"], renamed["former_names"], renamed["state"]) == ("renamed", ["experiment 1"], "active")
    assert (await live.json("/v1/experiments/e2"))["state"] == "deleted"


async def check_pages(live: Live) -> None:
    token, seen = None, list[str]()
    while True:
        page = await live.json("/v1/experiments", state="all", limit=2, **({"page_token": token} if token else {}))
        seen += [one["experiment_id"] for one in page["experiments"]]
        if (token := page["next_page_token"]) is None:
            break
        other = await live.get("/v1/models", page_token=token)
        assert (other.status_code, "another filter" in other.text) == (422, True)
    assert seen == ["e4", "e3", "e2", "e1", "e0"]
    asked = narrowed("model_versions", All(()), [])
    for number in ("abc", "9" * 40, "-000000001", "²²²²²²²²²²"):
        made_up = await live.get(
            "/v1/model-versions", page_token=write_token(PagePosition(True, 1, number), asked, None)
        )
        assert (made_up.status_code, "not a token of this API" in made_up.text) == (422, True)
    assert page["as_of"]


async def check_models(live: Live) -> None:
    async def found(**parameters: Any) -> list[str]:
        return await column(live, "/v1/models", "models", "name", **parameters)

    async def versions(path: str = "/v1/model-versions", **parameters: Any) -> list[int]:
        return await column(live, path, "versions", "version", **parameters)

    for name in NAMES:
        document = await live.json(f"/v1/models/{quote(name, safe='')}")
        assert (document["name"], document["description"]) == (name, f"is {name}")
    assert await found(where="name like 'x%'") == ["x", "x/versions", "x/versions/3"]
    assert await found(limit=3) == NAMES[:-4:-1]
    assert await found(order="name") == sorted(NAMES)
    assert await found(order=["created desc", "name"]) == await found()
    page = await live.json("/v1/models?order=name%20desc&limit=4")
    assert page["next_page_token"] == "4"
    assert await found(order="name desc", page_token=4) == sorted(NAMES, reverse=True)[4:]
    assert [len(one["latest"]) for one in (await live.json("/v1/models?latest=true&order=name"))["models"]] == [
        3 if name == "x" else int(name == "x/versions") for name in sorted(NAMES)
    ]
    model = await live.json("/v1/models/x")
    assert (model["versions"], model["aliases"]) == (4, {"the best/1": 2, "other": 2})
    assert {one["stage"]: one["version"] for one in model["latest"]} == {"None": 4, "Production": 2, "Staging": 3}

    assert await versions("/v1/models/x/versions") == [4, 3, 2, 1]
    assert await versions("/v1/models/x/versions", order="version") == [1, 2, 3, 4]
    assert await versions("/v1/models/x/versions", stage="Production", limit=1) == [2]
    assert await versions("/v1/models/x/versions", alias="the best/1") == [2]
    assert await versions("/v1/models/x/versions", where="version > 1 and tags.n in ('1', '2', '3')") == [3, 2]
    assert await versions("/v1/models/x%2Fversions/versions") == [1]
    assert await versions(run_id="r1") == [3, 1]
    assert await versions(where="name = 'x' and run_id = 'r0'") == [4, 2]
    assert await versions(where="source like 's3://%' and alias is null") == [4, 3, 1]
    assert await versions(where="source = 'file:///v'") == [1]
    version = await live.json("/v1/models/x/versions/2")
    assert (version["source"], version["aliases"], version["stage"]) == (
        "s3://b/2",
        ["other", "the best/1"],
        "Production",
    )
    assert (await live.json("/v1/models/x%2Fversions/versions/1"))["name"] == "x/versions"
    pages = [await live.json("/v1/models/x/versions", limit=3)]
    pages.append(await live.json("/v1/models/x/versions", limit=3, page_token=pages[0]["next_page_token"]))
    assert [[one["version"] for one in page["versions"]] for page in pages] == [[4, 3, 2], [1]]


async def test_a_page_of_long_texts_ends_early(live: Live) -> None:
    ask = Asker()
    for number in range(30):
        ask.model(f"m{number}", ev.ModelRegistered, description="x" * 400_000)
    await live.publish(ask.requests)

    first = await live.json("/v1/models")
    rest = await live.json("/v1/models", page_token=first["next_page_token"])

    assert (len(first["models"]), len(rest["models"]), rest["next_page_token"]) == (21, 9, None)


async def check_logged_models(live: Live) -> None:
    async def found(**question: Any) -> list[str]:
        answer = await live.http.post("/v1/logged-models/search", json=question)
        assert answer.status_code == 200, answer.text
        return [one["model_id"] for one in answer.json()["models"]]

    on_1 = {"name": "d", "digest": "1"}
    accuracy = "metrics.acc`%"
    assert await found() == ["m4", "m3", "m2", "m1", "m0"]
    assert await found(experiment_ids=["e0"]) == ["m4", "m2", "m0"]
    assert await found(experiment_ids=[]) == []
    assert await found(where="metrics.`acc``%` > 7.5") == ["m1", "m0"]
    assert await found(where="metrics.`acc``%` >= 1", datasets=[on_1]) == ["m2", "m1"]
    assert await found(datasets=[{"name": "d", "digest": "3"}, {"name": "d"}]) == ["m2", "m1", "m0"]
    assert await found(where="params.depth != '3' and tags.team like 'v%' and name in ('n0', 'n1')") == ["m2", "m1"]
    assert await found(where="tags.team is null or status = 'ready'") == ["m1", "m0"]
    assert await found(order_by=[{"key": accuracy}]) == ["m2", "m1", "m0", "m4", "m3"]
    on_first = {"key": accuracy, "descending": True, "dataset": on_1}
    assert await found(order_by=[on_first], limit=2) == ["m2", "m1"]
    assert await found(order_by=[on_first], limit=2, offset=2) == ["m0", "m4"]
    assert await found(order_by=[{"key": "name", "descending": True}, {"key": "created"}], limit=3) == [
        "m4",
        "m2",
        "m3",
    ]
    deleted = await live.json("/v1/logged-models/m5")
    assert (deleted["state"], deleted["status"], deleted["params"]) == ("deleted", "pending", {"depth": "5"})
    model = await live.json("/v1/logged-models/m1")
    assert [(one["step"], one["value"]) for one in model["points"]] == [(0, 1.0), (1, 8.0)]
    listed = "/v1/logged-models/m1/artifacts"
    files = [[one["path"] for one in (await live.json(listed, path=path))["artifacts"]] for path in ("", "data")]
    assert files == [["MLmodel", "data"], ["data/a"]]
    below = await column(live, listed, "artifacts", "path", recursive=True, limit=1)
    assert below == ["MLmodel"]
    refused = {
        await live.http.post("/v1/logged-models/search", json=question): named
        for question, named in (
            ({"where": "points > 1"}, "metrics.NAME, params.NAME, tags.NAME or a fact such as name"),
            ({"order_by": [{"key": "params.x"}]}, "order_by"),
            ({"experiment_ids": ["\0"]}, "U+0000"),
            ({"limit": 0}, "limit"),
            ({"none": 1}, "none"),
            ([], "body"),
        )
    }
    assert [one.status_code for one in refused] == [422] * 6
    assert [named for one, named in refused.items() if named not in one.text] == []


async def check_decisions(live: Live) -> None:
    decision = await live.json("/v1/decisions/experiments/p7", timeout_s=0)
    assert (decision["outcome"], decision["reason"]) == ("exists", "the id 'e3' is that of experiment 'experiment 3'")
    assert (await live.json("/v1/decisions/models/p8"))["result"] == {"name": "a/b"}


async def test_what_cannot_be_answered_is_one_clear_error(live: Live) -> None:
    found = {path: await live.get(path) for path, _, _ in REFUSALS}

    assert [(path, found[path].status_code) for path, _, _ in REFUSALS] == [(path, one) for path, one, _ in REFUSALS]
    assert [path for path, _, answer in REFUSALS if answer not in found[path].json()["error"]] == []
    assert [path for path in found if not found[path].json()["next"]] == []


async def test_a_page_of_large_logged_models_ends_early(live: Live) -> None:
    ask = Asker()
    params = {str(number): "x" * 200_000 for number in range(4)}
    for number in range(13):
        ask.logged_model(f"m{number:02}", ev.LoggedModelCreated, experiment_id="1", name="large", params=params)
    await live.publish(ask.requests)

    pages, offset = list[list[str]](), 0
    while offset is not None:
        question = {"order_by": [{"key": "model_id"}], "offset": offset}
        page = (await live.http.post("/v1/logged-models/search", json=question)).json()
        pages.append([one["model_id"] for one in page["models"]])
        offset = page["next_offset"]
    assert [len(page) for page in pages] == [11, 2]
    assert [one for page in pages for one in page] == [f"m{number:02}" for number in range(13)]
