"""
The runs of this process: the current one, and what happens to them at fork and at exit.

Functions here act on the current run. Without one they join the run that GATEWAY_RUN_ID names, or start one named
after the script, which ends with the process.
"""

from __future__ import annotations

import os
import sys
from threading import Lock
from time import monotonic

from gateway.client import forks, notices
from gateway.client.address import NOWHERE, Address, find_address
from gateway.client.arguments import FINISH_TIMEOUT_S, finish_timeout
from gateway.client.errors import ClientError
from gateway.client.names import run_name, uuid7
from gateway.client.notices import say_once
from gateway.client.report import status_of
from gateway.client.run import Run
from gateway.client.values import MAX_NAME, clean, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from gateway.client.report import Report, Status
    from gateway.client.shipper import Shipper
    from gateway.client.steps import Step

RUN_ID_VARIABLE = "GATEWAY_RUN_ID"
MAX_RUN_ID = 256  # characters

_current: Run | None = None
_runs: list[Run] = []  # started here and not finished, oldest first
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
) -> Run:
    """
    Start a run and make it the current one: `with gateway.start_run(params={"lr": 0.1}) as run:`.

    Left well, the block finishes the run; an exception fails it, Ctrl-C kills it. `run_id` defaults to GATEWAY_RUN_ID,
    then a new UUID of version 7; a process that joins the run GATEWAY_RUN_ID names (by no `run_id` or the same one)
    records into it but neither starts nor ends it. `name` defaults to a random one. `tag` names the experiment, `group`
    the sweep or job. `resume` goes on with an earlier run as its attempt number `attempt` (2 by default).
    `url` is kafka://host:port or none:; without it GATEWAY_URL, gateway.toml and the local stack are looked at.

    Raises ClientError for an address or run id that cannot be used. Kafka being away is no error: events wait.
    """
    inherited = os.environ.get(RUN_ID_VARIABLE) or None
    is_owner = resume or inherited is None or (run_id is not None and run_id != inherited)
    run_id = _checked_id(run_id if run_id is not None else inherited or uuid7())
    address = find_address(url)
    number = attempt if attempt is not None else (2 if resume else 1)
    run = Run(
        run_id,
        _short(name) if name else (run_name() if is_owner and not resume else ""),
        attempt=min(max(int(number), 1), 2**31 - 1),
        is_owner=is_owner,
        find_shipper=lambda: _shipper_of(address),
        on_finish=_forget,
    )
    _add(run)
    if is_owner:
        run._record(
            "run_resumed" if resume else "run_started",
            attempt=run.attempt,
            name=run.name,
            tag=_short(tag),
            group=_short(group),
            parent_run_id=parent.id if isinstance(parent, Run) else _short(parent or ""),
        )
    if params:
        run.log_params(params)
    if tags:
        run.set_tags(tags)
    return run


def current_run() -> Run | None:
    """Return the run that module functions record into now; None before the first."""
    return _current


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


def step(name: str, *, attempt: int | None = None, step_type: str = "task") -> Step:
    """Return a named step of the current run, for `with` or as a decorator. See Run.step."""
    return (_current or _implicit()).step(name, attempt=attempt, step_type=step_type)


def flush(timeout_s: float = FINISH_TIMEOUT_S) -> bool:
    """Wait until the log has what was emitted to the current run. See Run.flush."""
    return _current.flush(timeout_s) if _current is not None else True


def finish(status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report | None:
    """End the current run and return what became of its points; None when there is none. See Run.finish."""
    return _current.finish(status, message=message, timeout_s=timeout_s) if _current is not None else None


# Inside.


def _implicit() -> Run:
    """Return the run of a process that never started one. Never raises."""
    with _implicit_lock:
        if _current is not None:
            return _current
        try:
            return start_run(name=_script())
        except ClientError as error:
            say_once("address", f"{error}; until then events are counted and discarded")
        nowhere = Address(NOWHERE, "")
        run = Run(
            uuid7(),
            run_name(),
            attempt=1,
            is_owner=True,
            find_shipper=lambda: _shipper_of(nowhere),
            on_finish=_forget,
        )
        _add(run)
        return run


def _script() -> str | None:
    name = os.path.splitext(os.path.basename(sys.argv[0] if getattr(sys, "argv", None) else ""))[0]
    return None if name in ("", "-c", "-m", "-") else name


def _short(text: object) -> str:
    return clean(text_of(text), MAX_NAME)


def _checked_id(run_id: str) -> str:
    if not isinstance(run_id, str) or not run_id or len(run_id) > MAX_RUN_ID or clean(run_id, MAX_RUN_ID) != run_id:
        raise ClientError(
            f"run id {run_id!r:.80} cannot be used: give 1 to {MAX_RUN_ID} characters of text, without U+0000"
        )
    return run_id


def _shipper_of(address: Address) -> Shipper:
    from gateway.client.shipper import Shipper

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
        _current = run
    _hook()


def _forget(run: Run) -> None:
    """Take a finished run off the list; the one started before it is current again."""
    global _current
    with _lock:
        if run in _runs:
            _runs.remove(run)
        if _current is run:
            _current = _runs[-1] if _runs else None


def stop() -> None:
    """End every shipper thread of this process. For the exit, and for tests."""
    with _lock:
        shippers = list(_shippers.values())
        _shippers.clear()
    for shipper in shippers:
        shipper.stop()


def _hook() -> None:
    """Be called when this process forks and when it ends; once a process."""
    global _is_hooked, _is_child_hooked
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
    # The interpreter keeps the exception that ended it; at a prompt it keeps the last one of any line.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    status, message = status_of(error)
    end = monotonic() + finish_timeout()
    for run in reversed(list(_runs)):
        run.finish(status, message=message, timeout_s=max(0.0, end - monotonic()))
    stop()


def _after_fork_in_child() -> None:
    global _lock, _implicit_lock, _is_child_hooked
    forks.after_in_child()
    _lock, _implicit_lock = Lock(), Lock()
    _is_child_hooked = False
    _inherited.append((dict(_shippers), [(run._producer, run._journal) for run in _runs]))
    _shippers.clear()
    notices.forget()
    for run in _runs:
        run.after_fork()
