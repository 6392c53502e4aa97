"""
Write one request about an experiment or a model to the log, and wait for what became of it.

A request is an event with a producer of its own, so producer and number 0 are its identity: however often it is sent,
it is decided once (consumers/materialiser/registry). The id of the producer is the id of the request. When the answer
is lost, the error has it: the same call with `request_id` gives the first decision, or sends the same request again.
"""

from __future__ import annotations

from time import monotonic, sleep

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import MAX_RECORD, encode_request
from gateway.client.errors import ClientError, InDoubt, Undecided, Unsent
from gateway.client.ids import time_of, uuid7
from gateway.client.query import ApiRefused, ApiUnavailable, ask
from gateway.client.registry.arguments import check_request_id
from gateway.client.registry.connection import path_of
from gateway.client.registry.outcomes import refusal
from gateway.client.shipping.immediate import send_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.query import Api
    from gateway.client.registry.connection import Registry

TIMEOUT_S = 30.0
REQUEST_WAIT_S = 10.0  # the longest that one question waits in the API
ANSWER_S = 5.0  # beyond that, until the API answers
RETRY_S = 0.2  # between two questions
_PASSING = (429, 500, 502, 503)  # answers of the API, or of a proxy in front of it, that the next one may replace


def new_request_id() -> str:
    """Return an id for a request that may have to be repeated: pass it as `request_id` to every attempt."""
    return uuid7()


def used_before(request_id: str | None, subject: str) -> ClientError:
    """Return the error of a call with the id of another request, which was about `subject`."""
    return ClientError(
        f"request {request_id} was about {subject}: an id is of one request only; leave request_id out, or take a new "
        "one"
    )


def decide(
    registry: Registry,
    collection: str,
    subject_id: str,
    body: dict[str, Any],
    request_id: str | None,
    timeout_s: float,
    *,
    new_id: str | None = None,
) -> dict[str, Any]:
    """
    Write a request and return the result of its decision. `body` is the event without its time.

    With `request_id` it may be a repetition; without it, it has the id `new_id`, or a new one.

    Raises RegistryError (its subclass says why) when it was refused, Undecided when there is no decision in time, and
    ClientError when nothing was written.
    """
    end, api = monotonic() + timeout_s, registry.api  # one that cannot be used is an error before anything is written
    producer = check_request_id(request_id) if request_id is not None else new_id or uuid7()
    decision = _ask(api, collection, producer, 0.0)[0] if request_id is not None else None
    if decision is None:
        _write(registry, collection, subject_id, body, producer, end)
        decision = _wait(api, collection, producer, end)
    if (decision["kind"], decision["subject_id"]) != (body["kind"], subject_id):
        raise used_before(producer, f"{decision['subject_id']!r:.100} ({decision['kind']})")
    if decision["outcome"] != "done":
        raise refusal(decision)
    return dict(decision["result"])


def _write(
    registry: Registry, collection: str, subject_id: str, body: dict[str, Any], producer: str, end: float
) -> None:
    address, time = registry.address, time_of(producer) or now()  # sent again, it has the same bytes
    record = encode_request(collection, subject_id, producer, {"kind": body["kind"], "time": time, **body})
    if len(record.value) > MAX_RECORD:
        raise ClientError(
            f"the request has {len(record.value):,} bytes, and may have {MAX_RECORD:,}: shorten its texts"
        )
    try:
        send_records(address, [record], timeout_s=max(end - monotonic(), 0.1))
    except InDoubt as error:
        raise Undecided(
            f"{address.label} {error.what} ({error.why:.300}), and the log may or may not have the request: repeat it "
            f"with request_id={producer!r}, which is safe",
            request_id=producer,
        ) from error
    except Unsent as error:
        raise ClientError(
            f"{address.label} {error.what} ({error.why:.300}), and nothing was changed: {error.step}"
        ) from error


def _wait(api: Api, collection: str, producer: str, end: float) -> dict[str, Any]:
    while True:
        left = max(end - monotonic(), 0.0)
        try:
            decision, problem = _ask(api, collection, producer, min(left, REQUEST_WAIT_S))
        except ApiUnavailable as error:
            decision, problem = None, error.problem
        except ApiRefused as error:
            decision, problem, end = None, str(error), 0.0  # asking again does not help
        if decision is not None:
            return decision
        if monotonic() >= end:
            raise Undecided(
                f"the log has the request, but there is no decision yet ({problem}): check with `gateway status` "
                "whether the materialiser and the API run, and whether the request is among the dead letters, then "
                f"repeat it with request_id={producer!r}",
                request_id=producer,
            )
        sleep(min(RETRY_S, max(0.0, end - monotonic())))  # a proxy may answer 504 at once


def _ask(api: Api, collection: str, producer: str, wait_s: float) -> tuple[dict[str, Any] | None, str]:
    """Return the decision, or None and why there is none. Raises ApiUnavailable, and ApiRefused for another server."""
    path = path_of("decisions", collection, producer)
    status, answer = ask(api, path, wait_s + ANSWER_S, timeout_s=f"{wait_s:.3f}")
    if status == 200 and "outcome" in answer:
        return answer, ""
    problem = str(answer.get("error") or f"{api} answers {status}")
    if status in _PASSING:
        raise ApiUnavailable(problem, "ask again")
    if status in (401, 403):
        raise ApiRefused(f"{api} does not tell the decision ({problem}): {answer.get('next') or 'correct the token'}")
    if status != 504:
        raise ApiRefused(
            f"the API at {api} does not know decisions ({problem}): correct GATEWAY_LIVE_URL, or update it"
        )
    return None, problem
