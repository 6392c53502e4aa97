"""
Record facts of a run log (changes.py) as events of a run.

The process that leads the pipeline starts the run and ends it. Its forked children, and processes that execute one step
for it, join. Several pipelines may run one after the other in one process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gateway.client.encoding.typed import typed
from gateway.client.encoding.values import clean, clean_name, cut_bytes, dumps, is_point, now, scalar
from gateway.client.journal.entries import Observation
from gateway.client.journal.series import MAIN
from gateway.client.run.current import join_copy, start_run
from gateway.client.run.steps import Steps
from gateway.client.shipping.batching import split
from gateway.dialects.runnable.chunks import to_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.client.journal.series import StepContext
    from gateway.client.run.run import Run
    from gateway.dialects.runnable.changes import Fact

MAX_CONFIG = 500_000  # bytes of the configuration in an event, which has at most 900,000; its label has all of it
MAX_INDEXED = 1_024  # bytes of a text that PostgreSQL indexes
_SHA256 = 64  # hex digits

_open: dict[str, Recording] = {}  # by run id; a forked child has those of its parent


class Recording:
    """One run, as this process records it."""

    def __init__(self, run: Run, lost: Mapping[str, int]) -> None:
        self.run = run
        self.lost = lost  # attempts that runnable forgot, by step: the number of an attempt is above them
        self.has_ended = False
        is_first = run.is_owner and run.attempt == 1
        self._process, self._mark = (os.getpid() if is_first else 0), ""
        self._steps = Steps(run.recorder, run)
        self._open: dict[tuple[str, int], Any] = {}  # steps that a task runs in now, by name and attempt

    def record(self, facts: Sequence[Fact], parts: Mapping[str, str]) -> None:
        """Append what happened, and the changed parts of the run log; returns when the journal has all of it."""
        for fact in facts:
            self._record(fact)
        labels = {
            key: {"type": "string", "value": text} for key, text in to_labels(parts, now(), self._writer()).items()
        }
        for some in split(labels) if labels else ():
            self.run.recorder.record("labels", labels=some)

    def _writer(self) -> str:
        """Return what the labels of this process have in their names; a forked child has another."""
        if self._process != os.getpid():
            self._process, self._mark = os.getpid(), uuid4().hex[:12]
        return self._mark

    def finish(self) -> None:
        """Wait until the log has everything, as the end of each run does, if the run has ended."""
        if self.has_ended and not self.run.is_finished:
            self.run.finish()

    def _record(self, fact: Fact) -> None:
        recorder, context = self.run.recorder, self._context(fact)
        scope = {"step_name": context[0], "attempt": context[1]}
        match fact.kind:
            case "description":
                config = typed(fact.body.get("run_config") or {})
                described = {key: value for key, value in fact.body.items() if key != "run_config" and value}
                if config["type"] == "json" and len(dumps(config["value"])) <= MAX_CONFIG:
                    described["run_config"] = config["value"]
                recorder.record_at("run_created", fact.time, attempt=self.run.attempt, **described)
            case "params":
                values = {clean_name(name): typed(value) for name, value in fact.body.items()}
                for some in split(values):
                    recorder.record_at("params", fact.time, **scope, params=some)
            case "value":
                self._record_value(fact, context)
            case "code":
                identity = {name: value for name, value in fact.body.items() if value is not None and name in _CODE}
                identity["code_identifier"] = cut_bytes(clean(identity["code_identifier"], MAX_INDEXED), MAX_INDEXED)
                recorder.record_at("code", fact.time, **scope, **identity)
            case "artifact":
                digest = fact.body["sha256"]
                body = {**fact.body, "name": clean_name(fact.body["name"]), "uri": clean(fact.body["uri"])}
                body["sha256"] = digest if len(digest) == _SHA256 and set(digest) <= _HEX else ""
                recorder.record_at("artifact", fact.time, **scope, **body)
            case "end":
                self._end(fact)
            case _:
                if fact.attempt:
                    self._follow(fact.kind, *context[:2])
                body = {key: clean(value) if isinstance(value, str) else value for key, value in fact.body.items()}
                recorder.record_at(fact.kind, fact.time, **scope, **body)

    def _follow(self, kind: str, name: str, attempt: int) -> None:
        """Let what a task emits itself belong to its step, from its start to its end."""
        key = name, attempt
        if kind == "step_started" and key not in self._open:
            self._open[key] = self._steps.enter(name, attempt)
        elif kind == "step_finished" and key in self._open:
            self._steps.leave(self._open.pop(key))

    def _context(self, fact: Fact) -> StepContext:
        name = clean_name(fact.step_name) if fact.step_name else MAIN
        attempt = fact.attempt + self.lost.get(fact.step_name, 0) if fact.attempt else self.run.attempt
        return name, attempt, self.run.recorder.labels

    def _record_value(self, fact: Fact, context: StepContext) -> None:
        recorder = self.run.recorder
        recorder.prepare()
        name, step, value = clean_name(fact.body["name"]), fact.body["step"], scalar(fact.body["value"])
        if is_point(value):
            recorder.journal.put_at(name, value, step, fact.time, context)  # type: ignore[arg-type]  # a number
            return
        kept = typed(value)
        recorder.journal.observe(Observation(name, kept, len(dumps(kept).encode()), step, fact.time, context))

    def _end(self, fact: Fact) -> None:
        """Record the end, without waiting: runnable may still write, and `finish` waits."""
        self.has_ended = True
        status, message = fact.body["status"], clean(fact.body["message"])
        if self.run.is_owner:
            self.run.recorder.end(status, message)
        else:  # the process that started the run ended long ago: each step has a process of its own
            self.run.recorder.record_at(f"run_{status}", fact.time, attempt=self.run.attempt, message=message)


_CODE = (
    "code_identifier", "code_identifier_type", "code_identifier_dependable", "code_identifier_url",
    "code_identifier_message",
)  # fmt: skip
_HEX = frozenset("0123456789abcdef")


def find_recording(run_id: str) -> Recording | None:
    """Return the recording that this process has of a run; None if there is none, or it is finished."""
    found = _open.get(run_id)
    return None if found is None or found.run.is_finished else found


def start_recording(
    run_id: str, *, tag: str, url: str, resume: bool = False, lost: Mapping[str, int] | None = None
) -> Recording:
    """Start a run, or with `resume` its next attempt, in the process that leads it. Raises ClientError."""
    attempt = None if resume else 1
    return _add(start_run(run_id, run_id=run_id, tag=tag, url=url or None, resume=resume, attempt=attempt), lost)


def join_recording(
    run_id: str, *, url: str, starts: bool = False, tag: str = "", lost: Mapping[str, int] | None = None
) -> Recording:
    """
    Join a run that another process leads, or that none does; `starts` records its start.

    Never raises: what cannot be sent waits in the journal.
    """
    run = join_copy(run_id, run_id, 1, "", url, "")
    if starts:
        run.recorder.record("run_started", attempt=1, name=clean_name(run_id), tag=clean_name(tag) if tag else "")
    return _add(run, lost)


def _add(run: Run, lost: Mapping[str, int] | None) -> Recording:
    found = _open[run.id] = Recording(run, lost or {})
    return found
