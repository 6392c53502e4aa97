"""
The runs of this process: the current one, and what happens to them at fork and at exit.

Functions here act on the current run: the innermost one open in this thread or asyncio task. A thread that started
none records into the newest one open in the main thread, else the newest. Without any they join the run that
GATEWAY_RUN_ID names, or start one named after the script, which ends with the process.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from threading import Lock, current_thread, main_thread
from time import monotonic

from gateway.client import notices
from gateway.client.address import NOWHERE, Address, find_address
from gateway.client.encoding.values import MAX_NAME, clean, text_of
from gateway.client.errors import ClientError
from gateway.client.guards import safe_repr
from gateway.client.ids import run_name, uuid7
from gateway.client.notices import warn_once
from gateway.client.process import forks, inheritance, signals
from gateway.client.process.inheritance import MAX_ATTEMPT, MAX_RUN_ID
from gateway.client.recording.report import status_of
from gateway.client.run.arguments import FINISH_TIMEOUT_S, finish_timeout, read_attempt
from gateway.client.run.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from os import PathLike
    from typing import Any

    from gateway.client.recording.report import Report, Status
    from gateway.client.run.steps import Step
    from gateway.client.shipping.shipper import Shipper

_current: Run | None = None  # the open run; None when there is none, or several
_runs: list[Run] = []  # started here and not finished, oldest first
_of_main: list[Run] = []  # those of them that the main thread started
_late: list[Run] = []  # finished, and recorded into after that
_last: Run | None = None  # the one that finished last
_is_over = False  # the process ends and its runs are finished: nothing can be sent any more
_innermost: ContextVar[Run | None] = ContextVar("gateway_run", default=None)
_shippers: dict[tuple[str, str], Shipper] = {}
_inherited: list[
    object
] = []  # of the parent of a forked child: kept, because to collect it could close the parent's sockets
_lock = Lock()
_implicit_lock = Lock()
_is_hooked = False
_is_child_hooked = False


def start_run(  # noqa: PLR0913 -- each is a fact about a run, and people know them as arguments
    run_id: str | None = None,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    tag: str = "",
    group: str = "",
    parent: Run | str | None = None,
    url: str | None = None,
    resume: bool = False,
    attempt: int | None = None,
    rank: int | bool | None = None,
    capture: bool | Mapping[str, bool] | None = None,
) -> Run:
    """
    Start a run and make it the current one: `with gateway.start_run(params={"lr": 0.1}) as run:`.

    Left well, the block finishes the run; an exception fails it, Ctrl-C kills it. `name` defaults to a random one,
    `run_id` to a new UUID of version 7. `tag` names the experiment, `group` the sweep or job. Inside an open run this
    starts a child of it, in its group; `parent=""` makes it nobody's child.

    Processes started meanwhile inherit GATEWAY_RUN_ID, and their first start_run(), by no `run_id` or the same one,
    joins: it records into the run, and neither starts nor ends it. Series of a process that joined carry its `rank`:
    RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK or LOCAL_RANK, or the number given, or none with False.

    `resume` goes on with an earlier run as its attempt number `attempt`, which the launcher's restarts decide when it
    is not given, and is 2 without a launcher. `url` is kafka://host:port or none:; without it GATEWAY_URL,
    gateway.toml and the local stack are looked at. `capture` says what is noticed beside training: False nothing,
    True everything, or {"console": True, …} what differs from GATEWAY_CAPTURE and the defaults in docs/client.md.

    Raises ClientError for an argument that cannot be used. Kafka being away is no error: events wait.
    """
    outer, inherited = _find(), inheritance.inherited_run()
    joins = not resume and parent is None and inherited is not None and run_id in (None, inherited)
    joins = joins and all(run.id != inherited or run.is_forked for run in _runs)
    named = run_id if run_id is not None else inherited if resume or joins else None
    number = _attempt(attempt, named, resume=resume)
    resume = resume or (number > 1 and attempt is None and not joins)
    run_id = _checked_id(named if named is not None else uuid7())
    switches = _switches(capture, joins=joins)
    address = find_address(url)
    above, above_group = _parent(parent, outer, inherited, run_id)
    run = Run(
        run_id,
        "" if joins or (resume and not name) else _short(name) if name else run_name(),
        attempt=number,
        is_owner=not joins,
        find_shipper=lambda: _shipper_of(address),
        on_finish=_forget,
        on_late=_late.append,
        labels=_rank_label(rank, joins=joins),
        group=_short(group) or above_group,
        outer=outer,
    )
    if not joins:
        inheritance.give(run_id, number, url)
    _add(run)
    if not joins:
        run._record(
            "run_resumed" if resume else "run_started",
            attempt=run.attempt,
            name=run.name,
            tag=_short(tag),
            group=run.group,
            parent_run_id=above,
        )
    if params is not None:
        run.log_params(params)
    if tags is not None:
        run.set_tags(tags)
    if switches:
        from gateway.client.capture.capture import begin

        begin(run, switches)
    return run


def current_run() -> Run | None:
    """Return the run that module functions record into here and now; None when none is open."""
    return _current or _find()


def emit(
    name: str | Mapping[str, Any],
    value: Any = None,
    step: int | None = None,
    *,
    time: float | datetime | None = None,
    labels: Mapping[str, Any] | None = None,
) -> None:
    """
    Record a value, or a dict of them, in the current run: `emit("loss", 0.1, step=3)`. See Run.emit.

    Never raises and never waits. Without a current run it joins the one GATEWAY_RUN_ID names, or starts one.
    """
    (_current or _implicit()).emit(name, value, step, time=time, labels=labels)


def log_params(params: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Record inputs of the current run. See Run.log_params."""
    (_current or _implicit()).log_params(params, **more)


