"""
The runs of this process: which one is active, what writes to the others, and what of them is still to be read.

The active run is the newest open one of this thread, else that of the process. A run that has ended, or that another
process started, takes records as well (seed 003: `log_metric(…, run=run)`): from a producer of its own, through a
journal like any other, so that nothing waits for the network and nothing is lost while the log is away.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from threading import get_ident
from time import monotonic, sleep
from typing import NamedTuple, TypeVar

import gateway
from gateway import query
from gateway.client.ids import uuid7
from gateway.client.notices import tell
from gateway.client.query import find_api
from gateway.client.run import notebook, registry
from gateway.client.run.arguments import finish_timeout
from gateway.client.run.barrier import wait_until_folded
from gateway.client.run.current import join_copy
from gateway.client.run.earlier import counter_after, read_earlier
from gateway.dialects.sap.checks import END, RUN_NAME, START
from gateway.dialects.sap.errors import TrackingError, one_error
from gateway.dialects.sap.objects import Run
from gateway.dialects.sap.source import find_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Place = tuple[int, int]  # thread and task
    Sent = list[tuple[str, int]]  # producers of a run, and how many records each has sent

Kept = TypeVar("Kept")

MAX_WRITERS = 10  # runs that are not open and whose writer is kept, each with five open files
MAX_UNREAD = 20  # runs that a read waits for, each with two open files or more
MAX_SENT = 1_000  # further runs that a read waits for, all of whose records the log has
MAX_DELETED = 10_000  # ids that are refused without a look-up
LOOKUP_S = 5.0  # the longest to wait until a run of another process can be read: it may have started just now
LOOKUP_PAUSE_S = 0.1

_open: list[_Open] = []  # oldest first; read from a copy, because threads start and end runs at once
_writers: dict[str, gateway.Run] = {}  # of runs that are not open here, by id; newest last
_unread: dict[str, gateway.Run] = {}  # those with records that a reader may not see yet
_sent: dict[str, Sent] = {}  # those of which only this is kept
_deleted: dict[str, None] = {}  # ids of runs


class _Open(NamedTuple):
    run: gateway.Run
    place: Place  # that started it


def start(run_collection_name: str | None, run_name: str | None) -> Run:
    """Start a run and make it the active one; end the one that this thread or task has left open."""
    source, run_id, place = find_source(), uuid7(), _place()
    for one in _open.copy():
        if one.run.is_finished:  # by gateway.finish() or a signal
            _close(one)
    for one in [one for one in _open.copy() if one.place == place and one.run.is_owner]:  # not the parent's of a fork
        tell(
            "sap-start",
            f"run {one.run.name} is ended, because another one is started: call tracking.end_run() at its end",
        )
        one.run.is_replaced = True
        end(one.run)
    collection, name = run_collection_name or source.name, run_name or run_id
    with one_error():
        run = gateway.start_run(
            name,
            run_id=run_id,
            experiment=collection,
            params={START: _moment()},
            tags={RUN_NAME: name, **source.tags(run_collection_name)},
        )
    run.recorder.is_late_expected = True
    _open.append(_Open(run, place))
    return Run(
        run_id,
        run_name=name,
        run_collection_name=collection,
        is_default_collection=run_collection_name is None,
        state="running",
        context=source.parts,
    )


def active() -> gateway.Run:
    """Return the active run. Raises TrackingError if there is none."""
    here = gateway.current_run()
    for one in _open.copy():
        if one.run is here and not here.is_finished:
            return here
    alive = [one.run for one in _open.copy() if not one.run.is_finished]
    if not alive:
        raise TrackingError("no run is active: call tracking.start_run() first, or pass run= where a function takes it")
    return alive[-1]


def end(run: gateway.Run) -> None:
    """End a run: record its end, and wait until the log has everything."""
    if run.is_owner:  # not in a forked child: the parent ends it
        run.log_params({END: _moment()})
    run.finish()
    for one in _open.copy():
        if one.run is run:
            _close(one)
    _keep(run)


def _close(one: _Open) -> None:
    with suppress(ValueError):  # another thread has removed it
        _open.remove(one)


def is_open(run_id: str) -> bool:
    """Return whether this process has started the run and not ended it."""
    return any(one.run.id == run_id and not one.run.is_finished for one in _open.copy())


def writer(given: object) -> gateway.Run:
    """Return what records into a run, given by object or id, None for the active one. Raises TrackingError."""
    if given is None:
        return active()
    run_id = id_of(given)
    if run_id in _deleted:
        raise TrackingError(f"run {run_id} was deleted: what is recorded into it would be deleted, too")
    found = next((one.run for one in _open.copy() if one.run.id == run_id), None)
    if found is None or found.is_finished:
        found = _keep(_writers.get(run_id) or registry.find_known(run_id) or _join(run_id))
    return found


def id_of(given: object) -> str:
    """Return the id of a run that is given as an object or by its id. Raises TrackingError."""
    return given.id if isinstance(given, Run) else Run(given).id  # type: ignore[arg-type]  # Run checks what it is


def until_readable(run_ids: Iterable[str] | None = None, timeout_s: float | None = None) -> None:
    """
    Wait until readers see what this process has recorded into these runs, None for all. Raises TrackingError.

    `timeout_s` is for all of them together; None: GATEWAY_FINISH_TIMEOUT_S, or 30.
    """
    runs: dict[str, gateway.Run | Sent] = {**_sent, **_unread, **{one.run.id: one.run for one in _open.copy()}}
    limit = monotonic() + (finish_timeout() if timeout_s is None else timeout_s)
    for run_id in runs if run_ids is None else [one for one in run_ids if one in runs]:
        found = runs[run_id]
        for kept in (_sent, _unread):
            kept.pop(run_id, None)  # before the wait: what is recorded meanwhile is unread again
        try:
            with one_error():
                _until_read(run_id, found, limit)
        except TrackingError:
            if isinstance(found, list):
                _sent[run_id] = found
            else:
                _unread[run_id] = found
            raise


def _until_read(run_id: str, found: gateway.Run | Sent, limit: float) -> None:
    if not isinstance(found, list):
        found.barrier(max(0.0, limit - monotonic()))
        return
    api = find_api()
    for producer, records in found:
        wait_until_folded(api, run_id, producer, records, limit)


def forget(run_ids: Iterable[str]) -> None:
    """Record nothing more into these runs, which are deleted."""
    for run_id in run_ids:
        _put(_deleted, run_id, None, MAX_DELETED)
        if (found := _writers.pop(run_id, None)) is not None:
            _rest(found)
        _unread.pop(run_id, None)
        _sent.pop(run_id, None)


def _join(run_id: str) -> gateway.Run:
    """Return a writer of a run that this process does not know. Raises TrackingError if there is no such run."""
    limit = monotonic() + LOOKUP_S
    while True:
        try:
            with one_error():
                stored = query.get_run(run_id)
            break
        except TrackingError as error:
            if not isinstance(error.__cause__, query.RunNotFound) or monotonic() >= limit:
                raise
        sleep(LOOKUP_PAUSE_S)
    earlier = read_earlier(run_id)
    run = join_copy(run_id, stored.name, int(stored.document["attempt"]), str(stored.document["group"]), "", "")
    run.recorder.journal.counters.make = counter_after(earlier, run_id)
    return run


def _keep(run: gateway.Run) -> gateway.Run:
    """Return the writer of a run, which is this one if it has none yet: each counts steps on its own."""
    kept = _writers.get(run.id, run)
    for one in _put(_writers, run.id, kept, MAX_WRITERS):
        _rest(one)
    for one in _put(_unread, run.id, kept, MAX_UNREAD):
        producers = [(journal.producer, found) for journal, found in one.recorder.journals() if found is not None]
        if all(found.is_done for _, found in producers):  # otherwise the log is away, of which the newer ones tell
            _put(_sent, one.id, [(name, found.acknowledged_records) for name, found in producers], MAX_SENT)
        one.recorder.release()
    return kept


def _rest(run: gateway.Run) -> None:
    """Close the files of a run that is not open here, without waiting; a further record opens others."""
    if run not in registry.open_runs():  # one that gateway.start_run has started
        run.recorder.is_late_expected = True
        run.recorder.finish()  # first: only who finishes a run reports what is still on its way
        run.finish(timeout_s=0)


def _put(kept: dict[str, Kept], run_id: str, value: Kept, limit: int) -> list[Kept]:
    """Put a value at the end of a dict; drop what is at its beginning beyond a limit, and return it."""
    kept.pop(run_id, None)
    kept[run_id] = value
    dropped = []
    while len(kept) > limit:
        with suppress(StopIteration, RuntimeError, KeyError):  # another thread changes it
            dropped.append(kept.pop(next(iter(kept))))
    return dropped


def _place() -> Place:
    """Return the thread and task that this code runs in. All cells of a notebook are one: each may be a task."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None and notebook.current_cell() is None:
        with suppress(RuntimeError):  # no loop runs here
            task = asyncio.current_task()
    return get_ident(), 0 if task is None else id(task)


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
