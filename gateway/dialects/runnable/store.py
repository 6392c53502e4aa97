"""
The run-log store that runnable loads: `run-log-store: {type: gateway}` in a configuration of runnable.

runnable reads what it has just written, so every state is in a local copy first read and first written; what changed is
recorded as events of the run, which reach the log when they can. The events are in the journal before the local copy
changes: a kill in between repeats a step, and never loses one.

Each branch is a chunk of its own, and each change holds the lock of the run from reading to writing. So branches that
runnable executes in processes side by side do not overwrite each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from multiprocessing import parent_process
from typing import Any

from pydantic import ConfigDict
from runnable import context, defaults, exceptions
from runnable.datastore import BaseRunLogStore, BranchLog, JobLog, RunLog, StepLog

from gateway.client.address import find_address
from gateway.client.encoding.values import now
from gateway.dialects.masking import mask_config
from gateway.dialects.runnable.changes import find_facts
from gateway.dialects.runnable.chunks import (
    LOST,
    ROOT,
    Chunk,
    as_json,
    fail_unfinished,
    join_run_log,
    parts_of,
    split_run_log,
)
from gateway.dialects.runnable.local_copy import LocalCopy, find_folder
from gateway.dialects.runnable.read_back import read_back
from gateway.dialects.runnable.recording import Recording, find_recording, join_recording, start_recording


class GatewayRunLogStore(BaseRunLogStore):  # type: ignore[misc]  # runnable has no types
    """
    Keeps run logs on this machine, and records them as runs.

    `url` is the address to send to, as for `gateway.start_run`; `bootstrap_servers`, Kafka's host:port, is the same as
    kafka://host:port. Without them the settings of the environment, gateway.toml and the local stack count.
    `log_folder` is the folder of the local copies; by default `runnable` in the home of the gateway. Processes on other
    machines that execute steps of one run need a folder that they share.

    There is no field for a token or a password: runnable keeps this configuration in the run log.
    """

    model_config = ConfigDict(extra="forbid")

    service_name: str = "gateway"
    supports_parallel_writes: bool = True
    url: str = ""
    bootstrap_servers: str = ""
    log_folder: str = ""

    def model_post_init(self, _: Any) -> None:
        """Find address and folder once: a step may change the working directory. Raises ClientError and NoHome."""
        if self.bootstrap_servers and not self.url:
            self.url = f"kafka://{self.bootstrap_servers}"
        if self.url:
            self.url = find_address(self.url).url
        self.log_folder = find_folder(self.log_folder)

    def get_summary(self) -> dict[str, Any]:
        """Return what runnable prints about the store."""
        return {"Type": self.service_name, "Location": self.log_folder}

    # The run log.

    def create_run_log(
        self,
        run_id: str,
        dag_hash: str = "",
        use_cached: bool = False,
        tag: str = "",
        original_run_id: str = "",
        status: str = defaults.CREATED,
    ) -> RunLog:
        """Create a run log and start its run. Raises RunLogExistsError, ClientError."""
        run_log = RunLog(run_id=run_id, dag_hash=dag_hash, tag=tag, status=status)
        with self._locked(run_id):
            if self._find(run_id, ROOT) is not None:
                raise exceptions.RunLogExistsError(run_id=run_id)
            if self._leads():
                start_recording(run_id, tag=tag or "", url=self.url)
            else:
                join_recording(run_id, url=self.url, starts=True, tag=tag or "")
            self._write(run_id, ROOT, run_log.model_dump())
        return run_log

    def get_run_log_by_id(self, run_id: str, full: bool = False) -> RunLog:
        """Return a run log, with `full` including its branches. Raises RunLogNotFoundError."""
        recording = find_recording(run_id)
        if recording is not None:
            recording.finish()
        found = self._root(run_id)
        return RunLog(**(join_run_log(LocalCopy(self.log_folder, run_id).read_all()) or found) if full else found)

    def put_run_log(self, run_log: RunLog) -> None:
        """Replace a run log, and those branches that it contains."""
        with self._locked(run_log.run_id):
            for name, chunk in split_run_log(run_log.model_dump()).items():
                self._write(run_log.run_id, name, chunk)

    def set_run_config(self, run_id: str, run_config: Mapping[str, Any]) -> None:
        """Add to the configuration of the run, without the secrets in it. Raises RunLogNotFoundError."""
        with self._locked(run_id):
            run_log = self._root(run_id)
            run_log["run_config"] = {**run_log["run_config"], **mask_config(dict(run_config))}
            self._write(run_id, ROOT, run_log)

    def update_run_log_status(self, run_id: str, status: str) -> None:
        """Set the status of the run. Raises RunLogNotFoundError."""
        with self._locked(run_id):
            self._write(run_id, ROOT, {**self._root(run_id), "status": status})

    def add_job_log(self, run_id: str, job_log: JobLog) -> None:
        """Set the job of the run, whose status is the run's. Raises RunLogNotFoundError."""
        with self._locked(run_id):
            self._write(run_id, ROOT, {**self._root(run_id), "job": job_log.model_dump(), "status": job_log.status})

    # Parameters, steps and branches: each in the run log itself, or in the branch that its name says.

    def get_parameters(self, run_id: str, internal_branch_name: str = "") -> dict[str, Any]:
        """Return the parameters of the run, or of a branch. Raises RunLogNotFoundError, BranchLogNotFoundError."""
        return self.get_branch_log(internal_branch_name, run_id).parameters  # type: ignore[no-any-return]

    def set_parameters(self, run_id: str, parameters: Mapping[str, Any], internal_branch_name: str = "") -> None:
        """Set parameters of the run, or of a branch. Raises as `get_parameters` does."""
        with self._locked(run_id):
            owner = self.get_branch_log(internal_branch_name, run_id)
            owner.parameters.update(parameters)
            self._write(run_id, internal_branch_name or ROOT, owner.model_dump())

    def get_step_log(self, internal_name: str, run_id: str) -> StepLog:
        """Return a step. Raises RunLogNotFoundError, StepLogNotFoundError."""
        branch, _, _ = internal_name.rpartition(".")
        try:
            return self.get_branch_log(branch, run_id).steps[internal_name]
        except (KeyError, exceptions.BranchLogNotFoundError):
            raise exceptions.StepLogNotFoundError(run_id=run_id, step_name=internal_name) from None

    def add_step_log(self, step_log: StepLog, run_id: str) -> None:
        """Add or replace a step. Raises RunLogNotFoundError, BranchLogNotFoundError."""
        branch, _, _ = step_log.internal_name.rpartition(".")
        with self._locked(run_id):
            owner = self.get_branch_log(branch, run_id)
            owner.steps[step_log.internal_name] = step_log
            self._write(run_id, branch, owner.model_dump())

    def get_branch_log(self, internal_branch_name: str, run_id: str) -> BranchLog | RunLog:
        """Return a branch, or the run log for "". Raises RunLogNotFoundError, BranchLogNotFoundError."""
        if not internal_branch_name:
            return RunLog(**self._root(run_id))
        found = self._find(run_id, internal_branch_name)
        if found is None:
            raise exceptions.BranchLogNotFoundError(run_id=run_id, branch_name=internal_branch_name)
        return BranchLog(**found)

    def add_branch_log(self, branch_log: BranchLog | RunLog, run_id: str) -> None:
        """Add or replace a branch, or the run log."""
        if not isinstance(branch_log, BranchLog):
            self.put_run_log(branch_log)
            return
        with self._locked(run_id):
            self._write(run_id, branch_log.internal_name, branch_log.model_dump())

    # Inside.

    def _locked(self, run_id: str) -> AbstractContextManager[None]:
        return LocalCopy(self.log_folder, run_id).locked()

    def _root(self, run_id: str) -> Chunk:
        found = self._find(run_id, ROOT)
        if found is None:
            raise exceptions.RunLogNotFoundError(run_id)
        return found

    def _find(self, run_id: str, name: str) -> Chunk | None:
        """Return a chunk of the local copy; if this machine has none of the run, of the one that PostgreSQL has."""
        copy = LocalCopy(self.log_folder, run_id)
        found = copy.read(name)
        if found is None and copy.read(ROOT) is None:
            copy.restore(read_back(run_id))
            found = copy.read(name)
        return found

    def _write(self, run_id: str, name: str, chunk: Mapping[str, Any]) -> None:
        """Record what changes in a chunk, then change it. The caller holds the lock."""
        copy, recording = LocalCopy(self.log_folder, run_id), self._recording(run_id)
        old, new = copy.read(name), as_json(split_run_log(chunk)[ROOT])
        if name != ROOT:
            new["position"] = old["position"] if old is not None else copy.count_branches()
        elif recording.lost:
            new[LOST] = recording.lost
        known = parts_of(name, old)
        changed = {key: text for key, text in parts_of(name, new).items() if known.get(key) != text}
        if changed:
            recording.record(find_facts(name, old, new, now()), changed)
            copy.write(name, new)

    def _recording(self, run_id: str) -> Recording:
        found = find_recording(run_id)
        if found is not None:
            return found
        chunks = LocalCopy(self.log_folder, run_id).read_all()
        if self._leads() and context.get_run_context().is_retry:
            return self._resume(run_id, chunks)
        return join_recording(run_id, url=self.url, lost=(chunks.get(ROOT) or {}).get(LOST))

    def _resume(self, run_id: str, chunks: Mapping[str, Chunk]) -> Recording:
        """Start the next attempt of a run. Steps that a killed process was executing failed."""
        changed = fail_unfinished(chunks)
        lost = {**chunks, **changed}.get(ROOT, {}).get(LOST)
        recording = start_recording(run_id, tag="", url=self.url, resume=True, lost=lost)
        for name, chunk in changed.items():
            known = parts_of(name, chunks[name])
            recording.record([], {key: text for key, text in parts_of(name, chunk).items() if known[key] != text})
            LocalCopy(self.log_folder, run_id).write(name, chunk)
        return recording

    @staticmethod
    def _leads() -> bool:
        """Return whether this process executes the whole pipeline or job, or has it executed by its children."""
        now_running = context.get_run_context()
        executor = getattr(now_running, "pipeline_executor", None) or getattr(now_running, "job_executor", None)
        return parent_process() is None and bool(getattr(executor, "_should_setup_run_log_at_traversal", False))
