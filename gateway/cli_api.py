"""
Ask the API of the stack; its errors become ours.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from schemas.errors import Refused, Unavailable

ANSWER_TIMEOUT_S = 20.0
QUIET_TIMEOUT_S = 45.0  # of a stream: the API sends a sign of life every 15 s


def get(base: str, path: str, **parameters: Any) -> Any:
    """
    Return the JSON that the API answers; parameters that are None are left out.

    Raises Unavailable when it does not answer, Refused with its own words when it says no.
    """
    with _ask(base, _with(path, parameters), ANSWER_TIMEOUT_S) as response:
        return json.loads(response.read())


def stream(base: str, **parameters: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (position, event) of the event stream until the API ends it."""
    with _ask(base, _with("/v1/stream", parameters), QUIET_TIMEOUT_S) as response:
        position, data = "", ""
        while line := response.readline():
            field, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
            if field == "id":
                position = value.strip()
            elif field == "data":
                data += value.strip()
            elif not field and data:
                yield position, json.loads(data)
                data = ""


def run_path(run_id: str, what: str) -> str:
    """Return the path of a document of a run; the id may hold any character."""
    return f"/v1/runs/{quote(run_id, safe='')}/{what}"


def _with(path: str, parameters: dict[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


@contextmanager
def _ask(base: str, target: str, timeout_s: float) -> Iterator[http.client.HTTPResponse]:
    # http.client, not urllib: a proxy in the environment must not see requests to this machine.
    where = urlsplit(base)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(where.hostname or "", where.port, timeout=timeout_s)
        try:
            connection.request("GET", where.path + target, headers={"Accept": "application/json, text/event-stream"})
            response = connection.getresponse()
            if response.status != 200:
                raise _failure(base, response)
            yield response
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"the API at {base} cannot be reached ({error or type(error).__name__}): "
            "start it with `gateway up`, or correct GATEWAY_LIVE_URL"
        ) from error


def _failure(base: str, response: http.client.HTTPResponse) -> Exception:
    try:
        said = json.loads(response.read())
        text = f"{said['error']}: {said['next']}"
    except (ValueError, KeyError, TypeError):
        text = f"{base} answers {response.status} {response.reason}: correct GATEWAY_LIVE_URL"
    return Unavailable(text) if response.status == 503 else Refused(text)
