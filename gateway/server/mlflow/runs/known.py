"""
What the door must know of a run before it answers a write: whether it exists, its stage, its params.

It is read once from the query API, as of the end of the log, so that a run that was created a moment ago by whatever
writer is found. Writes of this door change it at once. What other writers change is read again every REFRESH_S for the
runs that are written to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.client.encoding.values import now
from gateway.server.limits import ExperimentLimits, NotTheirs
from gateway.server.mlflow.caller import CALLER, as_the_door
from gateway.server.mlflow.errors import Refused, absent, invalid
from gateway.server.mlflow.reading import NotThere, Reader
from gateway.server.mlflow.run_json import run_info
from gateway.server.mlflow.runs.events import Row
from gateway.server.mlflow.runs.producer import RunProducer
from schemas.mapping.mlflow import shown_key, shown_param

MAX_RUNS = 10_000
IDLE_S = 600.0  # without a write: the run's producer reports its totals, and the run is forgotten
REFRESH_S = 10.0
USED_S = 2 * REFRESH_S  # a run without a write for longer is read again with its next write
REFRESHED_AT_ONCE = 200
CLOCK_SKEW_MS = 60_000  # of clients
MAX_STORED = 1_000_000  # rows of a metric that are known to be in the log; equal ones beyond may be stored twice
NEVER = -1  # ms; before the time of every row
READ_S = 2.0  # the longest wait for what others changed of a run that was idle

log = logging.getLogger("gateway.server")


class KnownRun:
    """A run that this process writes about."""

    __slots__ = (
        "attempt", "changes", "changing", "info", "params", "producer", "run_id", "sending_params", "stored", "used",
        "written_before",
    )  # fmt: skip

    def __init__(self, info: dict[str, Any], params: dict[str, str], written_before: int, attempt: int = 1) -> None:
        self.run_id: str = info["run_id"]
        self.info = info  # MLflow's `run_info`
        self.attempt = attempt  # the newest one: what is written about an earlier one no longer counts
        self.params = params
        self.sending_params: dict[str, asyncio.Future[str]] = {}
        self.producer: RunProducer | None = None
        self.written_before = written_before  # ms; rows of up to then may be in the log without this process knowing
        self.stored: dict[str, tuple[int, set[int]]] = {}  # by key: hashes of rows in the log, from a time in ms
        self.used = 0.0  # loop time of the last write
        self.changes = 0  # of `info` by this process
        self.changing: asyncio.Future[str] | None = None  # the sending of the last one

    def check_active(self) -> None:
        """Raise Refused INVALID_PARAMETER_VALUE with MLflow's words if the run is in the trash."""
        if (stage := self.info["lifecycle_stage"]) != "active":
            raise invalid(f"The run {self.run_id} must be in the 'active' state. Current state is {stage}.")

    def forget_row(self, row: Row) -> None:
        """Keep a row that the recent ones no longer have room for where a repeated call finds it."""
        self.written_before = max(self.written_before, row.time_ms)
        known = self.stored.get(row.key)  # None: it is read when it is needed
        if known is not None and len(known[1]) < MAX_STORED:
            known[1].add(row.fingerprint)

    @property
    def is_changing(self) -> bool:
        """Whether the log does not have the last change of `info` by this process yet."""
        return self.changing is not None and not self.changing.done()

    def check_params(self, values: Mapping[str, str]) -> None:
        """Raise Refused with MLflow's words if the run has another value of one of the params."""
        changed = [
            {"key": key, "old_value": self.params[key], "new_value": text}
            for key, text in values.items()
            if self.params.get(key, text) != text
        ]
        if changed:
            raise invalid(
                f"Changing param values is not allowed. Params were already logged='{changed}' for run "
                f"ID='{self.run_id}'."
            )

    def add_params(self, values: Mapping[str, str], sending: asyncio.Future[str]) -> None:
        """Add params that are being written: `sending` gets its result when the log has them."""
        self.params |= values
        self.sending_params |= dict.fromkeys(values, sending)

    def settle_params(self, keys: Iterable[str], *, is_written: bool) -> None:
        """End the sending of params. Those that the log will never have are new again."""
        for key in keys:
            self.sending_params.pop(key, None)
            if not is_written:
                self.params.pop(key, None)


