"""What pages and clients change: views, rules of alerts and runs, on a real log, a fold and a store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from gateway.cli import main
from schemas import events as ev
from schemas.runtime.access.tokens import create_token
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope
from tests.support.live_server import Live, folding, serving, settings_for, training, until
from tests.support.log_author import START, Author

BODY = {"zeta": [1, 2.5, None, True, "é"], "alpha": {"deep": {"er": []}}}
OTHER = "00000000-0000-4000-8000-000000000000"

REFUSALS: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "/v1/views/a%2Fb", {"name": "n", "body": {}}, 422, "contains /"),
    ("PUT", "/v1/views/" + "v" * 257, {"name": "n", "body": {}}, 422, "256 characters"),
    ("PUT", "/v1/views/%00", {"name": "n", "body": {}}, 422, "U+0000"),
    ("PUT", "/v1/views/v", b"no json", 422, "it is no JSON"),
    ("PUT", "/v1/views/v", b'{"name": "n", "body": {"x": NaN}}', 422, "it is no JSON"),
    ("PUT", "/v1/views/v", {"body": {}}, 422, "name: Field required"),
    ("PUT", "/v1/views/v", {"name": "", "body": {}}, 422, "name"),
    ("PUT", "/v1/views/v", {"name": "n", "body": []}, 422, "body"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {}, "colour": 1}, 422, "colour"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {}, "type": "a\x00"}, 422, "U+0000"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {}, "based_on": -1}, 422, "based_on"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {"x": "\x00"}}, 422, "U+0000"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {"x": "y" * 262_144}}, 422, "262,144"),
    ("PUT", "/v1/views/v", {"name": "n", "body": {"x": "y" * 600_000}}, 413, "524,288 bytes"),
    ("PUT", "/v1/views/v", b'{"name": "n", "body": ' + b'{"x":' * 101 + b"1" + b"}" * 102, 422, "nested"),
    ("PUT", "/v1/alert-rules/r", {"name": "n", "body": {}, "type": "t"}, 422, "type"),
    ("DELETE", "/v1/alert-rules/none", None, 404, "no alert rule with the id 'none'"),
    ("PUT", "/v1/views/none", {"name": "n", "body": {}, "based_on": 3}, 404, "no view with the id 'none'"),
    ("GET", "/v1/views/none", None, 404, "no view 'none'"),
    ("GET", "/v1/views/none/versions", None, 404, "no view 'none'"),
    ("GET", "/v1/views?page_token=x", None, 422, "page_token"),
    ("GET", "/v1/views?search=%00", None, 422, "U+0000"),
    ("GET", "/v1/runs/none/metric-definitions", None, 404, "no run 'none'"),
    ("GET", "/v1/runs/a/metric-definitions?page_token=%00", None, 422, "page_token"),
    ("POST", "/v1/metric-definitions", {}, 422, "neither or both"),
    ("POST", "/v1/metric-definitions", {"runs": ["\x00"]}, 422, "runs"),
    ("POST", "/v1/runs/none/edits", {"note": "n"}, 404, "no run 'none'"),
    ("POST", "/v1/runs/a/edits", {}, 422, "it changes nothing"),
    ("POST", "/v1/runs/a/edits", {"tags": {"": "x"}}, 422, "tags"),
    ("POST", "/v1/runs/a/edits", {"tags": {"x": 3}}, 422, "tags"),
    ("POST", "/v1/runs/a/edits", {"stage": "gone"}, 422, "stage"),
    ("POST", "/v1/runs/a/edits", {"note": "\x00"}, 422, "U+0000"),
    ("POST", "/v1/runs/a/edits", {"params": {"x": {"y": "\x00"}}}, 422, "U+0000"),
]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running, folding(running.settings):
        yield running


async def put(live: Live, path: str, *, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await live.http.put(path, json=body, headers=headers)


async def test_views_rules_and_runs_are_changed_and_read(live: Live) -> None:
    """Nine checks of one server: starting one takes longer than all of them."""
    await live.publish_unfolded([*training("a"), *definitions("b"), *definitions("c", more=True)])
    await live.json("/v1/runs", min_offsets="end")
    await check_versions(live)
    await check_rules_and_lists(live)
    await check_repeated_requests(live)
    await check_two_writers(live)
    await check_refusals(live)
    await check_commands(live)
    await check_edits_of_a_run(live)
    await check_definitions(live)
    await check_best_values(live)


async def check_versions(live: Live) -> None:
    first = await put(live, "/v1/views/one", name="Losses", type="workspace", body=BODY, description="d", based_on=0)
    assert (first.status_code, first.json()["version"]) == (200, 1), first.text
    seen = await live.json("/v1/views/one", min_offsets=first.json()["as_of"])
    assert (seen["name"], seen["type"], seen["version"], seen["newest_version"]) == ("Losses", "workspace", 1, 1)
    assert (list(seen["body"]), seen["body"], seen["state"]) == (["zeta", "alpha"], BODY, "active")

    second = await put(live, "/v1/views/one", name="All losses", type="workspace", body={}, based_on=1)
    late = await put(live, "/v1/views/one", name="Mine", body={}, based_on=1)
    taken = await put(live, "/v1/views/one", name="Mine", body={}, based_on=0)
    assert second.json()["version"] == 2
    assert (late.status_code, late.json()["outcome"], late.json()["version"]) == (409, "changed", 2)
    assert (taken.status_code, taken.json()["outcome"]) == (409, "exists")

    await live.http.delete("/v1/views/one")
    gone = await live.http.delete("/v1/views/one")
    assert (gone.status_code, gone.json()["outcome"]) == (404, "deleted")
    assert (await live.json("/v1/views/one"))["state"] == "deleted"
    assert (await put(live, "/v1/views/one", name="x", body={}, based_on=2)).json()["outcome"] == "deleted"
    third = await put(live, "/v1/views/one", name="Again", body={})
    assert (third.json()["version"], (await live.json("/v1/views/one"))["state"]) == (3, "active")
    assert (await live.json("/v1/views/one", version=1))["body"] == BODY
    assert (await live.get("/v1/views/one?version=4")).status_code == 404
    versions = await live.json("/v1/views/one/versions", limit=2)
    assert [one["version"] for one in versions["versions"]] == [3, 2]
    rest = await live.json("/v1/views/one/versions", page_token=versions["next_page_token"])
    assert ([one["name"] for one in rest["versions"]], rest["next_page_token"]) == (["Losses"], None)


async def check_rules_and_lists(live: Live) -> None:
    for number in range(5):
        await put(live, f"/v1/views/v{number}", name=f"View {number}", type="compare", body={"n": number})
    saved = await put(live, "/v1/alert-rules/one", name="NaN", body={"when": {"kind": "nan"}}, enabled=False)
    assert (await live.json("/v1/alert-rules/one", min_offsets=saved.json()["as_of"]))["enabled"] is False
    rules = (await live.json("/v1/alert-rules", bodies=True))["alert_rules"]
    assert [(one["id"], one["body"]) for one in rules] == [("one", {"when": {"kind": "nan"}})]
    token, seen = None, list[str]()
    while True:
        page = await live.json("/v1/views", type="compare", limit=2, **({"page_token": token} if token else {}))
        seen += [one["id"] for one in page["views"]]
        assert [one["body"] for one in page["views"]] == [None] * len(page["views"])
        if (token := page["next_page_token"]) is None:
            break
        other = await live.get("/v1/views", type="run", page_token=token)
        assert other.status_code == 422
    assert seen == ["v4", "v3", "v2", "v1", "v0"]
    assert [one["id"] for one in (await live.json("/v1/views", search="3 VIEW"))["views"]] == ["v3"]
    await live.http.delete("/v1/views/v0")
    deleted = await live.json("/v1/views", state="deleted")
    assert [one["id"] for one in deleted["views"]] == ["v0"]


async def check_repeated_requests(live: Live) -> None:
    key = str(uuid4())
    first, again = [await put(live, "/v1/views/twice", key=key, name="n", body={}) for _ in range(2)]
    assert (first.json()["version"], again.json()["version"]) == (1, 1)
    other = await put(live, "/v1/views/other", key=key, name="n", body={})
    assert (other.status_code, "another" in other.text or "was that of" in other.text) == (409, True)
    assert (await put(live, "/v1/views/twice", key="no uuid", name="n", body={})).status_code == 422


async def check_two_writers(live: Live) -> None:
    """Of writers that saw the same version, one is saved, and each other learns of a newer one."""
    await put(live, "/v1/views/shared", name="n", body={})
    answers = await asyncio.gather(
        *(put(live, "/v1/views/shared", name=f"n{number}", body={}, based_on=1) for number in range(8))
    )
    assert sorted(one.status_code for one in answers) == [200] + [409] * 7
    assert {one.json()["version"] for one in answers} == {2}


async def check_refusals(live: Live) -> None:
    for method, path, body, status, words in REFUSALS:
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        answer = await live.http.request(method, path, content=content)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), (path, body, answer.text)
    assert (await live.json("/v1/views", search="n"))["next_page_token"] is None


async def check_commands(live: Live) -> None:
    variables = {
        "GATEWAY_URL": f"kafka://{live.settings.kafka}", "GATEWAY_TOPIC": live.settings.topic,
        "GATEWAY_LIVE_URL": live.url, "GATEWAY_HOME": str(live.settings.home),
    }  # fmt: skip

    async def views(*words: str, given: str = "") -> str:
        done = await asyncio.to_thread(CliRunner().invoke, main.app, ["views", *words], input=given, env=variables)
        return done.stdout + done.stderr

    await views("save", "by-hand", "-", "--name", "By hand", "--type", "run", given='{"z": "\\\\u0000", "a": [1]}')
    assert "version 2 of view by-hand" in await views("save", "by-hand", "-", given='{"b": 2}')
    late = await views("save", "by-hand", "-", "--based-on", "1", given="{}")
    assert "the newest version of view 'By hand' is 2, and not 1: read the newest version" in " ".join(late.split())
    assert json.loads(await views("show", "by-hand", "--version", "1")) == {"z": "\\u0000", "a": [1]}
    listed = json.loads(await views("list", "--type", "run", "--json"))["views"]
    assert [(one["id"], one["name"], one["version"]) for one in listed] == [("by-hand", "By hand", 2)]
    assert "U+0000" in await views("save", "by-hand", "-", given='{"z": "\\u0000"}')
    assert "is deleted" in await views("delete", "by-hand")
    assert "no views" in await views("list", "--type", "run")
    assert "is deleted already" in await views("delete", "by-hand")


async def check_edits_of_a_run(live: Live) -> None:
    async def edit(key: str | None = None, **body: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await live.http.post("/v1/runs/a/edits", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def log(since: dict[str, Any]) -> Any:
        return await live.json("/v1/runs/a/log", min_offsets=since["as_of"])

    done = await edit(
        tags={"team": "vision", "old": "1"}, note="Better.", name="renamed",
        params={"lr": 0.5, "deep": {"x": [1]}, "n": 3, "amp": True},
    )  # fmt: skip
    seen = await log(done)
    assert (seen["tags"], seen["note"], seen["name"]) == ({"team": "vision", "old": "1"}, "Better.", "renamed")
    summary = (await live.json("/v1/runs"))["runs"]
    params = next(one["params"] for one in summary if one["run_id"] == "a")
    assert (params["lr"], params["deep"], params["n"], params["amp"]) == (0.5, {"x": [1]}, 3, True)

    key = str(uuid4())
    first = await edit(key, tags={"old": None, "new": "2"})
    assert (await log(first))["tags"] == {"team": "vision", "new": "2"}
    await log(await edit(tags={"new": "3"}))
    again = await edit(key, tags={"old": None, "new": "2"})
    assert (first["request_id"], (await log(again))["tags"]["new"]) == (key, "3")
    used = await live.http.post("/v1/runs/a/edits", json={"note": "x"}, headers={"Idempotency-Key": key})
    assert used.status_code == 409

    ends = [(one["received"], one["expected"]) for one in (await log(again))["completeness"]]
    assert sorted(ends, key=str) == [(2, 2), (3, 3), (4, None), (5, 5)]  # None: the training still runs
    text = create_token(live.settings.tokens_path, "ada", ["read", "write"])[1]
    shown = {"Authorization": f"Bearer {text}"}

    async def is_ada() -> bool:
        return bool((await live.http.get("/v1/me", headers=shown)).json().get("name") == "ada")

    await until(is_ada, "the token is in force")
    hers = (await live.http.post("/v1/runs/a/edits", json={"tags": {"new": "3"}}, headers=shown)).json()
    authors = {one["producer"]: one["author"] for one in (await log(hers))["completeness"]}
    assert {authors.pop(hers["request_id"]), *authors.values()} == {"ada", ""}
    await log(await edit(stage="deleted"))
    assert "a" not in [one["run_id"] for one in (await live.json("/v1/runs"))["runs"]]
    await log(await edit(stage="active"))
    assert "a" in [one["run_id"] for one in (await live.json("/v1/runs"))["runs"]]


def definitions(run_id: str, *, more: bool = False) -> list[Any]:
    """Return a run that defines its metrics; one definition is replaced by a later one."""
    author = Author(run_id)
    said = [
        ev.MetricDefined(time=author.now(), name="loss", goal="max"),
        ev.MetricDefined(time=author.now(), name="val/*", x="epoch", panel="Validation"),
        ev.MetricDefined(time=author.now(), name="loss", goal="min", unit="nat", alarm="> 10"),
    ]
    said += [ev.MetricDefined(time=author.now(), name="acc", goal="max", hidden=True)] if more else []
    return [author.start(tag="digits"), *map(author.envelope, said)]


def with_goals() -> list[Any]:
    """Return a run whose metrics have goals, also by patterns with characters that SQL reads in its own way."""
    author = Author("d")
    goals = {"loss": "min", "*/a_c%": "max", "*": "min", "plain*": "", r"back\*": "max"}
    said = [ev.MetricDefined(time=author.now(), name=name, goal=goal) for name, goal in goals.items()]
    return [
        author.start(), *map(author.envelope, said), author.metrics("loss", (0.5, 0.25, float("nan"), float("-inf"))),
        author.metrics("loss", (0.125,), attempt=2), author.metrics("a_c%", (2.0, 9.0), step_name="val"),
        author.metrics("abc%", (2.0, 9.0), step_name="val"), author.metrics("plain/x", (1.0,)),
        author.metrics(r"back\slash", (3.0, 4.0)), author.metrics("empty", (float("nan"),)),
    ]  # fmt: skip


async def check_best_values(live: Live) -> None:
    await live.publish_unfolded(with_goals())
    best = {"loss": 0.125, "val/a_c%": 9.0, "val/abc%": 2.0, r"back\slash": 4.0}
    runs = (await live.json("/v1/runs", min_offsets="end"))["runs"]
    assert {one["run_id"]: one["best"] for one in runs if one["best"]} == {"d": best}
    assert (await live.json("/v1/runs/d/log"))["best"] == best


async def check_definitions(live: Live) -> None:
    experiment = RegistryEnvelope(
        Subject("experiments", "9"), ProducerId("e"), 0, START, ev.ExperimentCreated(time=START, name="digits")
    )
    await live.publish_unfolded([experiment])
    page = await live.json("/v1/runs/b/metric-definitions", min_offsets="end")
    said = [(one["name"], one["goal"], one["unit"], one["x"], one["alarm"]) for one in page["definitions"]]
    assert said == [("loss", "min", "nat", "", "> 10"), ("val/*", "", "", "epoch", "")]
    part = await live.json("/v1/runs/b/metric-definitions", limit=1)
    assert [one["name"] for one in part["definitions"]] == ["loss"]
    rest = await live.json("/v1/runs/b/metric-definitions", limit=1, page_token=part["next_page_token"])
    assert ([one["name"] for one in rest["definitions"]], rest["next_page_token"]) == (["val/*"], None)
    assert (await live.json("/v1/runs/a/metric-definitions"))["definitions"] == []

    async def common(**question: Any) -> list[tuple[str, str, int, list[str] | None]]:
        answer = await live.http.post("/v1/metric-definitions", json=question)
        assert answer.status_code == 200, answer.text
        return [(one["name"], one["goal"], one["runs"], one["run_ids"]) for one in answer.json()["definitions"]]

    both = [("acc", "max", 1, ["c"]), ("loss", "min", 2, ["b", "c"]), ("val/*", "", 2, ["b", "c"])]
    assert await common(runs=["b", "c", "c", "a", "none"]) == both
    assert await common(experiment="9") == [(name, goal, runs, None) for name, goal, runs, _ in both]
    assert await common(runs=["c"], page_token="acc") == [("loss", "min", 1, ["c"]), ("val/*", "", 1, ["c"])]
