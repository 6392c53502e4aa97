"""
Record a pipeline of Magnus as a run: values while its steps run, each step when it ends, and its end.

The process that traverses the pipeline starts the run and ends it. Processes that execute a branch, or one step for an
orchestrator, join it. Attempts of steps are counted from that of the run.
"""

from __future__ import annotations

import os

from gateway.client.address import NOWHERE
from gateway.client.encoding.typed import typed
from gateway.client.encoding.values import clean_name, dumps, is_point, now, scalar
from gateway.client.errors import ClientError
from gateway.client.guards import never_raises
from gateway.client.journal.entries import Observation
from gateway.client.notices import warn_once
from gateway.client.process.inheritance import JOIN, RUN_ID
from gateway.client.run import current
from gateway.dialects.magnus.settings import place
from gateway.dialects.magnus.steplog import (
    STATUS,
    artifact_event,
    attempt_events,
    code_events,
    failure_of,
    start_event,
    steps_of,
    time_span,
)
from gateway.dialects.magnus.variables import read_json, read_name
from gateway.dialects.masking import mask_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.client.run.run import Run

    StepLog = Mapping[str, Any]


COMPOSITE = ("map", "parallel", "dag")


class Pipeline:
    """A pipeline, as one process records it."""

    def __init__(self, run: Run, magnus_id: str, *, suffixes: bool) -> None:
        self.run = run
        self.magnus_id = magnus_id  # differs from the run's id if that was used before: see gateway.start_run
        self._suffixes = suffixes
        self._is_described = False
        self._noticed: dict[str, str] = {}  # variables that are recorded already, with their values
        self._steps: set[tuple[str, int]] = set()  # steps that have started, with their attempts
        self._ended: set[str] = set()
        self._artifacts: set[tuple[str, str, str]] = set()

    @property
    def base(self) -> int:
        """What is added to the numbers of attempts."""
        return self.run.attempt - 1

    @never_raises("magnus")
    def describe(self, log: Mapping[str, Any]) -> None:
        """Record what the run log says about the run before its first step; once."""
        if self._is_described:
            return
        self._is_described = True
        config = typed(mask_config(log["run_config"]))
        if config["type"] != "json":
            warn_once("magnus-config", "run_config is too large for the run log: it is left out")
            config = {"value": {}}
        fields = {name: log[name] or "" for name in ("tag", "original_run_id", "dag_hash")}
        body = {**fields, "use_cached": log["use_cached"], "run_config": config["value"]}
        if self.run.is_owner or self.run.is_forked:
            self.run.recorder.record("run_created", attempt=self.run.attempt, **body)
        else:  # a job of an orchestrator, in which no process starts the run
            self.run.recorder.record("run_resumed", attempt=self.run.attempt, name=self.magnus_id, **body)

    @never_raises("magnus")
    def add_known(self, log: Mapping[str, Any]) -> None:
        """Record steps that were not executed again, and the start of those with branches, before the next task."""
        for step in steps_of(log):
            # Not the start of a task: its attempt starts a moment later, and the earliest event counts.
            if step["step_type"] in COMPOSITE and step["status"] == "PROCESSING":
                self._start(step, 1)
            if step["mock"] and step["internal_name"] not in self._ended:
                self._end_other(step)

    @never_raises("magnus")
    def notice(self, step: StepLog | None, attempt: int, variable: str, text: str) -> None:
        """Record a value at the moment at which its variable is set."""
        key, number = read_name(variable)
        if not key:
            warn_once(variable, f"{variable} has no key: it is not tracked")
            return
        self._noticed[variable] = text
        self.put(step, attempt, key, read_json(text), number)

    def read(self, step: StepLog | None, attempt: int, variable: str, text: str) -> None:
        """Record a value that its variable has when the step ends, unless it was noticed."""
        if self._noticed.pop(variable, None) != text:
            self.notice(step, attempt, variable, text)
            self._noticed.pop(variable, None)

    def put(self, step: StepLog | None, attempt: int, key: str, given: Any, number: int) -> None:
        """Record a value of a step, now."""
        recorder, time = self.run.recorder, now()
        recorder.prepare()
        context = (*self._start(step, attempt), recorder.labels)
        name, at = place(key, number, suffixes=self._suffixes)
        value, name = scalar(given), clean_name(name)
        if is_point(value):
            recorder.journal.put_at(name, value, at, time, context)  # type: ignore[arg-type]  # it is a number
        else:
            kept = typed(value)
            recorder.journal.observe(Observation(name, kept, len(dumps(kept).encode()), at, time, context))

    @never_raises("magnus")
    def end_step(self, step: StepLog) -> None:
        """Record all that is known of a step when its attempt is over."""
        self._ended.add(step["internal_name"])
        for attempt in step["attempts"]:
            self._start(step, max(1, attempt["attempt_number"]))
        for time, body in attempt_events(step, base=self.base, now=now()):
            self._record(time, body)
        self._add_artifacts(step)

    @never_raises("magnus")
    def end_others(self, log: Mapping[str, Any]) -> None:
        """Record the steps that this process has not recorded, and what Magnus has added to the data catalog."""
        for step in steps_of(log):
            if step["internal_name"] not in self._ended:
                self._end_other(step)
            self._add_artifacts(step)

    def end(self, log: Mapping[str, Any], status: str) -> None:
        """Record what the run log has besides, and the end of the run: `status` is SUCCESS or FAIL."""
        self.end_others(log)
        is_success = status == "SUCCESS"
        self.finish("finished" if is_success else "failed", "" if is_success else failure_of(list(steps_of(log))))

    def finish(self, status: Any, message: str) -> None:
        """End the run, and wait until the log has everything; at most GATEWAY_FINISH_TIMEOUT_S."""
        if not self.run.is_owner:
            self.run.recorder.record(f"run_{status}", attempt=self.run.attempt, message=message)
        self.run.finish(status, message=message)

    def _start(self, step: StepLog | None, attempt: int) -> tuple[str, int]:
        """Return named step and attempt as events have them, and record the start of the step; once."""
        if step is None:
            return "main", self.run.attempt
        found = step["internal_name"], self.base + attempt
        if found not in self._steps:
            self._steps.add(found)
            start = min((time for time, _ in attempt_events(step, base=self.base, now=now())), default=now())
            self._record(start, start_event(step, found[1]))
        return found

    def _end_other(self, step: StepLog) -> None:
        """Record a step that has branches, that was not executed again, or that another process executed."""
        if step["attempts"]:
            self.end_step(step)
            return
        self._ended.add(step["internal_name"])
        start, end = time_span(step, now())
        scope = {"step_name": step["internal_name"], "attempt": self.base + 1}
        self._record(start, start_event(step, self.base + 1))
        for code in code_events(step, self.base + 1):
            self._record(start, code)
        if step["status"] in STATUS:
            self._record(end, {"kind": "step_finished", **scope, "status": STATUS[step["status"]]})

    def _add_artifacts(self, step: StepLog) -> None:
        attempt = self.base + max([1, *(one["attempt_number"] for one in step["attempts"])])
        for entry in step["data_catalog"]:
            known = (step["internal_name"], entry["name"], entry["stage"])
            if known not in self._artifacts:
                self._artifacts.add(known)
                self._record(now(), artifact_event(step, entry, attempt))

    def _record(self, time: int, body: Mapping[str, Any]) -> None:
        fields = dict(body)
        self.run.recorder.record_at(fields.pop("kind"), time, **fields)


def open_pipeline(magnus_id: str, tag: str, *, url: str, is_root: bool, suffixes: bool) -> Pipeline:
    """Start the run of a pipeline, or join it where another process traverses the pipeline. Never raises."""
    if not is_root:
        os.environ[RUN_ID] = os.environ[JOIN] = magnus_id
    try:
        run = current.start_run(name=magnus_id, run_id=magnus_id, tag=tag, url=url or None)
    except ClientError as error:
        warn_once("address", f"{error}; until then events are kept in the journal")
        run = current.start_run(name=magnus_id, run_id=magnus_id, tag=tag, url=NOWHERE)
    return Pipeline(run, magnus_id, suffixes=suffixes)
