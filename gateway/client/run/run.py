"""
A run, the object that training code uses.

Every method is safe in a training loop: it never raises, never waits for the network, and may be called from any thread
and in forked children. The exceptions are `flush`, `finish` and `barrier`, which wait up to their deadline, and
`barrier`, which raises.
"""

from __future__ import annotations

from time import monotonic

from gateway.client.encoding.typed import typed
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
)
from gateway.client.guards import never_raises, warn_refused
from gateway.client.journal.entries import Observation
from gateway.client.recording.health import health, warn_unmeasured, warn_unsent
from gateway.client.recording.recorder import CAPTURE, DIGESTS, Recorder
from gateway.client.recording.report import Report, status_of
from gateway.client.run import edits
from gateway.client.run.arguments import (
    FINISH_TIMEOUT_S,
    flatten,
    read_attempt,
    read_items,
    read_status,
    read_step,
    read_time,
    read_timeout,
)
from gateway.client.run.defined.methods import DefinitionMethods
from gateway.client.run.logged.methods import ArtifactMethods
from gateway.client.run.steps import Step, Steps, before_end
from gateway.client.shipping.batching import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Labels
    from gateway.client.recording.report import Status
    from gateway.client.recording.shipped_journal import AnyShipper
    from gateway.client.run.stored_artifacts import ArtifactLog

CAPTURE_S = 5.0  # the longest that `finish` waits for the last console lines and samples before it records the end
DIGESTS_S = 1.0  # ... and for digests of artifacts: those of small files precede the end


