"""Search of runs: the door finds the same runs as a stock server, in the same order, and refuses the same."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.support import services
from tests.support.dialect_stack import DialectStack
from tests.support.log_author import START, Author, write
from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_search_runs import Made, experiment, made_runs, names, send_to_stock, written
from tests.support.mlflow_service import MlflowServer
from tests.support.server_process import request

SEARCH = "/api/2.0/mlflow/runs/search"
FILTERS = [
    "", "metrics.loss < 0.3", "metrics.loss <= 0.25", "metrics.loss > 0", "metrics.loss >= 0", "metrics.loss = 0",
    "metrics.loss != 0", "metrics.loss != 0.5", "metrics.loss = 1e999", "metrics.loss < 1e999", "metrics.loss >= 1e999",
    "metrics.loss <= 1.7976931348623157e308", "metrics.loss >= 1.7976931348623157e308", "metrics.loss > 1e308",
    "metrics.loss < -1e308", "metrics.loss > -1e999", "metrics.loss = -3.25", "metric.loss = -3.25",
    "metrics.`val/acc` > 0.5", 'metrics."val/acc" > 0.5', "metrics.`m -x` = 2", "metrics.loss = '1'",
    "metrics.loss LIKE '1'", "metrics.none > 0", "metrics.loss > 0 and metrics.`val/acc` < 0.4", "METRICS.loss > 0",
    "metrics.loss > nan", "metrics.loss IS NULL", "metrics.loss > 0 AND params.lr = 'abc' AND tags.team = 'x'",
    "params.lr = '0.1'", "params.lr = '0.10'", "params.lr = 0.1", "params.lr != '0.1'", "params.lr = 'ABC'",
    "params.lr LIKE 'a%'", "params.lr ILIKE 'a%'", "params.lr LIKE 'a\\%%'", "params.lr LIKE '_.1'",
    "params.lr = 'True'", "params.lr = 'true'", "params.lr LIKE '%\\'", "params.lr IS NULL", "params.lr IS NOT NULL",
    "params.lr > '0'", "params.lr IN ('abc')", "params.`my key` = 'v 1'", "params.'my key' = 'v 1'",
    'params."my key" = "v 2"', "params.`a.b/c-d` = '3'", "params.a.b/c-d = '3'", "param.lr = 'abc'",
    "parameters.lr = 'abc'", "params.lr = 'it''s'", 'params.lr = "it\'s"', "params.none != 'x'", "tags.team = 'x'",
    "tags.team != 'x'", "tags.team LIKE '%'", "tags.Case = 'upper'", "tags.Case ILIKE 'UPPER'", "tags.case = 'upper'",
    "tags.`a b.c` = 'plain'", "tags.`a b.c` LIKE 'a_b\\%c'", "tags.`a b.c` LIKE 'back\\slash'", "tags.team IS NULL",
    "tags.team IS NOT NULL", "tags.`mlflow.runName` LIKE 'plain%'", "tags.mlflow.user = 'ann'",
    "tags.`mlflow.runName` IS NULL", "tag.team = 'y'", "tags.team = y", "tags.team = 1", "tags.team = ''",
    "attributes.status = 'FINISHED'", "status = 'finished'", "status != 'RUNNING'", "attr.status LIKE 'F%'",
    "run.status ILIKE 'k_lled'", "status IN ('FAILED')", "status = 'NONE'", "run_name = 'plain 0'",
    "run_name LIKE 'plain%'", "run_name ILIKE 'PLAIN%'", "run_name != 'plain 0'", "attributes.`run name` = 'plain 0'",
    'attributes."Run name" LIKE \'it%\'', "run_name LIKE '%ä%'", "user_id = 'ann'", "user_id != 'ann'",
    "user_id LIKE 'b%'", "start_time > 1700000010000", "start_time >= 1700000010000", "start_time < 1700000010000.5",
    "start_time = 1700000010000", "attributes.created <= 1700000005000", "start_time != 1700000010000",
    "start_time = '1'", "start_time > -1e400", "end_time > 1700000500000", "end_time != 0",
    "end_time <= 99999999999999999999", "end_time IS NULL", "run_id = '{0}'", "run_id != '{0}'",
    "run_id IN ('{0}', '{1}', 'x')", "run_id NOT IN ('{0}', '{1}')", "run_id IN ()", "run_id LIKE '%'",
    "run_id = ('{0}')", "attributes.run_id in ('{1}')", "run_id IN '{0}'", "run_id IN (1)",
    "artifact_uri LIKE '%{0}/artifacts'", "artifact_uri LIKE 'mlflow-artifacts:/%'", "artifact_uri != 'x'",
    "datasets.name = 'set 0'", "dataset.name != 'set 0'", "datasets.name LIKE 'set%'",
    "datasets.name IN ('set 1', 'set 2')", "datasets.digest = 'd0'", "datasets.digest NOT IN ('d0')",
    "datasets.context = 'train'", "datasets.context != 'train'", "dataset.context ILIKE 'TR%'", "datasets.other = 'x'",
    "datasets.name = 'set 0' and datasets.context = 'test'", "datasets.name > 'a'", "datasets.name IS NULL",
    "metrics.loss > 0 OR metrics.loss < 0", "(metrics.loss > 0)", "not metrics.loss > 0", "metrics.loss",
    "metrics.loss >", "> 0", "x = 'y'", "lifecycle_stage = 'active'", "experiment_id = '1'",
    "metrics.loss > 0; drop table runs", '\x00', "params.lr = '\x00'", "params.lr != '\x00'", "'", "`",
    "params.lr = 'abc", "a.b.c = 'd'", "params. = 'x'", ".x = 'y'", "and", "params.lr == 'abc'", "params.lr <> 'abc'",
    "metrics.loss > 0 and", "params.lr = 'abc' params.lr = 'abc'", "params.lr = 'é\ud83d'", "   ", "/* x */",
]  # fmt: skip
ORDERS: list[Any] = [
    [], ["metrics.loss"], ["metrics.loss DESC"], ["metrics.loss ASC", "params.lr DESC"], ["params.lr"],
    ["params.lr desc"], ["tags.team", "metrics.`val/acc` DESC"], ["tags.Case DESC", "tags.team DESC"],
    ["attributes.start_time ASC"], ["start_time DESC"], ["end_time"], ["end_time DESC"], ["run_id"],
    ["attributes.run_id DESC"], ["status", "created ASC"], ["run_name"], ["`run name` DESC"],
    ["user_id DESC", "end_time"], ["artifact_uri"], ["params.`my key`", "params.`a.b/c-d`"], ["metrics.none"],
    ["metrics.loss", "metrics.loss"], ["x"], ["metrics.loss UP"], ["datasets.name"], [""], ["metrics.loss, x"],
    ["tags.`mlflow.runName` DESC"], ["metrics.loss desc nulls last"], [5], "metrics.loss",
    ["created", "start_time DESC"],
]  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"run_view_type": "DELETED_ONLY"}, {"run_view_type": "ALL"}, {"run_view_type": 2}, {"run_view_type": "x"},
    {"max_results": 3}, {"max_results": 0}, {"max_results": -1}, {"max_results": 50000}, {"max_results": 50001},
    {"max_results": "7"}, {"max_results": "x"}, {"max_results": 2.5}, {"page_token": "x"}, {"page_token": "e30="},
    {"page_token": "!!"}, {"experiment_ids": []}, {"experiment_ids": ["x"]}, {"experiment_ids": "1"},
    {"experiment_ids": ["77"]}, {"filter": 5}, {"order_by": None}, {"filter": None}, {"experiment_ids": None},
]  # fmt: skip


def api(port: int, path: str, body: Any) -> Any:
    status, _, answer = request(port, "POST", f"/api/2.0/mlflow/{path}", json.dumps(body).encode())
    assert status == 200, answer
    return json.loads(answer)


@pytest.fixture(scope="module")
def runs(stack: DialectStack, stock: MlflowServer, door: MlflowDoor) -> list[Made]:
    """The same runs in both servers, with the same ids."""
    port = int(stock.url.rpartition(":")[2])
    named = [f"search {uuid.uuid4().hex}" for _ in range(2)]
    ids = [api(port, "experiments/create", {"name": name})["experiment_id"] for name in named]
    made = made_runs(ids)
    for run in made:
        send_to_stock(run, lambda path, body: api(port, path, body))
    envelopes = [experiment(one, name, START) for one, name in zip(ids, named, strict=True)]
    services.run(
        write(stack.place.kafka, stack.place.topic, [*envelopes, *(one for run in made for one in written(run))])
    )
    asked = json.dumps({"run_ids": [], "min_offsets": "end", "timeout_s": 60}).encode()
    assert request(int(stack.api.rpartition(":")[2]), "POST", "/v1/runs/documents", asked)[0] == 200
    return made


def answers(stock: MlflowServer, door: MlflowDoor, body: dict[str, Any]) -> tuple[Any, Any]:
    """Return what both servers answer: status, and the names of the runs or the code of the error."""
    text, found = json.dumps(body).encode(), []
    for port in (int(stock.url.rpartition(":")[2]), door.port):
        status, _, answer = request(port, "POST", SEARCH, text)
        found.append((status, names(answer) if status == 200 else json.loads(answer)["error_code"]))
    return found[0], found[1]


def differences(stock: MlflowServer, door: MlflowDoor, bodies: list[dict[str, Any]]) -> list[Any]:
    """Return the requests that the servers answer differently, and how. What fails there (500) need not fail here."""
    found = []
    for body in bodies:
        expected, got = answers(stock, door, body)
        if expected != got and not (expected[0] >= 500 > got[0]):
            found.append((body, expected, got))
    return found


def requests_of(runs: list[Made]) -> list[dict[str, Any]]:
    """Return every filter, order and other field in a request of its own."""
    usual = {"experiment_ids": sorted({run.experiment for run in runs}), "max_results": 100}
    filled = [text.replace("{0}", runs[1].run_id).replace("{1}", runs[2].run_id) for text in FILTERS]
    filters, orders = [usual | {"filter": text} for text in filled], [usual | {"order_by": keys} for keys in ORDERS]
    return [*filters, *orders, *(usual | other for other in OTHERS)]


@pytest.mark.slow
def test_filters_orders_and_pages_are_those_of_a_stock_server(
    stock: MlflowServer, door: MlflowDoor, runs: list[Made]
) -> None:
    found = differences(stock, door, requests_of(runs))
    assert not found, "\n".join(map(str, found))


def test_some_filters_orders_and_pages_are_those_of_a_stock_server(
    stock: MlflowServer, door: MlflowDoor, runs: list[Made]
) -> None:
    found = differences(stock, door, requests_of(runs)[::9])
    assert not found, "\n".join(map(str, found))


def test_pages_do_not_shift_and_make_up_the_list(stock: MlflowServer, door: MlflowDoor, runs: list[Made]) -> None:
    asked = {"experiment_ids": sorted({run.experiment for run in runs}), "order_by": ["metrics.loss"], "max_results": 7}
    whole = answers(stock, door, asked | {"max_results": 100})[0][1]
    found, tokens, token = list[str](), set[str](), None
    while token is not None or not found:
        page = api(door.port, "runs/search", asked | {"page_token": token})
        found += [run["info"]["run_name"] for run in page["runs"]]
        token = page.get("next_page_token")
        assert token not in tokens
        tokens |= {token}

    assert found == whole
    other = json.dumps(asked | {"page_token": min(filter(None, tokens)), "order_by": []}).encode()
    status, _, answer = request(door.port, "POST", SEARCH, other)
    assert (status, json.loads(answer)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_datasets_of_experiments_are_those_of_a_stock_server(
    stock: MlflowServer, door: MlflowDoor, runs: list[Made]
) -> None:
    ids = sorted({run.experiment for run in runs})
    for given in (ids, ids[:1], ["77"], [], ["x"], ids * 11, "1", None):
        found = []
        for port in (int(stock.url.rpartition(":")[2]), door.port):
            body, path = (
                json.dumps({"experiment_ids": given}).encode(),
                "/ajax-api/2.0/mlflow/experiments/search-datasets",
            )
            status, _, answer = request(port, "POST", path, body)
            content = json.loads(answer)
            rows = content.get("dataset_summaries", [])
            refusal = [content.get("error_code"), content.get("message")]
            found.append((status, sorted(map(str, rows)) if status == 200 else refusal))
        assert found[1] == found[0], given
        assert given != ids or len(rows) > 5


def test_a_search_has_what_was_just_written(door: MlflowDoor) -> None:
    made = api(door.port, "experiments/create", {"name": f"fresh {uuid.uuid4().hex}"})["experiment_id"]
    for number in range(5):
        run_id = api(door.port, "runs/create", {"experiment_id": made, "start_time": number})["run"]["info"]["run_id"]
        point = {"run_id": run_id, "key": "loss", "value": number, "timestamp": 1, "step": 0}
        api(door.port, "runs/log-metric", point)
        asked = {"experiment_ids": [made], "filter": f"metrics.loss = {number}"}
        assert [run["info"]["run_id"] for run in api(door.port, "runs/search", asked)["runs"]] == [run_id]
    assert len(api(door.port, "runs/search", {"experiment_ids": [made]})["runs"]) == 5


def test_runs_of_native_experiments_are_found_by_their_ids(stack: DialectStack, door: MlflowDoor) -> None:
    made = stack.done("experiments", "create", f"native {uuid.uuid4().hex}")
    author, name = Author(uuid.uuid4().hex), f"loss {uuid.uuid4().hex}"
    envelopes = [author.start(tag=made["name"]), author.metrics(name, [0.5]), author.finish()]
    services.run(write(stack.place.kafka, stack.place.topic, envelopes))
    stack.until(author.run_id, lambda log: log["state"] == "finished", "the run is folded")

    asked = {"experiment_ids": ["0", made["experiment_id"]], "filter": f"metrics.`{name}` > 0"}
    [found] = api(door.port, "runs/search", asked)["runs"]

    assert (found["info"]["run_id"], found["info"]["experiment_id"]) == (author.run_id, made["experiment_id"])


SCRIPT = """
import json, sys
import mlflow
found = {}
for url in sys.argv[1:3]:
    mlflow.set_tracking_uri(url)
    table = mlflow.search_runs(json.loads(sys.argv[3]), "metrics.loss > -1e999", order_by=["params.lr", "start_time"])
    found[url] = {name: list(map(str, table[name])) for name in sorted(table.columns)}
print(json.dumps(list(found.values())))
"""


def test_search_runs_of_the_client_is_the_same_table(
    stack: DialectStack, stock: MlflowServer, door: MlflowDoor, runs: list[Made]
) -> None:
    ids = json.dumps(sorted({run.experiment for run in runs}))
    expected, got = json.loads(stack.python("-c", SCRIPT, stock.url, door.url, ids).stdout)

    assert got == expected
    assert len(expected["run_id"]) > 15
    assert {"metrics.val/acc", "params.my key", "tags.a b.c", "artifact_uri"} <= expected.keys()
