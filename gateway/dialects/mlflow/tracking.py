"""
The tracking store: runs, experiments, metrics, logged models.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from mlflow.entities import Metric
from mlflow.entities.dataset_summary import _DatasetSummary
from mlflow.entities.metric import MetricWithRunId
from mlflow.protos.service_pb2 import GetMetricHistoryBulkInterval, SearchDatasets
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.proto_json_utils import message_to_json
from mlflow.utils.rest_utils import http_request, verify_rest_response

from gateway.dialects.mlflow.address import credentials
from gateway.dialects.mlflow.server_artifacts import keep_artifacts_in_the_door
from gateway.dialects.mlflow.unsupported import refusing

BULK = "/api/2.0/mlflow/metrics/get-history-bulk"
DATASETS = "/api/2.0/mlflow/experiments/search-datasets"  # the path in MLflow's protobuf lacks a slash


@refusing
class TrackingStore(RestStore):  # type: ignore[misc]  # mlflow has no types
    """
    MLflow's own REST store at a door, and the three questions of MLflow's pages that it does not send.

    MLflow's server looks for two of them with `hasattr` (mlflow/server/handlers.py); without them it reads whole
    histories, one run after another, and answers that it knows no datasets.
    """

    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:
        super().__init__(credentials(store_uri or ""))
        self.artifact_root_uri = artifact_uri

    def get_metric_history_bulk(self, run_ids: Sequence[str], metric_key: str, max_results: int) -> list[Any]:
        """Return the points of a metric in each run, ordered by run, timestamp, step and value."""
        asked = {"run_id": list(run_ids), "metric_key": metric_key, "max_results": max_results}
        answer = http_request(self.get_host_creds(), BULK, "GET", params=asked)
        verify_rest_response(answer, BULK)
        return [_point(one) for one in json.loads(answer.text).get("metrics", [])]

    def get_metric_history_bulk_interval(
        self,
        run_ids: Sequence[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[Any]:
        """Return at most about `max_results` points of a metric in each run, between two steps."""
        asked = GetMetricHistoryBulkInterval(
            run_ids=list(run_ids),
            metric_key=metric_key,
            max_results=max_results,
            start_step=start_step,
            end_step=end_step,
        )
        answer = self._call_endpoint(GetMetricHistoryBulkInterval, message_to_json(asked))
        return [
            MetricWithRunId(Metric(one.key, one.value, one.timestamp, one.step), one.run_id) for one in answer.metrics
        ]

    def _search_datasets(self, experiment_ids: Sequence[str]) -> list[Any]:
        """Return what datasets the runs of some experiments have as inputs."""
        asked = message_to_json(SearchDatasets(experiment_ids=list(experiment_ids)))
        answer = self._call_endpoint(SearchDatasets, asked, endpoint=DATASETS)
        return [
            _DatasetSummary(one.experiment_id, one.name, one.digest, one.context if one.HasField("context") else None)
            for one in answer.dataset_summaries
        ]


def _point(given: dict[str, Any]) -> Any:
    """Return a point of an answer; float() reads the texts NaN, Infinity and -Infinity."""
    metric = Metric(given["key"], float(given["value"]), int(given["timestamp"]), int(given["step"]))
    return MetricWithRunId(metric, given["run_id"])


# MLflow loads its plug-ins once in each process of a server, before its first request; it has no later hook that runs
# in all of them. In a process that is no such server this does nothing.
keep_artifacts_in_the_door(os.environ)