class Run(ArtifactMethods, DefinitionMethods):
    """One run, as seen by one process. Made by `gateway.start_run`; use it as a context manager."""

    _artifacts: ArtifactLog | None = None  # see ArtifactMethods

    def __init__(  # noqa: PLR0913 -- called in one place only, and in tests
        self,
        run_id: str,
        name: str,
        *,
        attempt: int,
        is_owner: bool,
        find_shipper: Callable[[], AnyShipper],
        on_finish: Callable[[Run], None],
        on_late: Callable[[Run], None] | None = None,
        labels: Labels = (),
        group: str = "",
        is_lazy: bool = False,
    ) -> None:
        self.id = run_id
        self.name = name
        self.attempt = attempt
        self.group = group
        self.outer: Run | None = None  # the run that was open around it when this process started it
        self.is_forked = False  # True in a forked child, which has the run from its parent
        self.is_entered = False  # True once its `with` block was entered
        self.is_replaced = False  # True if another run takes its place at once, or the process ends
        self.parent_id = ""
        self.cell: tuple[str, int] | None = None  # of the notebook that started it: see notebook.py
        self.report: Report | None = None  # set by finish()
        self.recorder = Recorder(
            run_id,
            attempt=attempt,
            is_owner=is_owner,
            labels=labels,
            find_shipper=find_shipper,
            on_late=None if on_late is None else lambda: on_late(self),
            is_lazy=is_lazy,  # nothing is opened before the first record
        )
        self._on_finish = on_finish
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._definitions: dict[str, dict[str, Any]] = {}
        self._steps = Steps(self.recorder, self)

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

        Numbers become points of a chart; text, booleans, None, datetimes, lists, dicts and objects of fields keep their
        type; dates, paths and enums become text, anything else its repr() (docs/client.md). Dicts inside `emit({...})`
        become `a/b`. `step` None means the next integer after the largest step this process emitted for the series, 0
        first. `time` is epoch seconds or a datetime, by default now. `labels` distinguish series with the same name,
        for example `{"rank": 3}`.

        Never raises and never waits: a value that cannot be kept, or not at this step or time, is counted as dropped,
        and reported once on stderr.
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
                put = recorder.put  # not `recorder.put(...)`: CPython 3.11 takes 10 ns more, as it is no method
                put(name, value, step, recorder.context or self._steps.here())
            else:
                self._emit(name, value, step, time, labels)
        except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: the value is counted as lost
            try:
                self.recorder.journal.count_refused(1)  # one frame less: the stack may be almost full
                warn_refused("emit", name, error)
            except RecursionError:
                return  # no stack frame is left

    def _emit(self, name: Any, value: Any, step: Any, time: Any, labels: Any) -> None:
        """Do the work of `emit` for everything but a plain number with name and step. May raise."""
        recorder = self.recorder
        recorder.prepare()
        context = recorder.context or self._steps.here()
        if hasattr(name, "items"):
            step = value if step is None else step  # emit({...}, 3)
            if time is None and labels is None and type(name) is dict:
                name = recorder.journal.put_rows(name, step, context)
            entries = list(name.items())
            if type(name) is not dict:  # its names may be anything, also unhashable
                entries = [(clean_name(one), item) for one, item in entries]
            for path, item in flatten(entries):
                self.emit(path if type(path) is str else clean_name(path), item, step, time=time, labels=labels)
            return
        if labels:
            context = (
                context[0],
                context[1],
                clean_labels({**dict(recorder.labels), **labels} if recorder.labels else labels),
            )
        moment = read_time(time, now())
        step, value, name = read_step(step), scalar(value), clean_name(name)
        if is_point(value):
            recorder.journal.put_at(name, value, step, moment, context)
            return
        kept = typed(value)
        recorder.journal.observe(Observation(name, kept, len(dumps(kept).encode()), step, moment, context))

    # Facts about the run.

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that this process logged."""
        return dict(self._params)

    @property
    def tags(self) -> dict[str, str]:
        """The tags that this process set."""
        return dict(self._tags)

    @never_raises("log_params")
    def log_params(self, params: object = None, /, **more: Any) -> None:
        """
        Record parameters of the current attempt: `log_params({"lr": 0.1})` or `log_params(lr=0.1)`. Keeps types.

        Takes a Namespace, dataclass, attrs or pydantic model or OmegaConf config as well; each field is a parameter.
        """
        kept, given = read_items("log_params", params, more, typed)
        self._params.update(given)
        context = self._context()
        for part in split(kept) if kept else ():
            self.recorder.record("params", step_name=context[0], attempt=context[1], params=part)

    @never_raises("set_tags")
    def set_tags(self, tags: object = None, /, **more: Any) -> None:
        """Set tags, by which the run can be found; the last value of a name wins. Values become text."""
        kept, _ = read_items("set_tags", tags, more, _tag_text)
        self._tags.update(kept)
        for part in split(kept) if kept else ():
            self.recorder.record("tags", tags=part)

    @never_raises("set_labels")
    def set_labels(self, labels: object = None, /, **more: Any) -> None:
        """Attach JSON values that are not used for filtering; the last value of a name wins."""
        kept, _ = read_items("set_labels", labels, more, typed)
        for part in split(kept) if kept else ():
            self.recorder.record("labels", labels=part)

    @never_raises("note")
    def note(self, text: str) -> None:
        """Set the note of the run, a text for people; the last note wins."""
        self.recorder.record("note", text=clean(text_of(text)))

    def text(self, name: str, text: str, step: int | None = None) -> None:
        """Record text at a step, for example a sample of a model's output. It is cut to 131,072 characters."""
        self.emit(name, text_of(text), step)

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

        A series is deleted in all its named steps, attempts and labels, including its non-numeric values. Anything
        recorded under the name later is new. The bytes of an artifact stay where they are. `gateway runs delete`
        deletes whole runs.
        """
        names = {"series": series, "param": param, "tag": tag, "label": label, "artifact": artifact}
        edits.delete(self.recorder, names, {"param": self._params, "tag": self._tags})

    @never_raises("rename")
    def rename(self, new: str, *, series: str | None = None, param: str | None = None, tag: str | None = None) -> None:
        """
        Rename the run, or a part of it: `run.rename("baseline")`, `run.rename("train/loss", series="loss")`.

        If the new name is taken, by a series of the same named step, attempt and labels, by a parameter or by a tag,
        both stay as they are. Anything recorded under the old name later is a separate part.
        """
        old_names = {"series": series, "param": param, "tag": tag}
        self.name = edits.rename(self.recorder, new, old_names, {"param": self._params, "tag": self._tags}) or self.name

    def step(self, name: str, *, attempt: int | None = None, step_type: str = "task") -> Step:
        """
        Return a named step, for `with run.step("train"):` or as a decorator.

        Everything emitted inside belongs to the step. Entering a step again is its next attempt, unless `attempt` gives
        the number. An exception is recorded as the step's failure and is raised further.
        """
        return Step(self._steps, clean_name(name), read_attempt(attempt), clean(text_of(step_type), MAX_NAME))

    # The end.

    def flush(self, timeout_s: float = FINISH_TIMEOUT_S) -> bool:
        """Wait until everything emitted before is acknowledged; False if `timeout_s` seconds were not enough."""
        return self.recorder.flush(read_timeout(timeout_s))

    def barrier(self, timeout_s: float = FINISH_TIMEOUT_S) -> None:
        """
        Wait until readers see everything this process emitted to the run: in the log, and folded into PostgreSQL.

        Asks the API (GATEWAY_LIVE_URL, or the local stack's). Raises BarrierTimeout, which states what is missing,
        after `timeout_s` seconds, and ClientError if the run is not sent anywhere.
        """
        from gateway.client.run.barrier import barrier

        barrier(self.recorder, timeout_s)

    def finish(self, status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report:
        """
        End the run and wait, up to `timeout_s` seconds, until the log has everything; return what became of it.

        `timeout_s` defaults to GATEWAY_FINISH_TIMEOUT_S, then to 30. If anything is unsent by then, one line on stderr
        says so; sending continues while the process lives. At most half of the time is spent on artifacts: on digests
        of those that are still being read, and on uploads. A second call returns an updated report.
        """
        recorder, end = self.recorder, monotonic() + read_timeout(timeout_s)
        for call in before_end:
            call(self)
        # Work in the background may take long: it gets a part of the time, so that the end reaches the log.
        for work, most_s in (CAPTURE, CAPTURE_S), (DIGESTS, DIGESTS_S):
            recorder.stop_background(work, min(most_s, (end - monotonic()) / 4))
        is_first = recorder.finish()
        recorder.end(*read_status(status, message))
        if not recorder.stop_background(DIGESTS, (end - monotonic()) / 2):
            warn_unmeasured(recorder)
        uploads = self._artifacts.uploads if self._artifacts is not None else None
        if uploads is not None and not uploads.wait((end - monotonic()) / 2):
            uploads.warn_waiting()
        recorder.close()
        if uploads is not None:
            uploads.close()
        recorder.flush(max(0.0, end - monotonic()))
        self.report = recorder.count()
        if is_first:
            warn_unsent(recorder, self.report)
        self._on_finish(self)
        return self.report

    def health(self) -> dict[str, Any]:
        """Return the state of the client: counts, the address, whether it is connected, the last error, notices."""
        return health(self.recorder)

    def __enter__(self) -> Run:
        self.is_entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, message = status_of(error)
        self.finish(status, message=message)

    @property
    def is_owner(self) -> bool:
        """Whether this process started the run and ends it; False if it joined the run, and in a forked child."""
        return self.recorder.is_owner

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called in this process; later records are kept and counted as late."""
        return self.recorder.is_finished

    def __copy__(self) -> Run:
        return self

    def __deepcopy__(self, memo: object) -> Run:
        return self  # a copy of what holds a run records into the same run

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, name={self.name!r})"

    # Inside.

    def after_fork(self) -> object:
        """Join the run as a forked child; return the parent's objects, which the child must keep. In the child only."""
        self.is_forked = True
        parents = self.__dict__.pop("_artifacts", None)  # the threads are the parent's
        return parents, self.recorder.after_fork()

    def _context(self) -> StepContext:
        """Return named step, attempt and labels of a record made now in this thread or task."""
        return self.recorder.context or self._steps.here()


def _tag_text(value: object) -> str:
    return clean(text_of(value), MAX_NAME * 8)
