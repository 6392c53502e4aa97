"""
The experiment tracker `gateway` of magnus 0.5.1 (entry-point group `experiment_tracker`).

    experiment_tracker:
      type: gateway

This file alone imports magnus. What it relies on there:
- the class, built from the configuration; `publish_data` at the end of each step; `client_context`.
- `BaseIntegration`: called before the pipeline is traversed, and before a task is executed.
- `get_tracked_data`, which reads the variables. Magnus' own fails for a key that was tracked at another step than 0
  only, and for a key with `_STEP_` in it, and the pipeline with it. Pipelines with this tracker use the one here.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import magnus.context
import magnus.extensions.executor as executors
from magnus.exceptions import RunLogNotFoundError
from magnus.experiment_tracker import BaseExperimentTracker
from magnus.integration import BaseIntegration
from pydantic import ConfigDict, model_validator

from gateway.client.capture.host import is_secret
from gateway.client.guards import never_raises
from gateway.client.recording.report import status_of
from gateway.dialects.magnus import api
from gateway.dialects.magnus.pipeline import Pipeline, open_pipeline
from gateway.dialects.magnus.settings import has_suffixes
from gateway.dialects.magnus.variables import PREFIX, read_json, read_name
from gateway.dialects.magnus.watch import watch
from gateway.dialects.masking import mask_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gateway.client.run.run import Run

TRAVERSE_HERE = ("local", "local-container", "mocked")  # executors; the others write a job for an orchestrator

_pipeline: Pipeline | None = None  # the one that is recorded


class GatewayTracker(BaseExperimentTracker):  # type: ignore[misc]  # magnus has no types
    """
    Log each pipeline as a run. The configuration is part of Magnus' run log: it takes no token or password.

    `url`: where events go, as GATEWAY_URL, which counts if this is empty. `steps`: `suffix` for the keys of seed 002,
    as GATEWAY_MAGNUS_STEPS.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    service_name: str = "gateway"
    url: str = ""
    steps: Literal["", "nested", "suffix"] = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse_secrets(cls, given: Any) -> Any:
        for name, value in dict(given).items():
            if is_secret(str(name)) or mask_config(str(value)) != str(value):
                raise ValueError(f"{name}: Magnus writes this into its run log: give secrets in GATEWAY_TOKEN instead")
        return given

    def model_post_init(self, _: Any) -> None:
        """Have this process' variables noticed, and read by the function of this file."""
        watch(PREFIX, _notice)
        executors.get_tracked_data = _get_tracked_data

    @property
    def client_context(self) -> AbstractContextManager[Run]:
        """The run, with the step open: `with get_experiment_tracker_context() as run: run.emit(...)`."""
        pipeline = _find(self)
        step = _step_log()
        return nullcontext(pipeline.run) if step is None else _inside(pipeline, step)

    @never_raises("magnus")
    def publish_data(self, tracked_data: dict[str, Any]) -> None:
        """Record a step that is over; at the end of the pipeline, the end of the run. The values are recorded."""
        context = magnus.context.run_context
        step, node, pipeline = _step_log(), context.executor._context_node, _find(self)
        if step is None:
            return
        pipeline.describe(_run_log(full=False))
        pipeline.end_step(step)
        if context.execution_plan == "unchained":
            _end(step["attempts"][-1]["status"])
        elif node.node_type in ("success", "fail") and not node.internal_branch_name:
            _end("SUCCESS" if node.node_type == "success" else "FAIL")

    @never_raises("magnus")
    def log_metric(self, key: str, value: int | float, step: int = 0) -> None:
        """Record a value of the step of the pipeline."""
        _find(self).put(_step_log(), _attempt(), key, value, step)

    @never_raises("magnus")
    def log_parameter(self, key: str, value: Any) -> None:
        """Record a parameter of the run."""
        _find(self).run.log_params({key: value})


