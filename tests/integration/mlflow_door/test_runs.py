"""Runs through the door: the same answers as a stock server, and what reaches PostgreSQL."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.dialect_stack import DialectStack
from tests.support.mlflow_calls import Answer, call, create_run, get_run, post
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.mlflow_service import MlflowServer
from tests.support.process_tree import until

LONG = "x" * 251


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def comparable(run: dict[str, Any]) -> dict[str, Any]:
    """A run without what each server chooses, its lists sorted."""
    info = {key: value for key, value in run["info"].items() if key not in ("run_id", "run_uuid", "artifact_uri")}
    data = {name: sorted(items, key=lambda one: one["key"]) for name, items in run["data"].items() if items}
    return {"info": info, "data": data}


def story(url: str) -> dict[str, Any]:
    """Do what clients do with one run, and return it."""
    run_id = create_run(
        url, run_name="first", user_id="ada",
        tags=[{"key": "mlflow.user", "value": "ada"}, {"key": "mlflow.parentRunId", "value": "p"}],
    )  # fmt: skip
    one = {"run_id": run_id}
    post(url, "/runs/log-metric", **one, key="loss", value=0.5, timestamp=1_700_000_000_001, step=1)
    post(url, "/runs/log-metric", **one, key="loss", value=0.25, timestamp=1_700_000_000_000, step=3)
    post(url, "/runs/log-metric", **one, key="loss", value=9.0, timestamp=1_700_000_000_009, step=2)
    post(url, "/runs/log-metric", **one, key="odd", value="NaN", timestamp=1_700_000_000_000)
    post(url, "/runs/log-metric", **one, key="up", value="Infinity", timestamp=1_700_000_000_000)
    post(url, "/runs/log-metric", run_uuid=run_id, key="down", value="-Infinity", timestamp="1700000000000", step="4")
    post(url, "/runs/log-parameter", **one, key="lr", value="0.1")
    post(url, "/runs/log-parameter", **one, key="lr", value="0.1")
    post(url, "/runs/log-parameter", **one, key="long", value="v" * 6_001)
    post(url, "/runs/set-tag", **one, key="team", value="a")
    post(url, "/runs/set-tag", **one, key="gone", value="a")
    post(url, "/runs/delete-tag", **one, key="gone")
    post(url, "/runs/set-tag", **one, key="mlflow.runName", value="second")
    post(
        url, "/runs/log-batch", **one,
        metrics=[{"key": "tied", "value": v, "timestamp": 5, "step": 0} for v in (1.0, 3.0, 2.0, 3.0)],
        params=[{"key": "lr", "value": "0.1"}, {"key": "empty", "value": ""}],
        tags=[{"key": "team", "value": "b"}, {"key": "long", "value": "t" * 8_001}],
    )  # fmt: skip
    model = {"artifact_path": "model", "flavors": {"f": {"config": 1, "v": 2}}, "utc_time_created": "t", **one}
    stripped = dict(model, run_id="r")
    post(url, "/runs/log-model", **one, model_json=json.dumps(stripped))
    post(url, "/runs/update", **one, status="FAILED", end_time=1_700_000_009_000)
    post(url, "/runs/update", **one, status="FINISHED", end_time=1_700_000_005_000, run_name="third")
    post(url, "/runs/delete", **one)
    post(url, "/runs/delete", **one)
    assert get_run(url, run_id)["info"]["lifecycle_stage"] == "deleted"
    refused = call(url, "POST", "/runs/log-metric", {**one, "key": "loss", "value": 1, "timestamp": 1})
    assert (refused.status, refused.code) == (400, "INVALID_PARAMETER_VALUE")
    assert refused.body["message"] == f"The run {run_id} must be in the 'active' state. Current state is deleted."
    post(url, "/runs/restore", **one)
    return get_run(url, run_id)


def test_a_run_is_shown_as_by_a_stock_server(door: MlflowDoor, stock: MlflowServer) -> None:
    here, there = comparable(story(door.url)), comparable(story(stock.url))
    assert here["info"] == there["info"]
    for part in ("metrics", "params", "tags"):
        assert here["data"][part] == there["data"][part]


def cases(url: str) -> list[tuple[str, Answer]]:
    """The answers to bad calls, with the name of each."""
    run_id = create_run(url, run_name="bad")
    post(url, "/runs/log-parameter", run_id=run_id, key="lr", value="0.1")
    metric = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
    both = {"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/runs/create", {"experiment_id": "999999", "start_time": 1}),
        ("/runs/create", {"experiment_id": "abc", "start_time": 1}),
        ("/runs/create", {"experiment_id": 7}),
        ("/runs/create", {"experiment_id": "0", **both}),
        ("/runs/update", {"run_id": "none", "status": "FINISHED"}),
        ("/runs/update", {"status": "FINISHED"}),
        ("/runs/delete", {"run_id": "none"}),
        ("/runs/restore", {"run_id": "none"}),
        ("/runs/restore", {}),
        *[
            ("/runs/log-metric", {"run_id": run_id, **metric, **odd})
            for odd in (
                {"run_id": "none"}, {"key": ""}, {"key": LONG}, {"key": "a//b"}, {"key": "../a"}, {"key": "50%"},
                {"value": "x"}, {"value": None}, {"timestamp": "x"}, {"timestamp": -1}, {"step": "x"}, {"step": 2**63},
            )
        ],
        *[
            ("/runs/log-parameter", {"run_id": run_id, "key": "k", "value": "v", **odd})
            for odd in ({"run_id": "none"}, {"key": "lr", "value": "0.2"}, {"key": LONG}, {"key": "/a"}, {"value": 5})
        ],
        *[
            ("/runs/set-tag", {"run_id": run_id, "key": "k", "value": "v", **odd})
            for odd in ({"run_id": "none"}, {"key": LONG}, {"key": "a/./b"}, {"key": None})
        ],
        ("/runs/delete-tag", {"run_id": run_id, "key": "none"}),
        ("/runs/delete-tag", {"run_id": "none", "key": "none"}),
        *[
            ("/runs/log-batch", {"run_id": run_id, **odd})
            for odd in (
                {"run_id": "none"}, {"run_id": "no id!"}, {"metrics": [{**metric, "step": n} for n in range(1_001)]},
                {"params": [{"key": f"p{n}", "value": "v"} for n in range(101)]},
                {"tags": [{"key": f"t{n}", "value": "v"} for n in range(101)]},
                {"metrics": [{**metric, "step": n} for n in range(950)],
                 "params": [{"key": f"p{n}", "value": "v"} for n in range(51)]},
                {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]},
                {"params": [{"key": "lr", "value": "0.3"}], "metrics": [metric]},
                {"metrics": [{"key": "m", "timestamp": 1}]}, {"metrics": [metric, {**metric, "key": "a//b"}]},
                {"params": [{"value": "1"}]}, {"tags": [{"value": "1"}]}, {"metrics": "x"},
                {"tags": [{"key": LONG, "value": "1"}]}, {"params": [{"key": "a//b", "value": "1"}]},
            )
        ],
        ("/runs/log-model", {"run_id": run_id, "model_json": "{"}),
        ("/runs/log-model", {"run_id": run_id, "model_json": "{}"}),
        ("/runs/log-model", {"run_id": run_id}),
    ]  # fmt: skip
    found = [(f"{number} {path}", call(url, "POST", path, fields)) for number, (path, fields) in enumerate(calls)]
    found += [("get none", call(url, "GET", "/runs/get", run_id="none")), ("get", call(url, "GET", "/runs/get"))]
    found.append(("what they wrote", Answer(200, get_run(url, run_id)["data"])))
    return [(name, Answer(one.status, _without(one.body, run_id))) for name, one in found]


def _without(body: Any, run_id: str) -> Any:
    if "error_code" not in body:
        return {name: body.get(name) for name in ("metrics", "params")}
    return {"error_code": body["error_code"], "message": str(body["message"]).replace(run_id, "RUN")}


def test_bad_calls_are_refused_as_by_a_stock_server(door: MlflowDoor, stock: MlflowServer) -> None:
    for (name, here), (_, there) in zip(cases(door.url), cases(stock.url), strict=True):
        assert (name, here.status, here.code) == (name, there.status, there.code), (here, there)
        if here.status == 200:
            assert here == there, name
        elif "missing mandatory" not in there.body["message"]:  # MLflow prints a set
            assert here.body["message"][:60] == there.body["message"][:60]


def rows(stack: DialectStack, run_id: str) -> int:
    """How many points PostgreSQL has of a run."""
    ((points,),) = stack.rows("SELECT points FROM runs WHERE run_id = $1", run_id)
    return int(points)


def test_32_writers_of_one_run_lose_nothing_and_its_producer_says_so(stack: DialectStack, door: MlflowDoor) -> None:
    run_id = create_run(door.url)

    def write(writer: int) -> None:
        for step in range(10):
            fields = {"key": f"m{writer}", "value": step, "timestamp": now_ms(), "step": step}
            for _ in range(2):  # as a client does that had no answer
                post(door.url, "/runs/log-metric", run_id=run_id, **fields)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(write, range(32)))
    post(door.url, "/runs/update", run_id=run_id, status="FINISHED", end_time=now_ms())
    assert len(get_run(door.url, run_id)["data"]["metrics"]) == 32
    log = stack.log(run_id)
    (producer,) = log["completeness"]
    assert rows(stack, run_id) == 320
    assert (log["state"], producer["received"], producer["missing"]) == ("finished", producer["expected"], [])


def test_of_two_values_of_a_param_one_counts_and_each_writer_learns_it(door: MlflowDoor) -> None:
    run_id = create_run(door.url)

    def write(value: int) -> Answer:
        return call(door.url, "POST", "/runs/log-parameter", {"run_id": run_id, "key": "lr", "value": str(value)})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(8)))
    (param,) = get_run(door.url, run_id)["data"]["params"]
    assert [value for value, answer in enumerate(answers) if answer.status == 200] == [int(param["value"])]
    assert {answer.code for answer in answers if answer.status != 200} == {"INVALID_PARAMETER_VALUE"}


def test_two_doors_agree_on_a_param(stack: DialectStack) -> None:
    with mlflow_door(stack, mlflow_doors="2") as one, mlflow_door(stack, mlflow_doors="2") as other:
        run_id = create_run(one.url)
        get_run(other.url, run_id)

        def write(place: tuple[MlflowDoor, str]) -> Answer:
            fields = {"run_id": run_id, "params": [{"key": "lr", "value": place[1]}]}
            return call(place[0].url, "POST", "/runs/log-batch", fields)

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(write, [(one, "1"), (other, "2")]))
        (param,) = get_run(one.url, run_id)["data"]["params"]
        (winner,) = [value for value, answer in zip("12", answers, strict=True) if answer.status == 200]
        assert param["value"] == winner
        (loser,) = [answer for answer in answers if answer.status != 200]
        assert "Changing param values is not allowed" in loser.body["message"]


def test_a_door_that_is_stopped_reports_how_much_it_wrote(stack: DialectStack) -> None:
    with mlflow_door(stack) as one:
        run_id = create_run(one.url)
        post(one.url, "/runs/log-metric", run_id=run_id, key="m", value=1, timestamp=now_ms())
        one.end(signal.SIGTERM)
    until(lambda: (stack.log(run_id).get("completeness") or [{}])[0].get("expected"), "the producer has closed")
    (producer,) = stack.log(run_id)["completeness"]
    assert (producer["received"], producer["expected"], producer["missing"]) == (4, 4, [])
    assert stack.log(run_id)["state"] == "running"


NATIVE = """
import gateway
with gateway.start_run("by-the-client", run_id="native", params={"lr": 0.1, "layers": [1, 2]}) as run:
    gateway.emit("loss", 0.5, step=3)
    gateway.emit("loss", 0.25, step=4, labels={"rank": 0})
