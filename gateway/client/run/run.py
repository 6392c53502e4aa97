"""
A run: what training code talks to.

Every method but `start_run` itself is safe in a training loop: it never raises, never waits for the network, and may
be called from any thread and in forked children. Only `flush`, `finish` and `barrier` wait, up to their deadline.
"""

from __future__ import annotations

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
from gateway.client.journal.entries import Observation
from gateway.client.recording.health import health, warn_unsent
from gateway.client.recording.recorder import Recorder
from gateway.client.recording.report import Report, status_of
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
from gateway.client.run.steps import Step, Steps
from gateway.client.shipping.batching import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from os import PathLike
    from types import TracebackType
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Labels
    from gateway.client.recording.report import Status
    from gateway.client.shipping.shipper import Shipper


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
        self.is_forked = False  # a forked child has it from its parent
        self.report: Report | None = None  # set by finish()
        self.recorder = Recorder(
            run_id,
            attempt=attempt,
            is_owner=is_owner,
            labels=labels,
            find_shipper=find_shipper,
            on_late=None if on_late is None else lambda: on_late(self),
        )
        self._on_finish = on_finish
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._steps = Steps(self.recorder)

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
                recorder = self.recorder
                put = recorder.put  # in two steps: CPython 3.11 calls an attribute that is no method 12 ns slower
                put(name, value, step, recorder.context or self._steps.here())
            else:
                self._emit(name, value, step, time, labels)
        except Exception as error:  # noqa: BLE001 -- a stranger's object failed while read: the value is lost, and counted
            try:
                self.recorder.count_dropped(1)
                warn_lost("emit", f"emit({safe_repr(name)}) cannot be kept and is counted as dropped", error)
            except RecursionError:
                return  # the stack is used up to its last frame

    def _emit(self, name: Any, value: Any, step: Any, time: Any, labels: Any) -> None:
        """Do what `emit` does for whatever is not a plain number by name and step. May raise."""
        recorder = self.recorder
        recorder.prepare()
        where = recorder.context or self._steps.here()
        if hasattr(name, "items"):
            step = value if step is None else step  # emit({...}, 3)
            entries = list(name.items())
            if time is None and labels is None:
                entries = recorder.journal.put_all(entries, step, where)
            for path, item in flatten(entries):
                self.emit(path, item, step, time=time, labels=labels)
            return
        if labels:
            where = (where[0], where[1], clean_labels({**dict(recorder.labels), **labels}))
        moment = read_time(time, now())
        step, value, name = read_step(step), scalar(value), clean_name(name)
        if is_point(value):
            recorder.journal.put_at(name, value, step, moment, where)
            return
        kept = typed(value)
        recorder.journal.observe(Observation(name, kept, len(dumps(kept).encode()), step, moment, where))

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
        where = self._context()
        for part in split(kept) if kept else ():
            self.recorder.record("params", step_name=where[0], attempt=where[1], params=part)

    @never_raises("set_tags")
    def set_tags(self, tags: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set words to find the run by; the last value of a name wins. Values become text."""
        given = read_mapping("set_tags", tags, more)
        kept = {clean_name(name): clean(text_of(value), MAX_NAME * 8) for name, value in given.items()}
        self._tags.update(kept)
        for part in split(kept) if kept else ():
            self.recorder.record("tags", tags=part)

    @never_raises("set_labels")
    def set_labels(self, labels: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Attach JSON to the run that nobody filters by; the last value of a name wins."""
        given = read_mapping("set_labels", labels, more)
        kept = {clean_name(name): typed(value) for name, value in given.items()}
        for part in split(kept) if kept else ():
            self.recorder.record("labels", labels=part)

    @never_raises("note")
    def note(self, text: str) -> None:
        """Write what a person should know about the run; the last note wins."""
        self.recorder.record("note", text=clean(text_of(text)))

    @never_raises("artifact")
    def artifact(self, name: str, uri: str, size: int | None = None, sha256: str = "", *, media_type: str = "") -> None:
        """Refer to bytes kept elsewhere. `size` in bytes, `sha256` as 64 hex digits of lower case."""
        from gateway.client.run.artifacts import reference

        where = self._context()
        body = reference(name, uri, size, sha256, media_type)
        self.recorder.record("artifact", step_name=where[0], attempt=where[1], **body)

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

        refer(self.recorder, path, name, media_type, self._context())

    @never_raises("delete")
    def delete(
        self,
        *,
        series: str | Iterable[str] = (),
        param: str | Iterable[str] = (),
        tag: str | Iterable[str] = (),
        label: str | Iterable[str] = (),
        artifact: str | Iterable[str] = (),
    ) -> None:
        """
        Delete parts of the run by name: `run.delete(series="loss", tag=["draft", "team"])`.

        A series goes in all its steps, attempts and labels, with its values that are no numbers. What is recorded under
        a name later is new. The bytes of an artifact stay where they are. `gateway runs delete` deletes whole runs.
        """
        from gateway.client.run.edits import delete

        names = {"series": series, "param": param, "tag": tag, "label": label, "artifact": artifact}
        delete(self.recorder, names, {"param": self._params, "tag": self._tags})

    @never_raises("rename")
    def rename(self, new: str, *, series: str | None = None, param: str | None = None, tag: str | None = None) -> None:
        """
        Name the run, or a part of it: `run.rename("baseline")`, `run.rename("train/loss", series="loss")`.

        Where the new name is taken, by a series of the same step, attempt and labels, a parameter or a tag, both stay
        as they are. What is recorded under the old name later is a part of its own.
        """
        from gateway.client.run.edits import rename

        old_names = {"series": series, "param": param, "tag": tag}
        self.name = rename(self.recorder, new, old_names, {"param": self._params, "tag": self._tags}) or self.name

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
        return self.recorder.flush(read_timeout(timeout_s))

    def barrier(self, timeout_s: float = FINISH_TIMEOUT_S) -> None:
        """
        Wait until readers see all that this process emitted to the run: in the log, and folded into PostgreSQL.

        Asks the API (GATEWAY_LIVE_URL, or the local stack's). Raises BarrierTimeout, which says what is missing, after
        `timeout_s` seconds, and ClientError when nothing is sent anywhere.
        """
        from gateway.client.run.barrier import barrier

        barrier(self.recorder, timeout_s)

    def finish(self, status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report:
        """
        End the run and wait, up to `timeout_s` seconds, until the log has everything; return what became of it.

        `timeout_s` defaults to GATEWAY_FINISH_TIMEOUT_S, then 30. What is still unsent then is said in one line on
        stderr; it goes on being sent while the process lives. A second call returns the first one's report, renewed.
        """
        end = monotonic() + read_timeout(timeout_s)
        recorder = self.recorder
        recorder.stop_background(max(0.0, end - monotonic()))
        is_first, is_open = recorder.finish()
        if is_open:
            recorder.close(*read_status(status, message), is_end=is_first)
        recorder.flush(max(0.0, end - monotonic()))
        self.report = recorder.count()
        if is_first:
            warn_unsent(recorder, self.report)
        self._on_finish(self)
        return self.report

    def health(self) -> dict[str, Any]:
        """Return what the client knows of itself: counts, the address, whether it is reached, the last error."""
        return health(self.recorder)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, message = status_of(error)
        self.finish(status, message=message)

    @property
    def is_owner(self) -> bool:
        """Whether this process started the run and ends it; False where it joined the run, and in a forked child."""
        return self.recorder.is_owner

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called in this process; what is recorded after that is kept, and counted as late."""
        return self.recorder.is_finished

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, name={self.name!r})"

    # Inside.

    def after_fork(self) -> object:
        """Become a joined process of the same run; return what the child must keep of its parent. In the child only."""
        self.is_forked = True
        self._steps.after_fork()
        return self.recorder.after_fork()

    def _context(self) -> StepContext:
        """Return the named step, attempt and labels of here and now."""
        return self.recorder.context or self._steps.here()
