"""
Deliver to a tracker that was written for Magnus 0.5: a class of the entry-point group `experiment_tracker`.

    team:
      type: magnus
      config: {tracker: mlflow, config: {server_url: "http://127.0.0.1:5000"}}

Such a class finds the run in `magnus.context.run_context`, of which there is one in a process, and may keep what it
opened for it. So each run has an instance of its own, and one call at a time is made. The interface has neither times
nor answers: a call that failed is continued where it failed, but if the process is killed in a call, the values of that
call may be there twice.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from threading import Lock
from types import SimpleNamespace
from typing import Any

from consumers.trackers.magnus.translate import Call, calls, fold_tag, parameters_left
from consumers.trackers.protocol import Capabilities, ReadBack, State
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

log = logging.getLogger("consumers.delivery")

GROUP = "experiment_tracker"  # entry-point group of Magnus
MAX_RUNS = 100  # instances that are kept: a run that comes back after more gets a new one
MAX_PARAMETERS = 1_000  # names that a state remembers


class MagnusTracker:
    """One tracker of Magnus, with an instance for each run."""

    name = "magnus"
    cannot_hold: Sequence[str] = (
        "times of points, start, end and status of runs, tags, notes, artifacts, console lines: Magnus' interface has "
        "numbers, other values and parameters only",
        "later values of a parameter: it gets the first one",
        "deletes and renames",
        "proof: what it holds cannot be read back",
    )
    capabilities = Capabilities(keeps_times=False, keeps_status=False)

    def __init__(self, *, tracker: str = "", config: Mapping[str, Any] | None = None) -> None:
        self._wanted = tracker
        self._config = dict(config or {})
        self._class: Any = None
        self._instances: OrderedDict[str, Any] = OrderedDict()
        self._made: dict[str, dict[tuple[str, int], int]] = {}  # by run: calls made for each event of a failed delivery
        self._lock = Lock()

    def open(self, settings: Settings) -> None:
        """Load the class and check its configuration. Raises BadSettings."""
        found = {entry.name: entry for entry in entry_points(group=GROUP)}
        if self._wanted not in found:
            known = ", ".join(sorted(found)) or "none: install magnus and the tracker's package"
            raise BadSettings(
                f"the tracker magnus needs config: {{tracker: NAME}} in the trackers file, with a tracker of Magnus "
                f"instead of {self._wanted!r:.80}: installed are {known}"
            )
        try:
            with _own_logging():
                self._class = found[self._wanted].load()
                self._class(**self._config)
        except Exception as error:  # noqa: BLE001 -- the class is foreign code; its message may quote a password
            raise BadSettings(
                f"Magnus' tracker {self._wanted!r} cannot be made ({type(error).__name__}): correct its config"
            ) from None

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Make the calls for these events. Raises TrackerUnavailable, TrackerRefused."""
        kept = {"refused": state.get("refused", 0), "parameters": dict(state.get("parameters", {}))}
        kept["tag"] = fold_tag(state.get("tag", ""), (envelope.event for envelope in envelopes))
        with self._lock:
            for envelope in envelopes:
                self._write(run_id, envelope, kept)
            self._made.pop(run_id, None)
        return kept

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Raise: the interface of Magnus has nothing to read with."""
        raise NotImplementedError(f"a tracker of Magnus has no function for it: look at {self._wanted} itself")

    def close(self) -> None:
        """Forget the instances: Magnus' trackers have nothing to close."""
        self._instances.clear()

    def _write(self, run_id: str, envelope: Envelope, kept: dict[str, Any]) -> None:
        """Make the calls for an event, less those that an earlier delivery made before it failed."""
        made, known = self._made.setdefault(run_id, {}), kept["parameters"]
        key = (envelope.producer, envelope.seq)
        for number, call in enumerate(list(parameters_left(calls(envelope), known)), 1):
            if call.step is None and len(known) < MAX_PARAMETERS:
                known[call.key] = 1
            if number > made.get(key, 0):
                self._call(run_id, call, kept)
                made[key] = number

    def _call(self, run_id: str, call: Call, kept: dict[str, Any]) -> None:
        try:
            tracker = self._enter(run_id, call.step_name, kept["tag"])
            if call.step is None:
                tracker.log_parameter(call.key, call.value)
            else:
                tracker.log_metric(call.key, call.value, step=call.step)
        except Exception as error:  # the tracker is foreign code
            if _is_outage(error):
                raise TrackerUnavailable(f"Magnus' tracker {self._wanted}: {type(error).__name__}: {error}") from error
            if call.is_number:
                cause = f"{type(error).__name__}: {error}"
                raise TrackerRefused(
                    f"Magnus' tracker {self._wanted} refuses {call.key!r:.80}: {cause:.300}"
                ) from error
            kept["refused"] += 1  # a name that is taken, a text that is too long: the others continue
            log.warning("%s: run %s: %r is refused: %s", self._wanted, run_id, call.key, error)

    def _enter(self, run_id: str, step_name: str, tag: str) -> Any:
        """Return the instance of a run, after Magnus' context says which run and step this is."""
        import magnus.context

        step = SimpleNamespace(name=step_name.rpartition(".")[2], internal_name=step_name, user_defined_metrics={})
        executor = SimpleNamespace(service_name="local", _context_step_log=step, step_attempt_number=1)
        magnus.context.run_context = SimpleNamespace(
            run_id=run_id, tag=tag, executor=executor, execution_plan="chained", dag_hash="", variables={},
            use_cached=False, original_run_id="", configuration_file="", parameters_file="", pipeline_file="",
        )  # fmt: skip
        tracker = self._instances.pop(run_id, None) or self._class(**self._config)
        self._instances[run_id] = tracker
        while len(self._instances) > MAX_RUNS:
            self._instances.popitem(last=False)
        return tracker


@contextmanager
def _own_logging() -> Iterator[None]:
    """Keep the logging of this process: the import of magnus replaces it, and silences every logger there is."""
    root, known = logging.getLogger(), logging.root.manager.loggerDict.values()
    handlers, level = root.handlers[:], root.level
    disabled = {one: one.disabled for one in known if isinstance(one, logging.Logger)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, was_disabled in disabled.items():
            logger.disabled = was_disabled


def _is_outage(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is one of the network or the system: then trying again helps."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, OSError):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
