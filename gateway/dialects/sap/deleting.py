"""
Delete runs, with everything that is stored of them, by events in the log as `gateway runs delete` does.
"""

from __future__ import annotations

from time import monotonic

from gateway.client.address import find_address
from gateway.client.errors import ClientError, InDoubt, Unsent
from gateway.client.query import ask, find_api, run_path
from gateway.client.run.arguments import finish_timeout
from gateway.client.shipping.immediate import send_now
from gateway.dialects.sap.active import forget, is_open
from gateway.dialects.sap.errors import TrackingError, one_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS_AT_ONCE = 1_000  # whose events are sent together
RECORDS = 2  # of each run: the deletion and the end of its producer
DELETION = {"kind": "deleted", "what": "run"}


def delete(run_ids: Sequence[str]) -> None:
    """Delete these runs, and wait until no reader sees them. Raises TrackingError; none is deleted if one is open."""
    if still_open := [one for one in run_ids if is_open(one)]:
        raise TrackingError(
            f"run {still_open[0]} is active, and would lose what is logged from here on: call tracking.end_run() "
            "first; nothing was deleted"
        )
    for first in range(0, len(run_ids), RUNS_AT_ONCE):
        some = run_ids[first : first + RUNS_AT_ONCE]
        producer = _send(some, f"{first:,} of {len(run_ids):,} runs are deleted")
        forget(some)
        limit = monotonic() + finish_timeout()
        with one_error():
            for run_id in some:
                _until_deleted(run_id, producer, limit)


def _send(run_ids: Sequence[str], done: str) -> str:
    """Send the deletions of these runs; return the id of their producer. Raises TrackingError, which tells `done`."""
    with one_error():
        address = find_address()
    try:
        return send_now(address, {one: [DELETION] for one in run_ids}, timeout_s=finish_timeout())
    except InDoubt as error:
        problem = f"{done}, and perhaps some of the next: {address.label} {error.what} ({error.why})"
        raise TrackingError(f"{problem}: call it again, which changes nothing twice") from error
    except Unsent as error:
        raise TrackingError(f"{done}: {address.label} {error.what} ({error.why}): {error.step}") from error
    except ClientError as error:
        raise TrackingError(f"{done}: {error}") from error


def _until_deleted(run_id: str, producer: str, limit: float) -> None:
    left = max(0.0, limit - monotonic())
    wait = {"producer": producer, "below": RECORDS, "timeout_s": f"{min(left, 10.0):.3f}"}
    status, answer = ask(find_api(), run_path(run_id, "received"), left + 5.0, **wait)
    if status != 200:
        raise ClientError(
            f"the log has the deletion of run {run_id}, and readers do not see it yet ({answer.get('error', status)}): "
            "it is deleted once the materialiser has caught up, see `gateway status`"
        )