def set_tags(tags: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Set tags of the current run. See Run.set_tags."""
    (_current or _implicit()).set_tags(tags, **more)


def set_labels(labels: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Attach JSON to the current run. See Run.set_labels."""
    (_current or _implicit()).set_labels(labels, **more)


def note(text: str) -> None:
    """Write a note on the current run. See Run.note."""
    (_current or _implicit()).note(text)


def artifact(name: str, uri: str, size: int | None = None, sha256: str = "", *, media_type: str = "") -> None:
    """Refer to bytes kept elsewhere, from the current run. See Run.artifact."""
    (_current or _implicit()).artifact(name, uri, size, sha256, media_type=media_type)


def log_artifact(path: str | PathLike[str], name: str | None = None, *, media_type: str = "") -> None:
    """Refer to a file or folder, from the current run. See Run.log_artifact."""
    (_current or _implicit()).log_artifact(path, name, media_type=media_type)


def text(name: str, text: str, step: int | None = None) -> None:
    """Record text at a step of the current run. See Run.text."""
    (_current or _implicit()).text(name, text, step)


def step(name: str, *, attempt: int | None = None, step_type: str = "task") -> Step:
    """Return a named step of the current run, for `with` or as a decorator. See Run.step."""
    return (_current or _implicit()).step(name, attempt=attempt, step_type=step_type)


def flush(timeout_s: float = FINISH_TIMEOUT_S) -> bool:
    """Wait until the log has what was emitted to the current run. See Run.flush."""
    run = current_run()
    return run.flush(timeout_s) if run is not None else True


def finish(status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report | None:
    """End the current run and return what became of its points; None when there is none. See Run.finish."""
    run = current_run()
    return run.finish(status, message=message, timeout_s=timeout_s) if run is not None else None


# Inside.


def _implicit() -> Run:
    """Return the current run, or the run of a process that never started one. Never raises."""
    found = _find()
    if found is not None:
        return found
    with _implicit_lock:
        if _runs:
            return _runs[-1]
        if _is_over and _last is not None:
            return _last  # a destructor or exit handler: no run may start that nobody would end
        try:
            return start_run(name=_script())
        except ClientError as error:
            warn_once("address", f"{error}; until then events are kept in the journal")
        nowhere = Address(NOWHERE, "")
        run = Run(
            uuid7(),
            run_name(),
            attempt=1,
            is_owner=True,
            find_shipper=lambda: _shipper_of(nowhere),
            on_finish=_forget,
            on_late=_late.append,
        )
        _add(run)
        return run


def _find() -> Run | None:
    """Return the innermost open run of this thread or task, else the newest of the main thread, else the newest."""
    run = _innermost.get()
    while run is not None:
        if not run.is_finished:
            return run
        run = run.outer
    runs = _of_main or _runs
    return runs[-1] if runs else None


def _parent(parent: Run | str | None, outer: Run | None, inherited: str | None, run_id: str) -> tuple[str, str]:
    """Return id and group of the run above a new one: the one given, the one open here, or the one handed over."""
    if parent is None:
        parent = outer if outer is not None else inherited or ""
    above, group = (parent.id, parent.group) if isinstance(parent, Run) else (_short(parent), "")
    return ("", "") if above == run_id else (above, group)


def _attempt(given: int | None, run_id: str | None, *, resume: bool) -> int:
    number = read_attempt(given)
    if number is not None:
        return min(max(number, 1), MAX_ATTEMPT)
    # A run with a new id has no earlier attempts, however often its launcher began again.
    return inheritance.attempt(run_id, is_resumed=resume) if run_id else 2 if resume else 1


def _rank_label(rank: int | bool | None, *, joins: bool) -> tuple[tuple[str, str], ...]:
    if rank is False or (rank is None and not joins):
        return ()
    text = inheritance.rank() if rank is None or rank is True else _short(rank)
    return (("rank", text),) if text else ()


def _switches(capture: bool | Mapping[str, bool] | None, *, joins: bool) -> frozenset[str]:
    """Return the names of what to capture; a process that joined captures only what it asks for."""
    if capture is False or (capture is None and joins):
        return frozenset()
    from gateway.client.capture.capture import switches

    return switches(capture)


def _script() -> str | None:
    name = os.path.splitext(os.path.basename(sys.argv[0] if getattr(sys, "argv", None) else ""))[0]
    return None if name in ("", "-c", "-m", "-") else name


def _short(text: object) -> str:
    return clean(text_of(text), MAX_NAME)


def _checked_id(run_id: str) -> str:
    if not isinstance(run_id, str) or not run_id or len(run_id) > MAX_RUN_ID or clean(run_id, MAX_RUN_ID) != run_id:
        raise ClientError(
            f"run id {safe_repr(run_id, 80)} cannot be used: give 1 to {MAX_RUN_ID} characters of text, without U+0000"
        )
    return run_id


def _shipper_of(address: Address) -> Shipper:
    from gateway.client.shipping.shipper import Shipper

    if _is_over or sys.is_finalizing():  # a thread started now would never run, and be waited for
        raise RuntimeError("the interpreter is going away")
    key = (address.url, address.topic)
    with _lock:
        if key not in _shippers:
            _shippers[key] = Shipper(address)
        found = _shippers[key]
    _hook()
    return found


def _add(run: Run) -> None:
    global _current
    with _lock:
        _runs.append(run)
        if current_thread() is main_thread():
            _of_main.append(run)
        _current = run if len(_runs) == 1 else None
    _innermost.set(run)
    _hook()


def _forget(run: Run) -> None:
    """Take a finished run off the list; the one around it is current again."""
    global _current, _last
    _last = run
    with _lock:
        for runs in (_runs, _of_main, _late):
            if run in runs:
                runs.remove(run)
        _current = _runs[0] if len(_runs) == 1 else None
    if _innermost.get() is run:
        _innermost.set(run.outer)
    if run.is_owner:
        inheritance.take_back(run.id)


def stop() -> None:
    """End every shipper thread of this process. For the exit, and for tests."""
    with _lock:
        shippers = list(_shippers.values())
        _shippers.clear()
    for shipper in shippers:
        shipper.stop()


def _hook() -> None:
    """Be called when this process forks, is told to end, and ends; once a process."""
    global _is_hooked, _is_child_hooked
    if not signals.is_installed:
        signals.install(_at_sigterm)
    if not _is_hooked:
        _is_hooked = True
        import atexit

        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=forks.before, after_in_parent=forks.after_in_parent, after_in_child=_after_fork_in_child
            )
    # A child of multiprocessing may leave by os._exit, which skips atexit, but it runs its own finalizers.
    process = sys.modules.get("multiprocessing.process")
    if not _is_child_hooked and process is not None and process.parent_process() is not None:
        _is_child_hooked = True
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=10)


def _at_exit() -> None:
    global _is_over
    # The interpreter keeps the exception that ended it; at a prompt it keeps the last one of any line.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    status, message = status_of(error)
    _finish_all(status, message, finish_timeout())
    _is_over = True
    stop()


def _at_sigterm(timeout_s: float) -> None:
    _finish_all("killed", "SIGTERM", min(timeout_s, finish_timeout()))


def _finish_all(status: Status, message: str, timeout_s: float) -> None:
    end = monotonic() + timeout_s
    for run in [*reversed(_runs), *_late]:
        run.finish(status, message=message, timeout_s=max(0.0, end - monotonic()))


def _after_fork_in_child() -> None:
    global _lock, _implicit_lock, _is_child_hooked, _is_over
    _is_over = False
    forks.after_in_child()
    inheritance.after_fork()
    signals.after_fork()
    _lock, _implicit_lock = Lock(), Lock()
    _is_child_hooked = False
    _inherited.append((dict(_shippers), [(run._producer, run._journal) for run in _runs]))
    _shippers.clear()
    notices.forget()
    _late.clear()
    for run in _runs:
        run.after_fork()
