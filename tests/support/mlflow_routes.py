"""
MLflow's routes as targets of `tests/support/mlflow_cases.py`: what each needs, and what it has limits for.

The limits are those of mlflow/utils/validation.py: a request at the limit, and one beyond it.
"""

from __future__ import annotations

from typing import Any

from tests.support.mlflow_cases import (
    API,
    CHOICE,
    FILES,
    FILTER,
    ID,
    NAME,
    NUMBER,
    ORDER,
    PAGE,
    PAGES,
    PAIRS,
    PATH,
    TEXT,
    TEXTS,
    TOKEN,
    TRUTH,
    WHOLE,
    Target,
)  # fmt: skip

KEYS = ["/x", "x/", "../x", ".", "a//b", "a/b", "a!", "a:b", "a b", "ü", "k" * 250, "k" * 251, "mlflow.user", "a\nb"]
SHORT = TEXT[:5]  # for fields that are texts like others


def _pairs(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"key": f"k{number}", "value": str(number), **more} for number in range(count)]


def _metrics(count: int) -> list[dict[str, Any]]:
    return [{"key": f"m{number}", "value": 1.0, "timestamp": 1, "step": number} for number in range(count)]


def _post(path: str, valid: dict[str, Any], kinds: dict[str, Any], **more: dict[str, Any]) -> Target:
    return Target("POST", API + path, valid, kinds, {name.replace("_", " "): fields for name, fields in more.items()})


