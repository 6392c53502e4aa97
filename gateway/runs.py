"""
Change runs by their ids: `gateway.runs.trash(run_id)`, `restore`, `move`, `delete`. `gateway.query` reads them.

Each call writes an event to the log and returns once readers see it. A run in the trash is left out of lists and
searches, keeps everything, also what training still records into it, and can be restored (seed 004, `delete_run` and
`restore_run` of its client); `delete` is permanent. Standard library only.

Errors: RunNotFound (gateway/query.py), NotFound and IsDeleted (of an experiment), ApiUnavailable, BarrierTimeout when
readers do not see the change in time, and ClientError, whose message says whether the log has it.
"""

from __future__ import annotations

import os
from time import monotonic

from gateway import experiments
from gateway.client.address import find_address
from gateway.client.errors import ClientError, InDoubt, IsDeleted, NotFound, Unsent
from gateway.client.query import find_api, get
from gateway.client.registry.connection import Registry
from gateway.client.run.barrier import wait_until_folded
from gateway.client.shipping.immediate import send_now
from gateway.query import get_run, in_experiment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gateway.client.query import Api
    from gateway.client.registry.results import Experiment

__all__ = ["delete", "move", "restore", "trash"]

TIMEOUT_S = 30.0


def trash(*run_ids: str, timeout_s: float = TIMEOUT_S) -> None:
    """Put runs into the trash, from which `restore` takes them. Raises RunNotFound before any is changed."""
    _write(run_ids, {"kind": "lifecycle_stage", "stage": "deleted"}, timeout_s)


def restore(*run_ids: str, timeout_s: float = TIMEOUT_S) -> None:
    """Take runs out of the trash; nothing changes for a run that is not there. Raises RunNotFound."""
    _write(run_ids, {"kind": "lifecycle_stage", "stage": "active"}, timeout_s)


def move(*run_ids: str, experiment: str | Experiment, timeout_s: float = TIMEOUT_S) -> None:
    """
    Put runs into another experiment, given by its name or as it was read; its name becomes their tag (seed 001).

    Raises RunNotFound, NotFound if there is no such experiment, IsDeleted if it has to be restored first.
    """
    _write(run_ids, move_event(experiment), timeout_s)


def delete(*run_ids: str, timeout_s: float = TIMEOUT_S) -> None:
    """Delete runs for good: for every reader, and in every tracker that can delete. Raises RunNotFound."""
    _write(run_ids, {"kind": "deleted", "what": "run"}, timeout_s)


def move_event(experiment: str | Experiment, *, api: Api | None = None) -> dict[str, Any]:
    """
    Return the event, without its time, that puts a run into an experiment. Raises NotFound, IsDeleted.

    An experiment that was not created, and that only the tags of runs name, has no id.
    """
    where = api or find_api()
    registry = Registry(api=where)
    try:
        if isinstance(experiment, str):
            found = experiments.get_by_name(experiment, registry=registry)
        else:
            found = experiments.get(experiment, registry=registry)
    except NotFound:
        if not get(where, "/v1/runs", where=in_experiment("", experiment), stage="all", limit=1)["runs"]:
            raise
        return {"kind": "moved", "tag": experiment if isinstance(experiment, str) else experiment.name}
    if found.is_deleted:
        raise IsDeleted(f"experiment {found.name!r:.300} is deleted: restore it first, or choose another one")
    return {"kind": "moved", "experiment_id": found.id, "tag": found.name}


def _write(run_ids: tuple[str, ...], body: dict[str, Any], timeout_s: float) -> None:
    for run_id in run_ids:
        get_run(run_id)
    write_events({run_id: [body] for run_id in run_ids}, timeout_s)


def write_events(events: Mapping[str, Sequence[dict[str, Any]]], timeout_s: float, *, home: str = "") -> None:
    """
    Write events, given by run and without their time, and return once readers see them.

    `home` is the folder of the stack, by default the one that is set. Raises as every function here does.
    """
    end = monotonic() + timeout_s
    environ = {**os.environ, **({"GATEWAY_HOME": home} if home else {})}
    address, api = find_address(environ=environ), find_api(environ)
    if not address.keeps:
        raise ClientError(
            "there is no address to send a change to: start the stack with `gateway up`, or set GATEWAY_URL"
        )
    if not events:
        return
    try:
        producer = send_now(address, events, timeout_s=timeout_s)
    except InDoubt as error:
        raise ClientError(
            f"{address.label} {error.what} ({error.why:.300}): the log may or may not have the change: call this "
            "again, which is safe"
        ) from error
    except Unsent as error:
        raise ClientError(
            f"{address.label} {error.what} ({error.why:.300}): nothing was changed: {error.step}"
        ) from error
    for run_id, bodies in events.items():
        wait_until_folded(api, run_id, producer, len(bodies), max(end, monotonic() + 1.0))