class GatewayIntegration(BaseIntegration):  # type: ignore[misc]  # magnus has no types
    """What Magnus calls before it executes anything; found by service and name."""

    service_type = "experiment_tracker"
    service_provider = "gateway"

    @never_raises("magnus")
    def configure_for_traversal(self, **_: Any) -> None:
        """Start the run, unless Magnus is about to refuse the run id, or only writes a job for an orchestrator."""
        _leave()
        try:
            _run_log(full=False)
        except RunLogNotFoundError:
            if self.executor.service_name in TRAVERSE_HERE:
                _find(self.service, is_root=True)

    @never_raises("magnus")
    def configure_for_execution(self, **_: Any) -> None:
        """Record what precedes the next task; join the run where this process executes a part of the pipeline only."""
        pipeline = _find(self.service)
        try:
            log = _run_log(full=True)
        except RunLogNotFoundError:  # the first step of a job, which is about to make it
            return
        pipeline.describe(log)
        pipeline.add_known(log)


def _find(tracker: GatewayTracker, *, is_root: bool = False) -> Pipeline:
    """Return the pipeline that is executed; start or join its run at the first call."""
    global _pipeline
    context = magnus.context.run_context
    if _pipeline is None or _pipeline.magnus_id != context.run_id:
        suffixes = has_suffixes(tracker.steps)
        _pipeline = open_pipeline(context.run_id, context.tag, url=tracker.url, is_root=is_root, suffixes=suffixes)
        api.is_read_by_magnus = True
        atexit.register(_leave)  # after the client's own, so that it is called before: the run has not finished
    return _pipeline


def _leave() -> None:
    """End the run of a pipeline that did not come to its end, as failed."""
    global _pipeline
    pipeline, _pipeline = _pipeline, None
    api.is_read_by_magnus = False
    if pipeline is not None and pipeline.run.is_owner and not pipeline.run.is_finished:
        status, message = status_of(getattr(sys, "last_value", None))
        if status == "finished":
            status, message = "failed", "Magnus left the pipeline before its end"
        _add_rest(pipeline)
        pipeline.finish(status, message)


@never_raises("magnus")
def _add_rest(pipeline: Pipeline) -> None:
    """Record the steps that have ended, while the run log of the pipeline is at hand."""
    if magnus.context.run_context.run_id == pipeline.magnus_id:
        pipeline.end_others(_run_log(full=True))


def _end(status: str) -> None:
    global _pipeline
    if _pipeline is not None:
        _pipeline.end(_run_log(full=True), status)
    _pipeline = None
    api.is_read_by_magnus = False


@never_raises("magnus")
def _notice(variable: str, text: str) -> None:
    """Record a value; called inside of what sets its variable, which must not fail."""
    if _pipeline is not None:
        _pipeline.notice(_step_log(), _attempt(), variable, text)


def _get_tracked_data() -> dict[str, Any]:
    """
    Return the tracked values as Magnus does, and remove their variables: keys in lower case, steps as numbers.

    A key with a value at step 0 only has that value, any other an object by step.
    """
    is_ours = isinstance(magnus.context.run_context.experiment_tracker, GatewayTracker)
    found: dict[str, dict[int, Any]] = {}
    for variable, text in [one for one in os.environ.items() if one[0].startswith(PREFIX)]:
        key, step = read_name(variable)
        found.setdefault(key.lower(), {})[step] = read_json(text)
        if is_ours and _pipeline is not None:
            _pipeline.read(_step_log(), _attempt(), variable, text)
        del os.environ[variable]
    return {key: values[0] if list(values) == [0] else values for key, values in found.items()}


def _run_log(*, full: bool) -> dict[str, Any]:
    context = magnus.context.run_context
    found: dict[str, Any] = context.run_log_store.get_run_log_by_id(context.run_id, full=full).model_dump()
    return found


def _step_log() -> dict[str, Any] | None:
    """Return the log of the step that is executed; None outside of steps."""
    step = magnus.context.run_context.executor._context_step_log
    return None if step is None else step.model_dump()


def _attempt() -> int:
    return int(magnus.context.run_context.executor.step_attempt_number)


@contextmanager
def _inside(pipeline: Pipeline, step: dict[str, Any]) -> Iterator[Run]:
    """Open the step in the run. How it ends is what Magnus says, so an exception does not mark it failed."""
    caught: BaseException | None = None
    number = pipeline.base + _attempt()
    with pipeline.run.step(step["internal_name"], attempt=number, step_type=step["step_type"]):
        try:
            yield pipeline.run
        except BaseException as error:  # noqa: BLE001 -- raised again below, outside of the step
            caught = error
    if caught is not None:
        raise caught
