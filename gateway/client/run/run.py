"""
A run: what training code talks to.

Every method but `start_run` itself is safe in a training loop: it never raises, never waits for the network, and may
be called from any thread and in forked children. Only `flush`, `finish` and `barrier` wait, up to their deadline.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

from gateway.client.encoding.values import (
    EXACT,
    MAX_NAME,
    clean,
    clean_labels,
    clean_name,
    dumps,
    is_point,
    now,
    scalar,
    text_of,
    typed,
)
from gateway.client.guards import never_raises, safe_repr, warn_lost
from gateway.client.journal.entries import JournalEvent, Marker, Observation
from gateway.client.journal.journal import Journal
from gateway.client.notices import warn_once
from gateway.client.recording.report import Report, health, status_of, tell
from gateway.client.run.arguments import (
    FINISH_TIMEOUT_S,
    flatten,
    read_attempt,
    read_mapping,
    read_status,
    read_step,
    read_time,
    read_timeout,
)
from gateway.client.run.barrier import barrier
from gateway.client.run.edits import delete, rename
from gateway.client.run.steps import Step, Steps
from gateway.client.shipping.batching import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from os import PathLike
    from types import TracebackType
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.background import Sideline
    from gateway.client.recording.report import Status
    from gateway.client.shipping.producer import Producer
    from gateway.client.shipping.shipper import Shipper

    Labels = tuple[tuple[str, str], ...]


class Run:
    """One run, as seen by one process. Made by `gateway.start_run`; use it as a context manager."""

    def __init__(  # noqa: PLR0913 -- made in two places only
        self,
        run_id: str,
        name: str,
        *,
        attempt: int,
        is_owner: bool,
        find_shipper: Callable[[], Shipper],
        on_finish: Callable[[Run], None],
        on_late: Callable[[Run], None] | None = None,
        labels: Labels = (),
        group: str = "",
        outer: Run | None = None,
    ) -> None:
        self.id = run_id
        self.name = name
        self.attempt = attempt
        self.group = group
        self.outer = outer  # the run that was open around it where it was started, in this process
        self.is_owner = is_owner  # False: joined through GATEWAY_RUN_ID, or a forked child; it does not end the run
        self.report: Report | None = None  # set by finish()
        self._find_shipper = find_shipper
        self._on_finish = on_finish
        self._on_late = on_late  # told when something is recorded after the end
        self._shipper: Shipper | None = None
        self._producer: Producer | None = None
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self.is_forked = False  # a forked child has it from its parent
        self._is_finished = False
        self._lock = Lock()
        self._is_taking = True  # False: the producer is closed; what comes late opens a new one
        self._journal = Journal(run_id, is_owner=is_owner, attempt=attempt)
        self._past: list[tuple[Journal, Producer | None]] = []  # closed, with what became of them
        self._sideline: Sideline | None = None
        self._labels = labels  # of every series of this process
        self._steps = Steps(self, attempt, labels)
        self._put: Callable[..., None] = self._put_first
        self._ship()

    # Points and values.

    def emit(
        self,
        name: str | Mapping[str, Any],
        value: Any = None,
        step: int | None = None,
        *,
        time: float | datetime | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Record a value of a series, or several: `emit("loss", 0.1, step=3)`, `emit({"loss": 0.1}, step=3)`.

        Numbers become points of a chart; text, booleans, None, lists, dicts, datetimes and pydantic models keep their
        type; anything else is kept as its repr(). Dicts inside `emit({...})` become `a/b`. `step` None is the next
        integer after the largest step this process emitted for the series, 0 first. `time` is epoch seconds or a
        datetime, by default now. `labels` tell series of one name apart, for example `{"rank": 3}`.

        Never raises and never waits: what cannot be kept is counted and said once on stderr.
        """
        try:
            kind = type(value)
            if (
                (kind is float or (kind is int and -EXACT <= value <= EXACT))
                and type(name) is str
                and (step is None or type(step) is int)
                and time is None
                and labels is None
            ):
                self._put(name, value, step, self._steps.where or self._steps.here())
            else:
                self._emit(name, value, step, time, labels)
        except Exception as error:  # noqa: BLE001 -- a stranger's object failed while read: the value is lost, and counted
            try:
                self._journal.lose(1)
                warn_lost("emit", f"emit({safe_repr(name)}) cannot be kept and is counted as dropped", error)
            except RecursionError:
                return  # the stack is used up to its last frame

    def _emit(self, name: Any, value: Any, step: Any, time: Any, labels: Any) -> None:
        """Do what `emit` does for whatever is not a plain number by name and step. May raise."""
        self._revive()
        if self._is_finished:
            self._open_late()
        where = self._steps.where or self._steps.here()
        if hasattr(name, "items"):
            step = value if step is None else step  # emit({...}, 3)
            entries = list(name.items())
            if time is None and labels is None:
                entries = self._journal.put_all(entries, step, where)
            for path, item in flatten(entries):
                self.emit(path, item, step, time=time, labels=labels)
            return
        if labels:
            where = (where[0], where[1], clean_labels({**dict(self._labels), **labels}))
        moment = read_time(time, now())
        step, value, name = read_step(step), scalar(value), clean_name(name)
        if is_point(value):
            self._journal.put_at(name, value, step, moment, where)
            return
        kept = typed(value)
        self._journal.observe(Observation(name, kept, len(dumps(kept).encode()), step, moment, where))

    # Facts about the run.

    @property
    def params(self) -> dict[str, Any]:
        """The parameters this process logged."""
        return dict(self._params)

    @property
    def tags(self) -> dict[str, str]:
        """The tags this process set."""
        return dict(self._tags)

    @never_raises("log_params")
    def log_params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Record inputs of the current attempt: `log_params({"lr": 0.1})` or `log_params(lr=0.1)`; types are kept."""
        given = read_mapping("log_params", params, more)
        kept = {clean_name(name): typed(value) for name, value in given.items()}
        self._params.update(given)
        where = self._steps.where or self._steps.here()
        for part in split(kept) if kept else ():
            self._record("params", step_name=where[0], attempt=where[1], params=part)

    @never_raises("set_tags")
    def set_tags(self, tags: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set words to find the run by; the last value of a name wins. Values become text."""
        given = read_mapping("set_tags", tags, more)
        kept = {clean_name(name): clean(text_of(value), MAX_NAME * 8) for name, value in given.items()}
        self._tags.update(kept)
        for part in split(kept) if kept else ():
            self._record("tags", tags=part)

    @never_raises("set_labels")
    def set_labels(self, labels: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Attach JSON to the run that nobody filters by; the last value of a name wins."""
        given = read_mapping("set_labels", labels, more)
        kept = {clean_name(name): typed(value) for name, value in given.items()}
        for part in split(kept) if kept else ():
            self._record("labels", labels=part)

    @never_raises("note")
    def note(self, text: str) -> None:
        """Write what a person should know about the run; the last note wins."""
        self._record("note", text=clean(text_of(text)))

    @never_raises("artifact")
    def artifact(self, name: str, uri: str, size: int | None = None, sha256: str = "", *, media_type: str = "") -> None:
        """Refer to bytes kept elsewhere. `size` in bytes, `sha256` as 64 hex digits of lower case."""
        from gateway.client.run.artifacts import reference

        where = self.scope()
        body = reference(name, uri, size, sha256, media_type)
        self._record("artifact", step_name=where[0], attempt=where[1], **body)

    def text(self, name: str, text: str, step: int | None = None) -> None:
        """Record text, as it was at a step: a sample of what a model writes. Cut to 131,072 characters."""
        self.emit(name, text_of(text), step)

    @never_raises("log_artifact")
    def log_artifact(self, path: str | PathLike[str], name: str | None = None, *, media_type: str = "") -> None:
        """
        Refer to a file or folder by its file: URI, under its own name or `name`; the bytes stay where they are.

        Size and SHA-256 are found in the background, at the time of the call or soon after it; `finish` waits for
        that. A folder has the size of its files and no SHA-256.
        """
        from gateway.client.run.artifacts import refer

        refer(self, path, name, media_type)

    delete = delete
    rename = rename

    def step(self, name: str, *, attempt: int | None = None, step_type: str = "task") -> Step:
        """
        Return a named step, for `with run.step("train"):` or as a decorator.

        What is emitted inside belongs to it. Entering a step again is its next attempt, unless `attempt` says which.
        An exception is recorded as the step's failure and goes on.
        """
        return Step(self._steps, clean_name(name), read_attempt(attempt), clean(text_of(step_type), MAX_NAME))

    # The end.

    def flush(self, timeout_s: float = FINISH_TIMEOUT_S) -> bool:
        """Wait until all that was emitted before is acknowledged; False when `timeout_s` seconds were not enough."""
        return self._shipper is None or self._wait(read_timeout(timeout_s))

    barrier = barrier

    def finish(self, status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report:
        """
        End the run and wait, up to `timeout_s` seconds, until the log has everything; return what became of it.

        `timeout_s` defaults to GATEWAY_FINISH_TIMEOUT_S, then 30. What is still unsent then is said in one line on
        stderr; it goes on being sent while the process lives. A second call returns the first one's report, renewed.
        """
        end = monotonic() + read_timeout(timeout_s)
        if self._sideline is not None:
            self._sideline.stop(max(0.0, end - monotonic()))
        with self._lock:
            is_first, self._is_finished = not self._is_finished, True
            is_open, self._is_taking = self._is_taking, False
            self._put = self._put_late
        if self._shipper is not None:
            if is_open:
                self._close(*read_status(status, message), is_end=is_first)
            self._wait(max(0.0, end - monotonic()))
        self.report = self._count()
        if is_first:
            tell(self.id, self.report, self._shipper, self._producer, unkept=self._journal.unkept)
        self._on_finish(self)
        return self.report

    health = health

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, message = status_of(error)
        self.finish(status, message=message)

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called in this process; what is recorded after that is kept, and counted as late."""
        return self._is_finished

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, name={self.name!r})"

    # Inside.

    def _record(self, kind: str, **body: Any) -> None:
        """Append one event that is never refused, and ask for it to be sent at once."""
        self.record_at(kind, now(), **body)

    def record_at(self, kind: str, time: int, /, **body: Any) -> None:
        """Append one event of this time (µs). For what is captured, not for callers."""
        self._revive()
        if self._is_finished:
            self._open_late()
        self._journal.append(JournalEvent({"kind": kind, "time": time, **body}))
        if self._shipper is not None:
            self._shipper.wake()

    def _close(self, status: Status, message: str, *, is_end: bool) -> None:
        if self.is_owner and is_end:
            ended = {"kind": f"run_{status}", "time": now(), "attempt": self.attempt, "message": clean(message)}
            self._journal.append(JournalEvent(ended))
        self._journal.append(JournalEvent({"kind": "producer_closed", "time": now()}))

    def _put_late(self, *point: Any) -> None:
        self._open_late()
        self._journal.put(*point)

    def _open_late(self) -> None:
        """Take what comes after the end: as a new producer, which `finish` or the end of the process closes."""
        warn_once("finished", f"run {self.id} is finished: what is recorded after that is kept, and counted as late")
        with self._lock:
            if self._is_taking:
                return
            self._past.append((self._journal, self._producer))
            self._journal = Journal(self.id, is_owner=False, attempt=self.attempt)
            self._shipper = self._producer = None
            self._is_taking = True
        self._ship()
        if self._on_late is not None:
            self._on_late(self)

    def _wait(self, timeout_s: float) -> bool:
        marker, producer, end = Marker(), self._producer, monotonic() + timeout_s
        if (producer is not None and producer.is_done) or (self._shipper is not None and self._shipper.is_offline):
            return True  # acknowledged, or kept for `gateway sync`
        self._journal.append(marker)
        if self._shipper is not None:
            self._shipper.wake()
        while not marker.reached.wait(min(0.2, max(0.0, end - monotonic()))):
            if producer is None or producer.is_done:  # nobody reads the journal of a closed producer
                return True
            if monotonic() >= end:
                return False
        return True

    def _count(self) -> Report:
        emitted = sent = dropped = 0
        for journal, producer in (*self._past, (self._journal, self._producer)):
            dropped += journal.dropped
            emitted += journal.dropped + journal.points + journal.values
            if producer is not None:
                emitted -= producer.lost  # it is in both
                sent += producer.acknowledged_points + producer.acknowledged_values
        return Report(emitted=emitted, sent=sent, dropped=dropped, journal=self._journal.folder)

    def after_fork(self) -> None:
        """Become a new producer of the same run; what the parent has not sent is the parent's. In the child only."""
        self.is_owner = False
        self.is_forked = True
        self._shipper = self._producer = self._sideline = None
        self._lock = Lock()
        self._past.clear()
        self._is_taking = not self._is_finished
        self._journal = Journal(self.id, is_owner=False, attempt=self.attempt)
        self._steps.after_fork()
        self._put = self._put_late if self._is_finished else self._put_first

    def _put_first(self, *point: Any) -> None:
        self._revive()
        self._journal.put(*point)

    def _revive(self) -> None:
        """Start shipping in a forked child, when it first has something to say."""
        if self._shipper is None and not self._is_finished:
            self._ship()

    def _ship(self) -> None:
        with self._lock:
            if self._shipper is None:
                try:
                    shipper = self._find_shipper()
                except RuntimeError as error:  # no thread can start: the interpreter is going away, or a limit is hit
                    warn_once("thread", f"run {self.id}: events cannot be sent ({error}): they wait in the journal")
                    return
                self._producer = shipper.add(self._journal)
                self._shipper = shipper
                self._put = self._put_late if self._is_finished else self._journal.put

    def scope(self) -> StepContext:
        """Return the named step, attempt and labels of here and now. For what is captured, not for callers."""
        return self._steps.where or self._steps.here()

    def beside(self) -> Sideline:
        """Return what works for this run beside training. For what is captured, not for callers."""
        with self._lock:
            if self._sideline is None or self._sideline.is_over:
                from gateway.client.recording.background import Sideline

                self._sideline = Sideline(self.id)
            return self._sideline