METRIC = {"run_id": "$run", "key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 1}
PARAM = {"run_id": "$run", "key": "same", "value": "1"}
TAG = {"run_id": "$run", "key": "stage", "value": "x"}
ONE = {"key": "m", "value": 1, "timestamp": 1}
DATASET = {"name": "d", "digest": "1a", "source_type": "local", "source": "x", "schema": "{}", "profile": "{}"}
IN_DELETED, LONG_TAG, LONG_PARAM = {"run_id": "$deleted_run"}, "v" * 8_000, "v" * 6_000
FILE = f"{FILES}artifacts/$experiment/$run/artifacts/"

RUNS = [
    _post("runs/create", {"experiment_id": "$experiment", "user_id": "u", "run_name": "r", "start_time": 1},
          {"experiment_id": ID, "user_id": SHORT, "run_name": TEXT, "start_time": WHOLE, "tags": PAIRS},
          of_a_deleted_experiment={"experiment_id": "$deleted_experiment"},
          two_names={"tags": [{"key": "mlflow.runName", "value": "other"}]},
          tag_at_the_limit={"tags": [{"key": "k", "value": LONG_TAG}]},
          tag_beyond_the_limit={"tags": [{"key": "k", "value": LONG_TAG + "v"}]},
          both_spellings={"experimentId": "$experiment"}),
    Target("GET", API + "runs/get", {"run_id": "$run"}, {"run_id": ID}, {"of old clients": {"run_uuid": "$run"}}),
    _post("runs/update", {"run_id": "$run", "status": "RUNNING", "end_time": 5},
          {"run_id": ID, "status": CHOICE, "end_time": WHOLE, "run_name": TEXT}, of_a_deleted_run=IN_DELETED),
    _post("runs/delete", {"run_id": "$deleted_run"}, {"run_id": ID}),
    _post("runs/restore", {"run_id": "$run"}, {"run_id": ID}),
    _post("runs/log-metric", METRIC,
          {"run_id": ID, "key": [*SHORT, *KEYS], "value": NUMBER, "timestamp": WHOLE, "step": WHOLE, "model_id": SHORT,
           "dataset_name": SHORT, "dataset_digest": SHORT},
          of_a_deleted_run=IN_DELETED, both_spellings={"runId": "$run"}, of_old_clients={"run_id": None,
          "run_uuid": "$run"}),
    _post("runs/log-parameter", PARAM, {"run_id": ID, "key": [*SHORT, *KEYS], "value": SHORT},
          another_value={"value": "2"}, of_a_deleted_run=IN_DELETED, at_the_limit={"key": "long1", "value": LONG_PARAM},
          beyond_the_limit={"key": "long2", "value": LONG_PARAM + "v"}, unusual={"key": "u", "value": "ü🙂\n\t\"'\\"},
          with_NUL={"key": "nul", "value": "a\0b"}, with_a_surrogate={"key": "surrogate", "value": "\ud800"}),
    _post("runs/set-tag", TAG, {"run_id": ID, "key": [*SHORT, *KEYS], "value": TEXT}, of_a_deleted_run=IN_DELETED,
          at_the_limit={"value": LONG_TAG}, beyond_the_limit={"value": LONG_TAG + "v"}),
    _post("runs/delete-tag", {"run_id": "$run", "key": "unknown"}, {"run_id": ID, "key": [*SHORT, *KEYS]},
          of_a_deleted_run=IN_DELETED),
    _post("runs/log-batch", {"run_id": "$run", "metrics": [ONE], "params": [], "tags": []},
          {"run_id": ID, "metrics": [*PAIRS, *({"metrics": [{**ONE, name: one}]}["metrics"] for name, kind in
            (("key", [*SHORT, *KEYS]), ("value", NUMBER), ("timestamp", WHOLE), ("step", WHOLE)) for one in kind)],
           "params": PAIRS, "tags": PAIRS},
          of_a_deleted_run=IN_DELETED,
          metrics_at_the_limit={"metrics": _metrics(1_000)}, metrics_beyond_the_limit={"metrics": _metrics(1_001)},
          params_at_the_limit={"params": _pairs(100)}, params_beyond_the_limit={"params": _pairs(101)},
          tags_at_the_limit={"tags": _pairs(100)}, tags_beyond_the_limit={"tags": _pairs(101)},
          all_beyond_the_limit={"metrics": _metrics(1_000), "tags": _pairs(1)},
          a_param_twice={"params": [{"key": "twice", "value": "1"}] * 2},
          a_param_with_two_values={"params": [{"key": "two", "value": "1"}, {"key": "two", "value": "2"}]},
          another_value={"params": [{"key": "same", "value": "3"}]}, a_tag_twice={"tags": _pairs(1) * 2},
          a_metric_twice={"metrics": [ONE, ONE]}, a_megabyte={"tags": [{"key": "k", "value": "v" * 1_000_001}]}),
    _post("runs/log-inputs", {"run_id": "$run", "datasets": [{"dataset": DATASET}]},
          {"run_id": ID, "datasets": ["x", 5, {}, None, ["x"], [None], [{}], [{"dataset": {}}], [{"dataset": 5}],
             *([{"dataset": {**DATASET, name: one}}] for name in DATASET for one in (5, None, "")),
             *([{"dataset": {**DATASET, name: "x" * size}}] for name, size in
               (("name", 500), ("name", 501), ("digest", 36), ("digest", 37), ("source", 65_535), ("source", 65_536))),
             *([{"dataset": DATASET, "tags": one}] for one in PAIRS)],
           "models": PAIRS[:8]}, of_a_deleted_run=IN_DELETED),
    _post("runs/outputs", {"run_id": "$run", "models": [{"model_id": "$logged_model", "step": 0}]},
          {"run_id": ID, "models": [*PAIRS[:8], [{"model_id": 5}], [{"model_id": "$logged_model", "step": "x"}]]}),
    _post("runs/log-model", {"run_id": "$run", "model_json": '{"artifact_path": "m", "flavors": {}, '
          '"utc_time_created": "2020-01-01 00:00:00", "run_id": "$run"}'},
          {"run_id": ID, "model_json": [5, None, "", "x", "{}", "5", "[]", "null"]}),
    _post("runs/search", {"experiment_ids": ["$experiment"], "filter": "metrics.loss > 0", "max_results": 5},
          {"experiment_ids": [*TEXTS, ["unknown"], ["$deleted_experiment"]], "filter": FILTER, "run_view_type": CHOICE,
           "max_results": PAGE, "order_by": ORDER, "page_token": TOKEN}, at_the_limit={"max_results": 50_000}),
]  # fmt: skip
METRICS = [
    Target("GET", API + "metrics/get-history", {"run_id": "$run", "metric_key": "loss"},
           {"run_id": ID, "metric_key": SHORT, "max_results": PAGE, "page_token": TOKEN}),
    Target("GET", API + "metrics/get-history-bulk-interval", {"run_ids": ["$run"], "metric_key": "loss"},
           {"run_ids": [["unknown"], ["$run"] * 100, ["$run"] * 101], "metric_key": SHORT, "max_results": [*PAGE,
           2_500, 2_501]},
           {"ends": {"start_step": 0, "end_step": 5}, "one end": {"start_step": 0}, "no step": {"start_step": "x",
           "end_step": 5},
            "wrong order": {"start_step": 5, "end_step": 0}}),
    Target("GET", PAGES + "metrics/get-history-bulk", {"run_id": ["$run"], "metric_key": "loss"},
           {"run_id": [["unknown"], ["$run"] * 100, ["$run"] * 101], "metric_key": SHORT, "max_results": PAGE}),
]  # fmt: skip
OF_EXPERIMENT = [one for one in ID if one != "\ud800"]  # MLflow drops it, and renames or deletes experiment 0
EXPERIMENTS = [
    _post("experiments/create", {"name": "$new"},
          {"name": [*NAME[:4], " ", "Default", "$deleted_name", "ü", "a/b"], "tags": PAIRS,
           "artifact_location": [*SHORT, "s3://bucket/x", "runs:/x", "a/../b", "file:///x#frag", "s3://b?x=..",
           "x" * 3_000]},
          name_at_the_limit={"name": "$new" + "x" * 464}, name_beyond_the_limit={"name": "x" * 501},
          tag_at_the_limit={"tags": [{"key": "k", "value": "v" * 5_000}]},
          tag_beyond_the_limit={"tags": [{"key": "k", "value": "v" * 20_001}]}),
    Target("GET", API + "experiments/get", {"experiment_id": "$experiment"}, {"experiment_id": OF_EXPERIMENT}),
    Target("GET", API + "experiments/get-by-name", {"experiment_name": "Default"}, {"experiment_name": NAME}),
    _post("experiments/delete", {"experiment_id": "$deleted_experiment"}, {"experiment_id": OF_EXPERIMENT}),
    _post("experiments/restore", {"experiment_id": "$experiment"}, {"experiment_id": OF_EXPERIMENT}),
    _post("experiments/update", {"experiment_id": "$experiment", "new_name": "$new"},
          {"experiment_id": OF_EXPERIMENT, "new_name": [*NAME[:4], "Default", "a/b"]},
          of_a_deleted_experiment={"experiment_id": "$deleted_experiment"}),
    _post("experiments/set-experiment-tag", {"experiment_id": "$experiment", "key": "k", "value": "v"},
          {"experiment_id": OF_EXPERIMENT, "key": [*SHORT, *KEYS], "value": SHORT},
          of_a_deleted_experiment={"experiment_id": "$deleted_experiment"},
          at_the_limit={"value": "v" * 5_000}, beyond_the_limit={"value": "v" * 20_001}),
    _post("experiments/delete-experiment-tag", {"experiment_id": "$experiment", "key": "unknown"},
          {"experiment_id": OF_EXPERIMENT, "key": SHORT},
          of_a_deleted_experiment={"experiment_id": "$deleted_experiment"}),
    _post("experiments/search", {"max_results": 5},
          {"filter": FILTER, "max_results": PAGE, "order_by": ORDER, "page_token": TOKEN, "view_type": CHOICE}),
    Target("GET", API + "experiments/search", {"max_results": 5},
           {"filter": FILTER[3:12], "max_results": PAGE, "order_by": [["name"], ["name UP"], ["nonsense.a"]],
            "page_token": TOKEN[3:7], "view_type": [0, 1, 3, 99, "x", "ACTIVE_ONLY"]}),
    Target("POST", PAGES + "experiments/search-datasets", {"experiment_ids": ["$experiment"]},
           {"experiment_ids": [*TEXTS, ["unknown"], ["$experiment"] * 20, ["$experiment"] * 21]}),
]  # fmt: skip
MODEL, VERSION = {"name": "$model"}, {"name": "$model", "version": "1"}
NUMBERS: list[Any] = [5, None, "", "x", "99", "0", "-1", "1.0", "01", [], "9" * 30]
REGISTRY = [
    _post("registered-models/create", {"name": "$new"},
          {"name": [*NAME[:4], " ", "$model", *NAME[5:]], "tags": PAIRS, "description": SHORT}, taken=MODEL,
          description_beyond_the_limit={"description": "d" * 5_001}, tag_beyond_the_limit={"tags": [{"key": "k",
          "value": "v" * 100_001}]},
          name_at_the_limit={"name": "$new" + "x" * 220}),
    Target("GET", API + "registered-models/get", MODEL, {"name": NAME}),
    _post("registered-models/rename", {"name": "$model", "new_name": "$model"},
          {"name": NAME, "new_name": [*NAME[:4], "a/b", "a:b", " "]}),
    Target("PATCH", API + "registered-models/update", {**MODEL, "description": "x"}, {"name": NAME,
          "description": SHORT}),
    Target("DELETE", API + "registered-models/delete", {"name": "unknown"}, {"name": NAME}),
    Target("GET", API + "registered-models/search", {"max_results": 5},
           {"filter": FILTER, "max_results": [*PAGE, 1_000, 1_001], "order_by": [["name"], ["name UP"], ["nonsense"],
           ["timestamp DESC"]],
            "page_token": TOKEN[3:7]}),
    _post("registered-models/get-latest-versions", MODEL,
          {"name": NAME, "stages": [*TEXTS, ["None"], ["nonsense"], ["production"]]}),
    Target("GET", API + "registered-models/get-latest-versions", MODEL, {"name": NAME[3:5], "stages": [["None"],
          ["nonsense"]]}),
    _post("registered-models/set-tag", {**MODEL, "key": "k", "value": "v"}, {"name": NAME, "key": [*SHORT, *KEYS],
          "value": SHORT},
          at_the_limit={"value": "v" * 5_000}, beyond_the_limit={"value": "v" * 100_001}),
    Target("DELETE", API + "registered-models/delete-tag", {**MODEL, "key": "unknown"}, {"name": NAME, "key": SHORT}),
    _post("registered-models/alias", {**VERSION, "alias": "a"},
          {"name": NAME, "version": NUMBERS, "alias": [*SHORT, "latest", "v1", "V22", "a/b", "a b", "a" * 255,
          "a" * 256]}),
    Target("GET", API + "registered-models/alias", {**MODEL, "alias": "a"}, {"name": NAME, "alias": SHORT}),
    Target("DELETE", API + "registered-models/alias", {**MODEL, "alias": "unknown"}, {"name": NAME, "alias": SHORT}),
    _post("model-versions/create", {**MODEL, "source": "s3://bucket/x"},
          {"name": NAME, "tags": PAIRS, "run_id": ["", "unknown", 5], "description": SHORT, "run_link": SHORT,
           "source": [5, None, "", "x", "/tmp/x", "file:///x", "s3://b/../x", "s3://b/%2e%2e/x", "runs:/$run/m",
           "runs:/x/m",
                      "models:/$model/1", "models:/unknown/1", "mlflow-artifacts:/../x", "mlflow-artifacts:/0/x",
                      "http://h/../x"]},
          of_its_run={"source": "runs:/$run/m", "run_id": "$run"}),
    Target("GET", API + "model-versions/get", VERSION, {"name": NAME, "version": NUMBERS}),
    Target("PATCH", API + "model-versions/update", {**VERSION, "description": "x"},
           {"name": NAME, "version": NUMBERS, "description": SHORT}),
    _post("model-versions/transition-stage", {**VERSION, "stage": "Staging", "archive_existing_versions": False},
          {"name": NAME, "version": NUMBERS, "stage": [*SHORT, "nonsense", "staging", "None", "Archived"],
           "archive_existing_versions": TRUTH}),
    Target("DELETE", API + "model-versions/delete", {**MODEL, "version": "99"}, {"name": NAME, "version": NUMBERS[1:]}),
    Target("GET", API + "model-versions/search", {"max_results": 5},
           {"filter": FILTER, "max_results": [*PAGE, 200_000, 200_001], "order_by": [["name"], ["name UP"],
           ["nonsense"], ["version_number DESC"]],
            "page_token": TOKEN[3:7]}),
    Target("GET", API + "model-versions/get-download-uri", VERSION, {"name": NAME, "version": NUMBERS}),
    _post("model-versions/set-tag", {**VERSION, "key": "k", "value": "v"},
          {"name": NAME, "version": NUMBERS, "key": [*SHORT, *KEYS], "value": SHORT}),
    Target("DELETE", API + "model-versions/delete-tag", {**VERSION, "key": "unknown"}, {"name": NAME,
          "version": NUMBERS, "key": SHORT}),
]  # fmt: skip
LOGGED = {"model_id": "$logged_model"}
LOGGED_MODELS = [
    _post("logged-models", {"experiment_id": "$experiment", "name": "m", "model_type": "t", "source_run_id": "$run"},
          {"experiment_id": ID, "name": [*SHORT, "a/b", "a:b", "a.b", "a%b", "a'b", '"'], "model_type": SHORT,
          "source_run_id": [5, "unknown", None],
           "params": PAIRS, "tags": PAIRS}),
    _post("logged-models/search", {"experiment_ids": ["$experiment"], "max_results": 5},
          {"experiment_ids": [*TEXTS, ["unknown"]], "filter": FILTER, "max_results": PAGE, "page_token": TOKEN,
           "order_by": [*PAIRS[:8], [{"field_name": "nonsense"}], [{"field_name": "metrics.a"}],
           [{"field_name": "name", "ascending": "x"}]],
           "datasets": [*PAIRS[:8], [{"dataset_name": "d"}]]}),
    Target("GET", API + "logged-models/{model_id}", LOGGED, {"model_id": ID[4:9]}),
    Target("PATCH", API + "logged-models/$logged_model", {**LOGGED, "status": "LOGGED_MODEL_PENDING"},
           {"model_id": ID[:5], "status": [*CHOICE, 1, 2, "LOGGED_MODEL_READY"]}),
    Target("DELETE", API + "logged-models/{model_id}", {"model_id": "unknown"}, {"model_id": ID[4:9]}),
    Target("PATCH", API + "logged-models/{model_id}/tags", {**LOGGED, "tags": _pairs(1)}, {"model_id": ["unknown"],
          "tags": PAIRS}),
    Target("DELETE", API + "logged-models/{model_id}/tags/{key}", {**LOGGED, "key": "unknown"},
          {"model_id": ["unknown"], "key": KEYS[6:]}),
    Target("POST", API + "logged-models/$logged_model/params", {**LOGGED, "params": _pairs(1)}, {"model_id": ID[:4],
          "params": PAIRS}),
    Target("GET", API + "logged-models/{model_id}/artifacts/directories", LOGGED,
           {"model_id": ["unknown"], "artifact_directory_path": PATH}),
]  # fmt: skip
ARTIFACTS = [
    Target("GET", API + "artifacts/list", {"run_id": "$run"}, {"run_id": ID, "path": PATH, "page_token": TOKEN[2:5]}),
    Target("GET", FILE + "{path}", {"path": "unknown"}, {"path": PATH}),
    Target("PUT", FILE + "{path}", {"path": "a.txt"}, {"path": PATH}),
    Target("DELETE", FILE + "{path}", {"path": "unknown"}, {"path": PATH}),
    Target("GET", FILES + "artifacts", {"path": "$experiment/$run/artifacts"}, {"path": PATH}),
    Target("GET", "/get-artifact", {"run_id": "$run", "path": "unknown"}, {"run_id": ID, "path": PATH}),
    Target("GET", "/model-versions/get-artifact", {**VERSION, "path": "unknown"}, {"name": NAME[3:5],
          "version": NUMBERS[2:5], "path": PATH}),
    Target("POST", PAGES + "upload-artifact?run_uuid=$run&path=a.txt", {}),
    Target("POST", PAGES + "upload-artifact?run_uuid=unknown&path=a.txt", {"a": 1}),
    Target("POST", PAGES + "upload-artifact?run_uuid=$run&path=../a.txt", {"a": 1}),
    Target("POST", PAGES + "upload-artifact?path=a.txt", {"a": 1}),
    _post("artifacts/presigned-upload-url", {"run_id": "$run", "path": "a.txt"}, {"run_id": ID[3:8],
          "path": PATH[1:4]}),
    _post("artifacts/presigned-download-url", {"run_id": "$run", "path": "a.txt"}, {"run_id": ID[3:8],
          "path": PATH[1:4]}),
    Target("POST", FILES + "mpu/create/$experiment/$run/artifacts/b", {"path": "b", "num_parts": 2},
          {"num_parts": WHOLE}),
    Target("POST", FILES + "mpu/complete/$experiment/$run/artifacts/b", {"path": "b", "upload_id": "unknown",
          "parts": []}),
    Target("POST", FILES + "mpu/abort/$experiment/$run/artifacts/b", {"path": "b", "upload_id": "unknown"},
          {"upload_id": TEXT[:5]}),
]  # fmt: skip
TARGETS = [*RUNS, *METRICS, *EXPERIMENTS, *REGISTRY, *LOGGED_MODELS, *ARTIFACTS]
