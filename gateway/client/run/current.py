"""
The functions of `gateway`: they act on the current run, and start one if there is none.

The current run is the innermost one open in this thread or asyncio task. A thread that started none records into the
newest run open in the main thread, else into the newest. If no run is open, the functions join the run that
GATEWAY_RUN_ID names, or start one named after the script, which ends with the process.
"""

from __future__ import annotations

import copyreg
import os
import sys

from gateway.client.address import NOWHERE, Address, find_address
from gateway.client.encoding.values import MAX_NAME, clean, cut_bytes, text_of
from gateway.client.errors import ClientError
from gateway.client.ids import run_name, uuid7
from gateway.client.journal.folder import has_uploads
from gateway.client.notices import tell, warn_once
from gateway.client.process import inheritance
from gateway.client.run import hooks, notebook, registry, used_ids
from gateway.client.run.arguments import FINISH_TIMEOUT_S
from gateway.client.run.earlier import counter_after, is_waitless, read_earlier, waitless
from gateway.client.run.identity import identify, pass_over
from gateway.client.run.run import Run
from gateway.client.run.starting import find_starting, starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from os import PathLike
    from typing import Any

    from gateway.client.recording.recorder import Labels
    from gateway.client.recording.report import Report, Status
    from gateway.client.recording.shipped_journal import AnyShipper
    from gateway.client.registry.results import Experiment
    from gateway.client.run.artifacts import LoggedArtifact
    from gateway.client.run.steps import Step

IMPLICIT_WAIT_S = 10.0  # the longest that a call outside of any run waits for another thread that starts one

_current: Run | None = None  # the only open run; None if there is none, or several


@starts
def start_run(  # noqa: PLR0913 -- each is a fact about a run, and users know them as arguments
    name: str | None = None,
    *,
    run_id: str | None = None,
    params: object = None,
    tags: object = None,
    tag: str = "",
    experiment: str | Experiment = "",
    group: str = "",
    parent: Run | str | None = None,
    url: str | None = None,
    resume: bool = False,
    attempt: int | None = None,
    rank: int | bool | None = None,
    capture: bool | Mapping[str, bool] | None = None,
) -> Run:
    """
    Start a run and make it the current one: `with gateway.start_run("baseline", params={"lr": 0.1}) as run:`.

    The end of the block finishes the run; an exception marks it failed, Ctrl-C killed. `name` is for people and may
    repeat; it defaults to a random one. `run_id` identifies the run and defaults to a new UUID of version 7.
    `experiment`, a name or what `gateway.experiments` returned, names the experiment, and so does `tag`, as Magnus
    calls it; `group` names the sweep or job. Inside the `with` block of a run, in the same thread or task, this starts
    a child of that run, in its group; `parent=run` does so elsewhere, `parent=""` starts one without a parent.

    A `run_id` that was used before on this machine is never written to again unasked, which one line on stderr says:
    if its process died, this is the run's next attempt; otherwise this is a run of its own, with a new id.

    Processes started while the run is open inherit GATEWAY_RUN_ID. Their first start_run() with no `run_id`, or the
    same one, joins: it records into the run, and neither starts nor ends it. Series of a process that joined carry its
    `rank`: RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK or LOCAL_RANK, or the number given, or none with False.

    `resume` continues an earlier run as its attempt number `attempt`; if that is not given, the restarts that the
    launcher reports decide, and without a launcher it is the one after the last that this machine knows, at least 2.
    `url` is kafka://host:port, http://host:port, https://host:port or none:; without it GATEWAY_URL, gateway.toml and
    the local stack are tried in this order. `capture` selects what is captured in addition: False nothing, True
    everything, or {"console": True, …} the differences from GATEWAY_CAPTURE and the defaults in docs/client.md.

    Raises ClientError for an argument that cannot be used. It is no error if Kafka is away: events wait in the journal.
    """
    # Before an id is taken: these raise for what cannot be used.
    where = _experiment(_short(tag), experiment)
    address, chosen = find_address(url), None if capture is None else _switches(capture, joins=False)
    notebook.end_runs_of_this_cell(registry.open_runs())
    outer, inherited = registry.find_here(), _joinable_run()
    found = identify(run_id, attempt, resume=resume, inherited=inherited if parent is None or resume else None)
    earlier = None
    if found.attempt > 1 and not is_waitless():
        earlier = read_earlier(found.run_id)
        if resume and attempt is None:
            pass_over(found, earlier.attempt)
    joins = not found.is_owner
    parent_id, parent_group = _parent(parent, outer, inherited, found.run_id)
    run = _new_run(
        found.run_id,
        "" if joins or (found.is_resumed and not name) else _short(name) if name else run_name(),
        address,
        attempt=found.attempt,
        is_owner=found.is_owner,
        labels=_rank_label(rank, joins=joins),
        group=_short(group) or parent_group,
    )
    run.outer, run.cell, run.parent_id = outer, notebook.current_cell(), parent_id
    if found.attempt > 1:
        run.recorder.journal.counters.make = counter_after(earlier, run.id)
    if joins:
        _add(run)
    else:
        inheritance.export(run.id, run.attempt, url)
        _add(run)
        names = {"name": run.name, **where, "group": run.group, "parent_run_id": parent_id}
        kind = "run_resumed" if found.is_resumed else "run_started"
        run.recorder.record(kind, attempt=run.attempt, **names)
    _record_given(run, params, tags, _switches(None, joins=joins) if chosen is None else chosen)
    if has_uploads():
        from gateway.client.artifacts.adoption import start_adoption

        start_adoption(address)
    return run


