"""Our own filters find the same runs as a stock MLflow server, for filters of its grammar."""

from __future__ import annotations

import json
import math
import random
import uuid
from typing import Any

import pytest

from schemas.wire import Envelope, RegistryEnvelope
from tests.support import services
from tests.support.dialect_stack import DialectStack
from tests.support.log_author import START, write
from tests.support.mlflow_search_runs import Made, experiment, made_runs, names, send_to_stock, written
from tests.support.mlflow_service import MlflowServer
from tests.support.server_process import request

NUMBERS = ["0.25", "0", "-3.25", "2", "1e308", "-1e999", "0.5", "100"]
TEXTS = ["x", "plain 0", "abc", "ABC", "v 1", "upper", "a_b%c 3", "none", "ÄÖ ü 4", "ann"]
PATTERNS = ["%", "plain%", "PLAIN%", "%a%", "_bc", "v _", "a\\\\_b%", "x"]
METRICS = ["metrics.loss", "metrics.`val/acc`", 'metrics."m -x"', "metric.none"]
TEXT_KEYS = [
    "params.lr", "params.`my key`", 'params."a.b/c-d"', "tags.team", "tags.`a b.c`", "tags.`Case`", "tags.mlflow.user",
    "attributes.run_name", "params.none",
]  # fmt: skip
TIMES = ["start_time", "attributes.start_time", "attributes.end_time"]
STATES = ["RUNNING", "FINISHED", "FAILED", "KILLED"]


def comparison(chance: random.Random, ids: list[str]) -> str:
    """Return one comparison of MLflow's grammar."""
    kind = chance.choice(["metric", "text", "text", "pattern", "time", "state", "id"])
    sign = chance.choice(["<", "<=", ">", ">=", "=", "!="])
    if kind == "metric":
        return f"{chance.choice(METRICS)} {sign} {chance.choice(NUMBERS)}"
    if kind == "time":
        return f"{chance.choice(TIMES)} {sign} {1_700_000_000_000 + chance.randrange(0, 600) * 1_000}"
    if kind == "state":
        name = chance.choice(["status", "attributes.status"])
        return f"{name} {sign if sign == '!=' else '='} '{chance.choice(STATES)}'"
    if kind == "id":
        return f"run_id {chance.choice(['IN', 'NOT IN'])} ({', '.join(repr(one) for one in chance.sample(ids, 3))})"
    if kind == "pattern":
        return f"{chance.choice(TEXT_KEYS)} {chance.choice(['LIKE', 'ILIKE'])} '{chance.choice(PATTERNS)}'"
    return f"{chance.choice(TEXT_KEYS)} {chance.choice(['=', '!='])} '{chance.choice(TEXTS)}'"


@pytest.fixture(scope="module")
def runs(stack: DialectStack, stock: MlflowServer) -> list[Made]:
    """The same runs in both, with the same ids; without values that MLflow stores as others (NaN, infinities)."""
    port = int(stock.url.rpartition(":")[2])
    named = [f"native {uuid.uuid4().hex}" for _ in range(2)]
    ids = [api(port, "experiments/create", {"name": name})["experiment_id"] for name in named]
    made = made_runs(ids)
    for run in made:
        run.metrics = [one for one in run.metrics if math.isfinite(one["value"])]
        send_to_stock(run, lambda path, body: api(port, path, body))
    envelopes = [experiment(one, name, START) for one, name in zip(ids, named, strict=True)]
    events: list[Envelope | RegistryEnvelope] = [*envelopes, *(one for run in made for one in written(run))]
    services.run(write(stack.place.kafka, stack.place.topic, events))
    asked = json.dumps({"run_ids": [], "min_offsets": "end", "timeout_s": 60}).encode()
    assert request(int(stack.api.rpartition(":")[2]), "POST", "/v1/runs/documents", asked)[0] == 200
    return made


def api(port: int, path: str, body: Any) -> Any:
    status, _, answer = request(port, "POST", f"/api/2.0/mlflow/{path}", json.dumps(body).encode())
    assert status == 200, answer
    return json.loads(answer)


def test_filters_find_the_runs_that_a_stock_server_finds(
    stack: DialectStack, stock: MlflowServer, runs: list[Made]
) -> None:
    check(stack, stock, runs, count=50)


@pytest.mark.slow
def test_many_filters_find_the_runs_that_a_stock_server_finds(
    stack: DialectStack, stock: MlflowServer, runs: list[Made]
) -> None:
    check(stack, stock, runs, count=300)


def check(stack: DialectStack, stock: MlflowServer, runs: list[Made], *, count: int) -> None:
    """Ask both servers for generated filters. Quotes inside quotes and letters beyond ASCII differ on purpose."""
    chance, ids = random.Random(5), [run.run_id for run in runs]
    experiments = sorted({run.experiment for run in runs})
    differences, found_some = [], 0
    for _ in range(count):
        text = " AND ".join(comparison(chance, ids) for _ in range(chance.choice([1, 1, 2, 3])))
        asked = json.dumps({"experiment_ids": experiments, "filter": text, "max_results": 100}).encode()
        status, _, answer = request(int(stock.url.rpartition(":")[2]), "POST", "/api/2.0/mlflow/runs/search", asked)
        assert status == 200, (text, answer)
        body = {"experiment_ids": experiments, "where": text, "columns": [["fact", "name"]], "limit": 100}
        status, _, table = request(
            int(stack.api.rpartition(":")[2]), "POST", "/v1/runs/table", json.dumps(body).encode()
        )
        assert status == 200, (text, table)
        expected, got = sorted(names(answer)), sorted(json.loads(table)["columns"][0])
        found_some += 0 < len(expected) < len(runs)
        if expected != got:
            differences.append((text, set(expected) ^ set(got)))

    assert not differences, "\n".join(map(str, differences[:20]))
    assert found_some > count / 4