class KnownRuns:
    """The runs that this process writes about. `close(run)` is called for a run that is forgotten."""

    def __init__(self, reader: Reader, close: Callable[[KnownRun], None]) -> None:
        self._reader, self._close, self._limits = reader, close, ExperimentLimits(reader)
        self._runs: OrderedDict[str, KnownRun] = OrderedDict()
        self._loading: dict[str, asyncio.Task[KnownRun]] = {}
        self._reading: set[asyncio.Task[None]] = set()

    def get(self, run_id: str) -> KnownRun | None:
        """Return a run that is known already."""
        return self._runs.get(run_id)

    def all(self) -> list[KnownRun]:
        """Return the runs that are known."""
        return list(self._runs.values())

    def add(self, run: KnownRun) -> None:
        """Add a run; the one that was not written to for the longest time is forgotten if there are too many."""
        self._runs[run.run_id] = run
        run.used = asyncio.get_running_loop().time()
        if len(self._runs) > MAX_RUNS:
            self.forget(next(iter(self._runs.values())))

    def forget(self, run: KnownRun) -> None:
        """Forget a run."""
        if self._runs.pop(run.run_id, None) is not None:
            self._close(run)

    async def find(self, run_id: str) -> KnownRun:
        """Return a run. Raises Refused RESOURCE_DOES_NOT_EXIST with MLflow's words, also for one that is not theirs."""
        caller = CALLER.get()
        with as_the_door():  # what is remembered is for all callers, and a run that one may not see is there, too
            if caller is not None:
                try:
                    await self._limits.require_run(caller.identity, run_id)
                except NotTheirs:
                    raise no_run(run_id) from None
            return await self._find(run_id)

    async def _find(self, run_id: str) -> KnownRun:
        run = self._runs.get(run_id)
        if run is not None and asyncio.get_running_loop().time() - run.used > USED_S:
            run = await self._read_again(run)
        if run is None:
            loading = self._loading.get(run_id)
            if loading is None:
                loading = self._loading[run_id] = asyncio.create_task(self._load(run_id))
                loading.add_done_callback(lambda done: self._loaded(run_id, done))
            run = await asyncio.shield(loading)
        else:
            run.used = asyncio.get_running_loop().time()
            self._runs.move_to_end(run_id)
        return run

    async def _read_again(self, run: KnownRun) -> KnownRun | None:
        """Return a run that was idle, with what others changed meanwhile; None if it is no longer known."""
        run.used = asyncio.get_running_loop().time()
        reading = asyncio.create_task(self._try_refresh([run]))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        await asyncio.wait({reading}, timeout=READ_S)
        return self._runs.get(run.run_id)

    async def run(self) -> None:
        """Do `tidy` every REFRESH_S until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.tidy()

    async def tidy(self) -> None:
        """Forget idle runs, and read again what other writers may have changed of those in use."""
        time = asyncio.get_running_loop().time()
        for run in self.all():
            if time - run.used > IDLE_S:
                self.forget(run)
        used = [run for run in self.all() if time - run.used <= USED_S]
        if used:
            await self._try_refresh(used)

    async def _try_refresh(self, runs: list[KnownRun]) -> None:
        try:
            await self._refresh(runs)
        except (Refused, NotThere) as error:  # the query API is away: what is known stays
            log.debug("runs are not read again: %s", error)

    async def _load(self, run_id: str) -> KnownRun:
        document = await find_document(self._reader, run_id, min_offsets="end")
        if document is None:
            raise no_run(run_id)
        run = KnownRun(run_info(document), params_of(document), now() // 1_000 + CLOCK_SKEW_MS, document["attempt"])
        self.add(run)
        return run

    def _loaded(self, run_id: str, task: asyncio.Task[KnownRun]) -> None:
        del self._loading[run_id]
        if not task.cancelled():
            task.exception()  # each call that waits has it

    async def refresh(self, experiment_id: str) -> None:
        """Read again the runs of an experiment that this process deleted or restored."""
        runs = [run for run in self.all() if run.info["experiment_id"] == experiment_id]
        for first in range(0, len(runs), REFRESHED_AT_ONCE):
            await self._refresh(runs[first : first + REFRESHED_AT_ONCE])

    async def _refresh(self, runs: list[KnownRun]) -> None:
        runs = [run for run in runs if not run.is_changing]  # what is on its way is in no answer
        if not runs:
            return
        changes = {run.run_id: run.changes for run in runs}
        page = await self._reader.post("/v1/runs/documents", {"run_ids": list(changes), "limit": len(changes)})
        found = {document["run_id"]: document for document in page["runs"]}
        for run in runs:
            document = found.get(run.run_id)
            if document is None or run.changes != changes[run.run_id]:
                continue  # on a further page, deleted, or changed by this process since: read with the next write
            run.info, run.attempt = run_info(document), document["attempt"]
            run.params = {**params_of(document), **run.params}
        if page["next_page_token"] is None:
            for run in runs:
                if run.run_id not in found:
                    self.forget(run)


async def find_document(reader: Reader, run_id: str, **parameters: str) -> Mapping[str, Any] | None:
    """Return the RunDocument of a run, None if there is none. Raises Refused TEMPORARILY_UNAVAILABLE."""
    try:
        page = await reader.post("/v1/runs/documents", {"run_ids": [run_id], **parameters})
    except Refused as error:
        if error.code == "INVALID_PARAMETER_VALUE":  # an id that no run can have
            return None
        raise
    return next(iter(page["runs"]), None)


def no_run(run_id: str) -> Refused:
    """Return MLflow's refusal of an unknown run."""
    return absent(f"Run with id={run_id} not found")


def params_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the params of a RunDocument as MLflow shows them."""
    return {shown_key(name): shown_param(value) for name, value in document["params"].items()}
