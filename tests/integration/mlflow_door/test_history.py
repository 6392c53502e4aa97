"""Histories of metrics through the door: the same answers as a stock server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.mlflow_calls import create_run, post
from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_service import MlflowServer

BEGAN = 1_700_000_000_000  # ms
Runs = dict[str, str]  # run id by name


class Asked:
    """One server, with the same runs as the other; a run shows by its name in answers."""

    def __init__(self, url: str) -> None:
        self.url, self.runs = url, {name: create_run(url, run_name=name) for name in POINTS}
        for name, metrics in POINTS.items():
            for first in range(0, len(metrics), 1_000):
                post(url, "/runs/log-batch", run_id=self.runs[name], metrics=metrics[first : first + 1_000])

    def get(self, path: str, **parameters: Any) -> tuple[int, Any]:
        """Return status and answer of a route about metrics; runs are given by name."""
        for name in ("run_id", "run_ids"):
            if name in parameters:
                given = parameters[name]
                ids = [self.runs.get(one, one) for one in ([given] if isinstance(given, str) else given)]
                parameters[name] = ids[0] if isinstance(given, str) else ids
        prefix = "/ajax-api" if "bulk" in path else "/api"
        url = f"{self.url}{prefix}/2.0/mlflow/metrics/{path}?{urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["error_code"]
        names = {run_id: name for name, run_id in self.runs.items()}
        for one in found.get("metrics", ()):
            one["value"] = repr(one["value"])
            if "run_id" in one:
                one["run_id"] = names[one["run_id"]]
        if "metrics" in found:  # of several runs by their ids, which differ
            found["metrics"].sort(key=lambda one: one.get("run_id", ""))
        return 200, found


def points() -> dict[str, list[dict[str, Any]]]:
    random = Random(7)
    jumbled = [
        {"key": "loss", "value": random.random(), "timestamp": BEGAN + random.randrange(3_000), "step": n // 2 - 50}
        for n in range(3_001)
    ]
    finite = [(0.0, 5, 2), (1e-07, 9, 0), (1e-07, 9, 0), (3, 9, -4)]
    odd = [("NaN", 5, 2), ("Infinity", 1, 2), ("-Infinity", 9, 0), *finite]
    return {
        "jumbled": jumbled,
        "odd": [{"key": "loss", "value": v, "timestamp": BEGAN + t, "step": step} for v, t, step in odd],
        "others": [{"key": "acc", "value": 1.0, "timestamp": BEGAN, "step": 0}],
    }


POINTS = points()


@pytest.fixture(scope="module")
def both(door: MlflowDoor, stock: MlflowServer) -> tuple[Asked, Asked]:
    return Asked(door.url), Asked(stock.url)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("get-history", {"run_id": "jumbled", "metric_key": "loss"}),
        ("get-history", {"run_id": "odd", "metric_key": "loss"}),
        ("get-history", {"run_id": "odd", "metric_key": "loss", "max_results": "7"}),
        ("get-history", {"run_uuid": "nothing", "metric_key": "loss"}),
        ("get-history", {"run_id": "nothing", "metric_key": "loss"}),
        ("get-history", {"run_id": "odd", "metric_key": "nothing"}),
        ("get-history", {"run_id": "odd"}),
        ("get-history", {"run_id": "", "metric_key": "loss"}),
        ("get-history", {"run_id": "odd", "metric_key": "loss", "max_results": "0"}),
        ("get-history", {"run_id": "odd", "metric_key": "loss", "max_results": "x"}),
        ("get-history", {"run_id": "odd", "metric_key": "loss", "page_token": "x"}),
        ("get-history-bulk", {"run_id": ["odd", "jumbled", "nothing", "odd"], "metric_key": "loss"}),
        ("get-history-bulk", {"run_id": ["odd"], "metric_key": "loss", "max_results": "2"}),
        ("get-history-bulk", {"run_id": ["odd"], "metric_key": "loss", "max_results": "0"}),
        ("get-history-bulk", {"run_id": ["others"], "metric_key": "loss"}),
        ("get-history-bulk", {"run_id": ["odd"]}),
        ("get-history-bulk", {"metric_key": "loss"}),
        ("get-history-bulk", {"run_id": [str(n) for n in range(101)], "metric_key": "loss"}),
        ("get-history-bulk-interval", {"run_ids": ["odd", "jumbled", "others", "nothing"], "metric_key": "loss"}),
        ("get-history-bulk-interval", {"run_ids": ["jumbled"], "metric_key": "loss", "max_results": "7"}),
        ("get-history-bulk-interval", {"run_ids": ["jumbled", "odd"], "metric_key": "loss", "max_results": "1"}),
        ("get-history-bulk-interval",
         {"run_ids": ["jumbled", "odd"], "metric_key": "loss", "start_step": -9, "end_step": 80, "max_results": 9}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "start_step": "9", "end_step": "9"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "start_step": "9"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "start_step": "3", "end_step": "2"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "start_step": "x", "end_step": "2"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "max_results": "2501"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"], "metric_key": "loss", "max_results": "0"}),
        ("get-history-bulk-interval", {"run_ids": [str(n) for n in range(101)], "metric_key": "loss"}),
        ("get-history-bulk-interval", {"metric_key": "loss"}),
        ("get-history-bulk-interval", {"run_ids": ["odd"]}),
    ],
)  # fmt: skip
def test_an_answer_is_that_of_a_stock_server(both: tuple[Asked, Asked], path: str, parameters: dict[str, Any]) -> None:
    ours, theirs = both

    assert ours.get(path, **parameters) == theirs.get(path, **parameters)


def test_pages_together_are_the_history(both: tuple[Asked, Asked]) -> None:
    asked = {"run_id": "jumbled", "metric_key": "loss"}
    for one in both:
        found: list[Any] = []
        token: dict[str, str] = {}
        while True:
            _, page = one.get("get-history", **asked, max_results=700, **token)
            found += page["metrics"]
            if "next_page_token" not in page:
                break
            token = {"page_token": page["next_page_token"]}
        assert found == one.get("get-history", **asked)[1]["metrics"]