with gateway.start_run(run_id="native", resume=True):
    gateway.emit("accuracy", 0.75, step=4)
"""


def test_a_native_run_is_shown_and_continued(stack: DialectStack, door: MlflowDoor) -> None:
    stack.python("-c", NATIVE)
    stack.until("native", lambda log: "accuracy" in str(log) and log["state"] == "finished", "both attempts are folded")
    run = get_run(door.url, "native")
    assert (run["info"]["run_name"], run["info"]["status"]) == ("by-the-client", "FINISHED")
    assert {one["key"]: one["value"] for one in run["data"]["params"]} == {"lr": "0.1", "layers": "[1,2]"}
    assert {one["key"]: one["value"] for one in run["data"]["metrics"]} == {
        "accuracy": 0.75, "loss": 0.5, "loss::rank:0": 0.25,
    }  # fmt: skip

    changed = call(door.url, "POST", "/runs/log-parameter", {"run_id": "native", "key": "lr", "value": "0.2"})
    assert "was already logged with value='0.1'" in changed.body["message"]
    post(door.url, "/runs/update", run_id="native", status="RUNNING")
    assert get_run(door.url, "native")["info"]["status"] == "RUNNING", "of the attempt that counts"
    post(door.url, "/runs/log-metric", run_id="native", key="loss", value=0.125, timestamp=now_ms(), step=5)
    post(door.url, "/runs/update", run_id="native", status="KILLED", end_time=now_ms())
    log = stack.until("native", lambda log: log["state"] == "killed", "its end is folded")
    assert (log["state"], log["steps"]["main"]["user_defined_metrics"]["loss"]) == ("killed", {"3": 0.5, "5": 0.125})