def current_run() -> Run | None:
    """Return the run that module functions record into in this thread or task; None if no run is open."""
    return _current or registry.find_run()


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

    Never raises and never waits. Without a current run it joins the one that GATEWAY_RUN_ID names, or starts one.
    """
    (_current or _implicit()).emit(name, value, step, time=time, labels=labels)


def log_params(params: object = None, /, **more: Any) -> None:
    """Record parameters of the current run. See Run.log_params."""
    (_current or _implicit()).log_params(params, **more)


def set_tags(tags: object = None, /, **more: Any) -> None:
    """Set tags of the current run. See Run.set_tags."""
    (_current or _implicit()).set_tags(tags, **more)


def set_labels(labels: object = None, /, **more: Any) -> None:
    """Attach JSON values to the current run. See Run.set_labels."""
    (_current or _implicit()).set_labels(labels, **more)


def note(text: str) -> None:
    """Set the note of the current run. See Run.note."""
    (_current or _implicit()).note(text)


def artifact(name: str, uri: str, size: int | None = None, sha256: str = "", *, media_type: str = "") -> None:
    """Record a reference to bytes kept elsewhere in the current run. See Run.artifact."""
    (_current or _implicit()).artifact(name, uri, size, sha256, media_type=media_type)


def log_artifact(
    path: str | PathLike[str], name: str | None = None, *, artifact_path: str | None = None, media_type: str = ""
) -> LoggedArtifact | None:
    """Log a file or folder as an artifact of the current run. See Run.log_artifact."""
    return (_current or _implicit()).log_artifact(path, name, artifact_path=artifact_path, media_type=media_type)


def log_artifacts(folder: str | PathLike[str], artifact_path: str | None = None) -> list[LoggedArtifact] | None:
    """Log each file below a folder as an artifact of the current run. See Run.log_artifacts."""
    return (_current or _implicit()).log_artifacts(folder, artifact_path)


def text(name: str, text: str, step: int | None = None) -> None:
    """Record text at a step of the current run. See Run.text."""
    (_current or _implicit()).text(name, text, step)


def step(name: str, *, attempt: int | None = None, step_type: str = "task") -> Step:
    """Return a named step of the current run, for `with` or as a decorator. See Run.step."""
    return (_current or _implicit()).step(name, attempt=attempt, step_type=step_type)


def flush(timeout_s: float = FINISH_TIMEOUT_S) -> bool:
    """Wait until the log has everything emitted to the current run. See Run.flush."""
    run = current_run()
    return run.flush(timeout_s) if run is not None else True


def finish(status: Status = "finished", *, message: str = "", timeout_s: float | None = None) -> Report | None:
    """End the current run and return what became of its points; None if no run is open. See Run.finish."""
    run = current_run()
    return run.finish(status, message=message, timeout_s=timeout_s) if run is not None else None


def join_copy(run_id: str, name: str, attempt: int, group: str, url: str, topic: str) -> Run:
    """
    Return the run of a pickled `Run`: the one that this process has, else one that joins it.

    Nothing is opened before something is recorded into it. It becomes current only in a process that was started while
    the run was open; a run that lay in a file of a model does not.
    """
    known = registry.find_known(run_id)
    if known is not None:
        return known
    run = _new_run(
        run_id, name, _address_of_copy(url, topic), attempt=attempt, is_owner=False, group=group, is_lazy=True,
        labels=_rank_label(None, joins=True),
    )  # fmt: skip
    if inheritance.inherited_run() == run_id:
        _add(run)
    else:
        registry.add_copy(run)
    return run


def _pickled(run: Run) -> tuple[object, ...]:
    shipper = run.recorder.shipper
    url, topic = ("", "") if shipper is None else (shipper.address.url, shipper.address.topic)
    return join_copy, (run.id, run.name, run.attempt, run.group, url, topic)


copyreg.pickle(Run, _pickled)  # type: ignore[arg-type]  # typeshed wants the reduced form spelled out


def find_or_start() -> Run:
    """Return the current run, or the run of a process that never started one; for dialects. Never raises."""
    return _implicit()


def run_here() -> Run:
    """Return the run that module functions record into, as they find it."""
    return _current or _implicit()


# Inside.


def _implicit() -> Run:
    """Return the current run, or the run of a process that never started one. Never raises."""
    found = registry.find_run() or find_starting()
    return found or _start_implicit()  # type: ignore[return-value]  # StartingRun has the methods that are called here


@starts
def _start_implicit() -> Run:
    # Another thread may be in the middle of this. It needs no lock that this one may hold, but it may wait for a thread
    # in which the garbage collector has called this function: so the wait has an end.
    is_held = registry.implicit_lock.acquire(timeout=IMPLICIT_WAIT_S)
    try:
        if runs := registry.open_runs():
            return runs[-1]
        if registry.is_over and registry.last_finished is not None:
            return registry.last_finished  # in a destructor or exit handler; a new run would never be finished
        try:
            with waitless():
                return start_run(name=_script())
        except ClientError as error:
            warn_once("address", f"{error}; until then events are kept in the journal")
        run = _new_run(uuid7(), run_name(), Address(NOWHERE, ""))
        _add(run)
        return run
    finally:
        if is_held:
            registry.implicit_lock.release()


def _new_run(
    run_id: str,
    name: str,
    address: Address,
    *,
    attempt: int = 1,
    is_owner: bool = True,
    labels: Labels = (),
    group: str = "",
    is_lazy: bool = False,
) -> Run:
    """Return a run whose events are sent to `address`; it is not current yet."""

    def find_shipper() -> AnyShipper:
        shipper = _shipper_for(address)
        if is_lazy and run not in registry.open_runs():
            registry.add_late(run)  # the end of the process closes it
        return shipper

    run = Run(
        run_id,
        name,
        attempt=attempt,
        is_owner=is_owner,
        find_shipper=find_shipper,
        on_finish=_remove,
        on_late=registry.add_late,
        labels=labels,
        group=group,
        is_lazy=is_lazy,
    )
    return run


def _address_of_copy(url: str, topic: str) -> Address:
    try:
        found = find_address(url or None)
    except ClientError as error:
        warn_once("address", f"{error}; until then events are kept in the journal")
        return Address(NOWHERE, topic)
    found.topic = topic or found.topic
    return found


def _shipper_for(address: Address) -> AnyShipper:
    shipper = registry.shipper_for(address)
    hooks.install()  # again in a forked child, when it first records something
    return shipper


def _add(run: Run) -> None:
    registry.add(run, _set_current)
    hooks.install()


def _remove(run: Run) -> None:
    is_first = run in registry.open_runs()
    registry.remove(run, _set_current)
    if run.is_owner:
        inheritance.withdraw(run.id)
        if is_first and not registry.is_terminating:  # a run that SIGTERM ended continues when its script runs again
            used_ids.end(run.id, run.attempt)
    after = None if run.is_replaced else registry.find_here()
    if is_first and after is not None and after is not registry.find_enclosing(after) and after.id != run.parent_id:
        tell(
            "older-run",
            f"run {run.name or run.id} is finished, and run {after.name or after.id}, started before it, is still "
            "open: what is recorded from here on goes to that one; finish it too, or start runs with `with`",
        )


def _set_current(run: Run | None) -> None:
    global _current
    _current = run


def _record_given(run: Run, params: object, tags: object, switches: frozenset[str]) -> None:
    if params is not None:
        run.log_params(params)
    if tags is not None:
        run.set_tags(tags)
    if switches:
        from gateway.client.capture.capture import start_capture

        start_capture(run.recorder, switches)


def _joinable_run() -> str | None:
    """Return the id in the environment, unless this process has that run open already."""
    inherited = inheritance.inherited_run()
    taken = any(run.id == inherited and not run.is_forked for run in registry.open_runs())
    return None if taken else inherited


def _parent(parent: Run | str | None, outer: Run | None, inherited: str | None, run_id: str) -> tuple[str, str]:
    """Return id and group of the parent of a new run: the given one, the one around it, or that of the process."""
    if parent is None:
        is_above = inherited is not None and inheritance.is_started_elsewhere(inherited)
        parent = registry.find_enclosing(outer) or (inherited if is_above else None) or ""
    parent_id, group = (parent.id, parent.group) if isinstance(parent, Run) else (_short(parent), "")
    return ("", "") if parent_id == run_id else (parent_id, group)


def _experiment(tag: str, experiment: object) -> dict[str, str]:
    """Return tag and id of a run's experiment. Raises ClientError if two different ones are given."""
    known = {}
    if type(experiment) is not str:
        from gateway.client.registry.results import Experiment

        if type(experiment) is Experiment:
            known, experiment = {"experiment_id": experiment.id}, experiment.name
    if tag and (name := _short(experiment)) and tag != name:
        raise ClientError(f"tag {tag!r:.100} and experiment {name!r:.100} name two experiments: give one of them")
    return {"tag": _short(experiment) or tag, **known}


def _rank_label(rank: int | bool | None, *, joins: bool) -> Labels:
    if rank is False or (rank is None and not joins):
        return ()
    text = inheritance.find_rank() if rank is None or rank is True else _short(rank)
    return (("rank", text),) if text else ()


def _switches(capture: bool | Mapping[str, bool] | None, *, joins: bool) -> frozenset[str]:
    """Return the switches that are on; a process that joined captures only what its own `capture` asks for."""
    if capture is False or (capture is None and joins):
        return frozenset()
    from gateway.client.capture.capture import read_switches

    return read_switches(capture)


def _script() -> str | None:
    name = os.path.splitext(os.path.basename(text_of(sys.argv[0]) if getattr(sys, "argv", None) else ""))[0]
    return None if name in ("", "-c", "-m", "-") else name


def _short(text: object) -> str:
    return cut_bytes(clean(text_of(text), MAX_NAME), MAX_NAME)
