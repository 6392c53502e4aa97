"""
Wait until readers see what this process emitted: in the log, and folded into PostgreSQL.

The shipper knows the number of each record that the log acknowledged; the API answers when everything that a producer
numbered below it is folded (`GET /v1/runs/{run}/received`). Whatever is read after that holds it.
"""

from __future__ import annotations

from time import monotonic, sleep

from gateway.client.errors import ClientError
from gateway.client.query import ApiUnavailable, ask, find_api, run_path
from gateway.client.run.arguments import read_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.recording.recorder import Recorder
    from gateway.client.shipping.shipper import Shipper

ROUND_S = 10.0  # the longest one request waits
AGAIN_S = 0.2  # between two requests to an API that is away


class BarrierTimeout(TimeoutError):
    """Not everything that was emitted can be read yet; the message says what is missing. Nothing is lost by it."""


def barrier(recorder: Recorder, timeout_s: float) -> None:
    """Do what `Run.barrier` describes. Raises BarrierTimeout and ClientError."""
    run_id, shipper, end = recorder.run_id, recorder.shipper, monotonic() + timeout_s
    if shipper is None:
        return  # nothing was said here since this process was forked
    if shipper.is_offline:
        raise ClientError(
            f"run {run_id} is kept in a journal and sent nowhere, so nobody can read it yet: start the stack with "
            "`gateway up`, or set GATEWAY_URL"
        )
    if not recorder.flush(read_timeout(timeout_s)):
        report = recorder.count()
        raise _unsent(run_id, shipper, f"{report.unsent:,} of {report.emitted:,} points, or facts about the run,")
    api = find_api()
    for journal, producer in recorder.journals():
        while producer is not None and producer.is_closed and not producer.is_done and monotonic() < end:
            sleep(0.01)  # it was closed before, and its last records are on their way
        if producer is None or not producer.records:
            continue  # it has said nothing
        if producer.is_closed and not producer.is_done:
            raise _unsent(run_id, shipper, f"{producer.records - producer.acknowledged_records:,} records")
        _wait_for(api, run_id, journal.producer, producer.acknowledged_records, end)


def _unsent(run_id: str, shipper: Shipper, what: str) -> BarrierTimeout:
    why = shipper.last_error or "there was not enough time"
    return BarrierTimeout(
        f"run {run_id}: {what} are not acknowledged by {shipper.address.label} ({why:.200}): they are kept and go on "
        "being sent; wait longer, or see whether it runs with `gateway status`"
    )


def _wait_for(api: str, run_id: str, producer: str, below: int, end: float) -> None:
    """Ask until the API says that all is folded; each request waits there and not here."""
    said = "there was no time to ask"
    while True:
        left = max(end - monotonic(), 0.0)
        parameters = {"producer": producer, "below": below, "timeout_s": f"{min(left, ROUND_S):.3f}"}
        try:
            status, answer = ask(api, run_path(run_id, "received"), left + 5.0, **parameters)
        except ApiUnavailable as error:
            status, said = 0, error.problem
        else:
            said = str(answer.get("error") or f"{api} answers {status}")
        if status == 200:
            return
        if 400 <= status < 500:
            raise ClientError(f"the API at {api} does not understand a barrier ({said}): correct GATEWAY_LIVE_URL")
        if monotonic() >= end:
            raise BarrierTimeout(
                f"run {run_id}: all is in the log, but {said}: wait longer, or see with `gateway status` whether the "
                "materialiser and the API run"
            )
        if status != 504:
            sleep(min(AGAIN_S, max(0.0, end - monotonic())))
