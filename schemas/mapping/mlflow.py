"""
MLflow's statuses, reserved tags and limits, and native values in its form: for its tracker and for the MLflow door.

Pure. Limits are those of mlflow/utils/validation.py, 3.17.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping

from schemas.mapping.names import MLFLOW_MAX_KEY, mlflow_key, mlflow_name
from schemas.values import json_text

MAX_PARAM, MAX_TAG, MAX_RUN_NAME = 6_000, 8_000, 250  # characters
MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1_000, 100, 100  # in one call of log-batch
MAX_TOGETHER = 1_000  # of all kinds in one call
RUN_NAME_TAG = "mlflow.runName"
PARENT_TAG = "mlflow.parentRunId"
USER_TAG = "mlflow.user"
NOTE_TAG = "mlflow.note.content"
LOGGED_MODELS_TAG = "mlflow.log-model.history"
NOBODY = "unknown"  # the user that MLflow's client names when it knows none
DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT = "0", "Default"
STATUS_OF: Mapping[str, str] = {  # by state of a run
    "created": "SCHEDULED", "running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED",
    "lost": "FAILED",
}  # fmt: skip
STATE_OF: Mapping[str, str] = {
    "SCHEDULED": "created", "RUNNING": "running", "FINISHED": "finished", "FAILED": "failed", "KILLED": "killed",
}  # fmt: skip
LARGEST = 1.7976931348623157e308  # MLflow's SQL stores write it for Infinity
_NAME = re.compile(r"[/\w.\- :]*")


def is_key(name: str) -> bool:
    """Tell whether MLflow accepts `name` as the key of a metric, param or tag."""
    if len(name) > MLFLOW_MAX_KEY or _NAME.fullmatch(name) is None:
        return False
    path = posixpath.normpath(name)
    return path == name and path != "." and not path.startswith(("..", "/"))


def shown_key(name: str) -> str:
    """Return the key of a metric, param or tag in the MLflow door: its name, escaped if MLflow does not accept it."""
    return name if is_key(name) else mlflow_key(name)


def shown_names(key: str) -> list[str]:
    """Return the names that `shown_key` may show as `key`, the likelier first: a run has at most one of them."""
    original = mlflow_name(key)
    return [key] if is_key(original) else [key, original]


def shown_value(value: float | str) -> float | str:
    """Return a metric's value as MLflow's SQL stores answer it: infinities are clipped, NaN is the text "NaN"."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return math.copysign(LARGEST, number) if math.isinf(number) else number


def shown_param(value: object) -> str:
    """Return a parameter of a document (schemas/api) as MLflow's text."""
    text = (
        value if isinstance(value, str) else str(value) if isinstance(value, bool | int | float) else json_text(value)
    )
    return text[:MAX_PARAM]
