"""
Wait until readers see everything this process emitted: the log has it, and it is folded into PostgreSQL.

The shipper knows the number of each record that the log acknowledged; the API answers once all records of a producer
below that number are folded (`GET /v1/runs/{run}/received`). Every read after that sees them.
"""

from __future__ import annotations

from time import monotonic, sleep

from gateway.client.errors import ClientError
from gateway.client.query import ApiUnavailable, ask, find_api, run_path
from gateway.client.run.arguments import read_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.recording.recorder import Recorder
    from gateway.client.recording.shipped_journal import AnyShipper

REQUEST_WAIT_S = 10.0  # the longest that one request waits in the API
RETRY_S = 0.2  # between two requests to an API that cannot be reached
CLOSING_POLL_S = 0.01


class BarrierTimeout(TimeoutError):
    """Some of what was emitted cannot be read yet; the message states what is missing. Nothing is lost."""


def barrier(recorder: Recorder, timeout_s: float) -> None:
    """Do what `Run.barrier` describes. Raises BarrierTimeout and ClientError."""
    run_id, shipper, end = recorder.run_id, recorder.shipper, monotonic() + timeout_s
    if shipper is None:
        return  # nothing was recorded since this process was forked
    if shipper.is_offline:
        raise ClientError(
            f"run {run_id} is kept in a journal and sent nowhere, so it cannot be read yet: start the stack with "
            "`gateway up`, or set GATEWAY_URL"
        )
    if not recorder.flush(read_timeout(timeout_s)):
        report = recorder.count()
        raise _unsent(run_id, shipper, f"{report.unsent:,} of {report.emitted:,} points, or facts about the run,")
    api = find_api()
    for journal, producer in recorder.journals():
        while producer is not None and producer.is_closed and not producer.is_done and monotonic() < end:
            sleep(CLOSING_POLL_S)  # it was closed before, and its last records are on their way
        if producer is None or not producer.records:
            continue  # it has recorded nothing
        if producer.is_closed and not producer.is_done:
            raise _unsent(run_id, shipper, f"{producer.records - producer.acknowledged_records:,} records")
        wait_until_folded(api, run_id, journal.producer, producer.acknowledged_records, end)


def _unsent(run_id: str, shipper: AnyShipper, what: str) -> BarrierTimeout:
    why = shipper.last_error or "there was not enough time"
    return BarrierTimeout(
        f"run {run_id}: {what} are not acknowledged by {shipper.address.label} ({why:.200}): they are kept and still "
        "being sent; wait longer, or check with `gateway status` whether it runs"
    )


def wait_until_folded(api: str, run_id: str, producer: str, below: int, end: float) -> None:
    """
    Return once the records of a producer below this number are folded; the waiting is done in the API, not here.

    `end` is on the clock of `monotonic`. Raises BarrierTimeout and ClientError.
    """
    problem = "there was no time to ask the API"
    while True:
        left = max(end - monotonic(), 0.0)
        parameters = {"producer": producer, "below": below, "timeout_s": f"{min(left, REQUEST_WAIT_S):.3f}"}
        try:
            status, answer = ask(api, run_path(run_id, "received"), left + 5.0, **parameters)
        except ApiUnavailable as error:
            status, problem = 0, error.problem
        else:
            problem = str(answer.get("error") or f"{api} answers {status}")
        if status == 200:
            return
        if 400 <= status < 500:
            raise ClientError(f"the API at {api} does not understand a barrier ({problem}): correct GATEWAY_LIVE_URL")
        if monotonic() >= end:
            raise BarrierTimeout(
                f"run {run_id}: the log has everything, but {problem}: wait longer, or check with `gateway status` "
                "whether the materialiser and the API run"
            )
        if status != 504:
            sleep(min(RETRY_S, max(0.0, end - monotonic())))
