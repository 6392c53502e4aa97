"""
What clients other than Python's send, and requests that belong to no route.

Java's client writes messages with protobuf's JsonFormat: whole numbers of 64 bits are texts, NaN and Infinity too, and
both `run_id` and `run_uuid` are there (mlflow/java, MlflowProtobufMapper.java). R's client writes every value as a text
(mlflow/R, tracking-rest.R and tracking-runs.R). Older clients send JSON in a JSON text, `run_uuid` alone, and fields of
a GET in its body.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.mlflow_cases import API, PAGES, Case
from tests.support.mlflow_twins import LONG_AGO

BOTH = {"run_uuid": "$run", "run_id": "$run"}
MS = LONG_AGO


def _post(name: str, path: str, fields: dict[str, Any], **headers: str) -> Case:
    kept = {key.replace("_", "-"): value for key, value in headers.items()}
    return Case(name, "POST", API + path, fields, kept)


OTHER_CLIENTS = [
    _post("Java: log-metric", "runs/log-metric", {**BOTH, "key": "java", "value": 0.5, "timestamp": MS,
          "step": "9007199254740993"}),
    _post("Java: NaN", "runs/log-metric", {**BOTH, "key": "java", "value": "NaN", "timestamp": MS, "step": "1"}),
    _post("Java: Infinity", "runs/log-metric", {**BOTH, "key": "java inf", "value": "Infinity", "timestamp": MS,
          "step": "1"}),
    _post("Java: log-parameter", "runs/log-parameter", {**BOTH, "key": "java", "value": "1"}),
    _post("Java: set-tag", "runs/set-tag", {**BOTH, "key": "java", "value": "ü"}, Content_Type="application/json"),
    _post("Java: log-batch", "runs/log-batch", {
        "run_id": "$run", "metrics": [{"key": "java", "value": 1.5, "timestamp": MS, "step": "2"}], "params": [
            {"key": "java batch", "value": ""}], "tags": [{"key": "java batch", "value": "v"}]}),
    _post("Java: names of JSON", "runs/log-metric", {"runId": "$run", "key": "camel", "value": 1, "timestamp": MS}),
    _post("Java: update", "runs/update", {**BOTH, "status": "FINISHED", "end_time": MS}),
    Case("Java: get", "GET", API + "runs/get?run_uuid=$run&run_id=$run"),
    Case("Java: get-history", "GET", API + "metrics/get-history?run_uuid=$run&run_id=$run&metric_key=java"),
    Case("Java: latest versions", "GET",
          API + "registered-models/get-latest-versions?name=$model&stages=None&stages=Staging"),
    _post("R: log-metric", "runs/log-metric", {**BOTH, "key": "R", "value": "0.25", "timestamp": MS, "step": "3"}),
    _post("R: Infinity", "runs/log-metric", {**BOTH, "key": "R inf", "value": "-Infinity", "timestamp": MS,
          "step": "3"}),
    _post("R: a large step", "runs/log-metric", {**BOTH, "key": "R", "value": "1", "timestamp": MS, "step": "1e+05"}),
    _post("R: log-batch", "runs/log-batch", {
        "run_id": "$run", "metrics": [{"key": "R", "value": "NaN", "step": "4", "timestamp": MS}], "params": {},
              "tags": {}}),
    _post("R: without params", "runs/log-batch", {
        "run_id": "$run", "metrics": [{"key": "R", "value": "2", "step": "5", "timestamp": MS}], "params": None}),
    _post("R: search", "runs/search", {
        "experiment_ids": ["$experiment"], "filter": "metrics.R > 0", "run_view_type": "ACTIVE_ONLY", "order_by": []}),
    _post("R: search without a filter", "runs/search", {"experiment_ids": ["$experiment"], "run_view_type": "ALL",
          "filter": None}),
    _post("R: a status", "runs/update", {**BOTH, "status": "FAILED", "end_time": MS}),
    Case("R: files", "GET", API + "artifacts/list?run_uuid=$run&run_id=$run"),
    _post("old: run_uuid alone", "runs/log-metric", {"run_uuid": "$run", "key": "old", "value": 1, "timestamp": 1,
          "step": 0}),
    Case("old: JSON in a text", "POST", API + "runs/set-tag", json.dumps(json.dumps({**BOTH, "key": "old",
          "value": "v"})).encode()),
    Case("old: a body of a GET", "GET", API + "runs/get", {"run_id": "$run"}),
    _post("old: a status as a number", "runs/update", {"run_id": "$run", "status": 3, "end_time": 5}),
    Case("pages: search", "POST", PAGES + "runs/search", {"experiment_ids": ["$experiment"]}),
    Case("pages: history", "GET", PAGES + "metrics/get-history-bulk?run_id=$run&metric_key=java&max_results=10"),
    Case("pages: interval", "GET",
          PAGES + "metrics/get-history-bulk-interval?run_ids=$run&metric_key=java&max_results=10"),
    Case("pages: experiment", "GET", PAGES + "experiments/get?experiment_id=$experiment"),
]  # fmt: skip
METRIC = json.dumps({"run_id": "$run", "key": "m", "value": 1, "timestamp": 1}).encode()
DEEP, WIDE = 200_000, 5_000


def _typed(kind: str | None) -> Case:
    return Case(f"content type {kind}", "POST", API + "runs/log-metric", METRIC, {"Content-Type": kind or ""})


ODD = [
    *map(_typed, ["text/plain", "", "application/json; charset=utf-8", "application/json;charset=latin-1",
                  "application/json; charset=nonsense", "application/x-www-form-urlencoded", "APPLICATION/JSON",
                  "application/json ; x", "application/vnd.mlflow+json", "multipart/form-data"]),
    *(Case(f"{method} of a POST", method, API + "runs/log-metric", METRIC) for method in ("GET", "PUT", "PATCH",
          "DELETE")),
    *(Case(f"{method} of a GET", method, API + "runs/get?run_id=$run", b"{}") for method in ("POST", "PUT", "DELETE")),
    *(Case(f"unknown: {path}", method, path, body) for method, path, body in (
        ("GET", "/api/2.0/mlflow/nonsense", None), ("POST", "/api/2.0/mlflow/nonsense", b"{}"),
        ("GET", "/api/2.0/mlflow/experiments/list", None), ("GET", "/api/2.0/mlflow/runs/list", None),
        ("GET", "/api/2.0/preview/mlflow/runs/get?run_id=$run", None), ("GET", "/api/9.0/mlflow/runs/get?run_id=$run",
              None),
        ("GET", "/api/2.0/mlflow/runs/get/?run_id=$run", None), ("GET", "/api/2.0/mlflow/RUNS/get?run_id=$run", None),
        ("GET", "/api/2.0/mlflow/runs/get%00?run_id=$run", None), ("GET", "/api/2.0/../mlflow/runs/get", None))),
    Case("nested deeply", "POST", API + "runs/log-metric", b"[" * DEEP),
    Case("nested deeply in a field", "POST", API + "runs/log-metric",
          b'{"run_id": ' + b"[" * DEEP + b"]" * DEEP + b"}"),
    Case("many fields", "POST", API + "runs/log-metric", {**json.loads(METRIC), **{f"f{n}": n for n in range(WIDE)}}),
    Case("a field twice", "POST", API + "runs/log-metric", METRIC[:-1] + b', "key": "other"}'),
    Case("a mark of byte order", "POST", API + "runs/log-metric", b"\xef\xbb\xbf" + METRIC),
    Case("UTF-16", "POST", API + "runs/log-metric", METRIC.decode().encode("utf-16")),
    Case("a long query", "GET", API + "runs/get?run_id=$run&x=" + "x" * 8_000),
    Case("a field of a query twice", "GET", API + "runs/get?run_id=$run&run_id=unknown"),
    Case("a query of names of JSON", "GET", API + "runs/get?runId=$run"),
]  # fmt: skip
