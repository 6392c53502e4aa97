"""
Print a run log in the words of Magnus or of runnable, whatever wrote the run. Pure.

Magnus' is the run log without the fields that Magnus does not have (seeds 000 and 001). Of a run that runnable wrote,
runnable's is exactly what runnable keeps; of any other run it is made of what the run log has, with these rules:

    returned values     belong to the last attempt of their step, and are metrics; parameters are of kind `json`
    code identities     belong to each attempt of their step
    times               UTC; runnable writes local ones

JSON has no NaN: in either shape it is the string "NaN", as in every run log; runnable's own files hold a bare NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gateway.client.encoding.values import float_to_json
from gateway.dialects.runnable.chunks import from_labels, join_run_log

Shape = Literal["magnus", "runnable"]
_MAGNUS = (
    "run_id", "dag_hash", "use_cached", "tag", "original_run_id", "status", "steps", "parameters", "run_config",
)  # fmt: skip
_SHORT = 10  # characters of a text that runnable's descriptions show


def in_shape(document: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return a run-log document (schemas/runlog.py) in the shape of Magnus or runnable."""
    if shape == "magnus":
        return {name: document[name] for name in _MAGNUS}
    is_whole = "labels" not in document["truncated"]
    kept = join_run_log(from_labels(document["labels"])) if is_whole else None
    return _as_runnable(document) if kept is None else _with_names(kept)


def _with_names(value: Any) -> Any:
    """Return a JSON value with the names of non-finite numbers in their place."""
    if isinstance(value, dict):
        return {key: _with_names(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_names(one) for one in value]
    return float_to_json(value) if isinstance(value, float) else value


def _as_runnable(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: document[name] for name in ("run_id", "dag_hash", "tag", "status")},
        "steps": {name: _step(step) for name, step in document["steps"].items()},
        "job": None,
        "parameters": _parameters(document["parameters"], "json"),
        "run_config": document["run_config"],
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    attempts = [_attempt(attempt, step) for attempt in step["attempts"]]
    if attempts:
        attempts[-1]["user_defined_metrics"] = _parameters(step["user_defined_metrics"], "metric")
        attempts[-1]["output_parameters"] = dict(attempts[-1]["user_defined_metrics"])
    own = ("name", "internal_name", "status", "step_type", "message", "mock")
    return {
        **{name: step[name] for name in own},
        "attempts": attempts,
        "branches": {name: _branch(branch) for name, branch in step["branches"].items()},
        "data_catalog": step["data_catalog"],
    }


def _branch(branch: Mapping[str, Any]) -> dict[str, Any]:
    steps = {name: _step(step) for name, step in branch["steps"].items()}
    return {"internal_name": branch["internal_name"], "status": branch["status"], "steps": steps, "parameters": {}}


def _attempt(attempt: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attempt_number": attempt["attempt_number"],
        "start_time": attempt["start_time"] or "",
        "end_time": attempt["end_time"] or "",
        "status": attempt["status"],
        "message": attempt["message"],
        "input_parameters": _parameters(attempt["parameters"], "json"),
        "output_parameters": {},
        "user_defined_metrics": {},
        "retry_indicator": "",
        "code_identities": step["code_identities"],
    }


def _parameters(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {name: {"kind": kind, "value": value, "description": _description(value)} for name, value in values.items()}


def _description(value: Any) -> Any:
    return f"{value[:_SHORT]}..." if isinstance(value, str) and len(value) > _SHORT else value
