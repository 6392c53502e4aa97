"""
Wait until readers see what this process emitted: in the log, and folded into PostgreSQL.

The shipper knows the number of each record that the log acknowledged; the API answers when everything that a producer
numbered below it is folded (`GET /v1/runs/{run}/received`). Whatever is read after that holds it.
"""

from __future__ import annotations

import json
import os
from time import monotonic, sleep
from urllib.parse import quote

from gateway.client.address import read_toml
from gateway.client.errors import ClientError
from gateway.client.run.arguments import FINISH_TIMEOUT_S
from gateway.client.stack_file import default_home, stack_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.client.run.run import Run
    from gateway.client.shipping.shipper import Shipper

ROUND_S = 10.0  # the longest one request waits
AGAIN_S = 0.2  # between two requests to an API that is away
DEFAULT_API = "http://127.0.0.1:8700"


class BarrierTimeout(TimeoutError):
    """Not everything that was emitted can be read yet; the message says what is missing. Nothing is lost by it."""


def find_api(environ: Mapping[str, str] | None = None) -> str:
    """Return the address of the API: GATEWAY_LIVE_URL, gateway.toml, or the local stack's. Raises ClientError."""
    env = dict(os.environ if environ is None else environ)
    toml = read_toml(env.get("GATEWAY_CONFIG") or "")
    home = env.get("GATEWAY_HOME") or str(toml.get("home") or "")
    stack = stack_settings(os.path.expanduser(home) if home else default_home(env))
    variables = {name: env.get(f"GATEWAY_{name.upper()}") for name in ("live_url", "live_host", "live_port")}
    for source in (variables, toml, stack):
        if source.get("live_url"):
            return str(source["live_url"]).rstrip("/")
        if source.get("live_port"):
            return f"http://{source.get('live_host') or '127.0.0.1'}:{source['live_port']}"
    return DEFAULT_API


def barrier(run: Run, timeout_s: float = FINISH_TIMEOUT_S) -> None:
    """
    Wait until readers see all that this process emitted to the run: in the log, and folded into PostgreSQL.

    Asks the API (GATEWAY_LIVE_URL, or the local stack's). Raises BarrierTimeout, which says what is missing, after
    `timeout_s` seconds, and ClientError when nothing is sent anywhere.
    """
    shipper, end = run._shipper, monotonic() + timeout_s
    if shipper is None:
        return  # nothing was said here since this process was forked
    if shipper.is_offline:
        raise ClientError(
            f"run {run.id} is kept in a journal and sent nowhere, so nobody can read it yet: start the stack with "
            "`gateway up`, or set GATEWAY_URL"
        )
    if not run.flush(timeout_s):
        report = run._count()
        raise _unsent(run.id, shipper, f"{report.unsent:,} of {report.emitted:,} points, or facts about the run,")
    api = find_api()
    for journal, producer in (*run._past, (run._journal, run._producer)):
        while producer is not None and producer.is_closed and not producer.is_done and monotonic() < end:
            sleep(0.01)  # it was closed before, and its last records are on their way
        if producer is None or not producer.batches:
            continue  # it has said nothing
        if producer.is_closed and not producer.is_done:
            raise _unsent(run.id, shipper, f"{producer.batches - producer.acknowledged_batches:,} records")
        _wait_for(api, run.id, journal.producer, producer.acknowledged_batches, end)


def _unsent(run_id: str, shipper: Shipper, what: str) -> BarrierTimeout:
    why = shipper.last_error or "there was not enough time"
    return BarrierTimeout(
        f"run {run_id}: {what} are not acknowledged by {shipper.address.label} ({why:.200}): they are kept and go on "
        "being sent; wait longer, or see whether it runs with `gateway status`"
    )


def _wait_for(api: str, run_id: str, producer: str, below: int, end: float) -> None:
    """Ask until the API says that all is folded; each request waits there and not here."""
    from http.client import HTTPException

    said = "there was no time to ask"
    while True:
        left = end - monotonic()
        path = (
            f"/v1/runs/{quote(run_id, safe='')}/received?producer={quote(producer)}&below={below}"
            f"&timeout_s={min(max(left, 0.0), ROUND_S):.3f}"
        )
        try:
            status, answer = _get(api, path, max(left, 0.0) + 5.0)
        except (OSError, HTTPException) as error:
            status, said = 0, f"the API at {api} cannot be reached ({error or type(error).__name__})"
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


def _get(api: str, path: str, timeout_s: float) -> tuple[int, dict[str, object]]:
    # Imported here, because nobody who only emits needs them; not urllib.request, because a proxy in the environment
    # must not see requests to this machine.
    import http.client
    from urllib.parse import urlsplit

    where = urlsplit(api)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=timeout_s)
    try:
        connection.request("GET", where.path + path)
        response = connection.getresponse()
        try:
            answer = json.loads(response.read(1_000_000))
        except ValueError:
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}
    finally:
        connection.close()
