"""
Endpoints that save and delete views and rules of alerts, answered with the decision of the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.consistency import TimeoutS
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.edits.bodies import check_records, read_body
from consumers.live.edits.identity import HEADER, RequestIdentity, identity_of
from consumers.live.stream.positions import write_positions
from consumers.store.alerts.where import parse_where
from consumers.store.search.filter_tokens import FilterError
from schemas import events as ev
from schemas.alerts import read_rule
from schemas.api import DecisionDocument
from schemas.api.saved import AlertRuleQuestion, SavedAnswer, ViewQuestion
from schemas.bounds import MAX_RUN_ID, MAX_RUN_ID_BYTES
from schemas.errors import BadSettings
from schemas.subjects import Collection, Subject
from schemas.wire import ProducerId, RegistryEnvelope, encode

_STATUS = {"changed": 409, "exists": 409, "deleted": 404, "absent": 404}
_NEXT = {
    "changed": "read the newest version, and save again with its number as based_on",
    "exists": "choose another id, or save with the newest version as based_on",
    "deleted": "save it without based_on to have it again",
    "absent": "leave based_on out, or correct the id",
}


async def save_view(request: Request, item_id: str, timeout_s: TimeoutS = 10.0) -> Response:
    """
    Save a view under an id: a new one, or its next version.

    409 if `based_on` is not the newest version. A request that is repeated with the same header `Idempotency-Key` (a
    UUID) is saved once.
    """
    asked, identity = await read_body(request, ViewQuestion), identity_of(request)
    event = ev.ViewSaved(time=identity.time, author=identity.author, **dict(asked))
    return await _decide(request, Subject("views", item_id), identity, event, timeout_s)


async def delete_view(request: Request, item_id: str, timeout_s: TimeoutS = 10.0) -> Response:
    """Delete a view. Its versions can still be read."""
    identity = identity_of(request)
    event = ev.ViewDeleted(time=identity.time, author=identity.author)
    return await _decide(request, Subject("views", item_id), identity, event, timeout_s)


async def save_alert_rule(request: Request, item_id: str, timeout_s: TimeoutS = 10.0) -> Response:
    """Save a rule under an id, as a view is saved."""
    asked, identity = await read_body(request, AlertRuleQuestion), identity_of(request)
    _check_rule(asked.body)
    event = ev.AlertRuleSaved(time=identity.time, author=identity.author, **dict(asked))
    return await _decide(request, Subject("alert_rules", item_id), identity, event, timeout_s)


async def delete_alert_rule(request: Request, item_id: str, timeout_s: TimeoutS = 10.0) -> Response:
    """Delete a rule. Its versions can still be read."""
    identity = identity_of(request)
    event = ev.AlertRuleDeleted(time=identity.time, author=identity.author)
    return await _decide(request, Subject("alert_rules", item_id), identity, event, timeout_s)


def _check_rule(body: Mapping[str, Any]) -> None:
    """Raise Failure for a rule that cannot be evaluated, with the field and what to write."""
    try:
        parse_where(read_rule(body, "body").where)
    except BadSettings as error:
        raise bad_parameter("body", str(error), "correct it: docs/alerts.md has the form of a rule") from None
    except FilterError as error:
        raise bad_parameter(
            "body", f"body: where: {error}", "correct it: docs/alerts.md has what it compares"
        ) from None


async def _decide(
    request: Request, subject: Subject, identity: RequestIdentity, event: ev.RegistryEvent, timeout_s: float
) -> Response:
    check_id(subject.id)
    connections = connections_of(request)
    key = (subject.collection, identity.producer, 0)
    decided = None
    if identity.is_given:
        now = await connections.folded([key])
        decided = now.decided[key]
    if decided is None:
        decided = await _append(connections, subject, identity, event, timeout_s)
    if (decided.kind, decided.subject_id) != (event.kind, subject.id):
        what = f"this {HEADER} was that of a request about {decided.subject_id!r:.300} ({decided.kind})"
        raise Failure(409, what, "send a new UUID with each change")
    if decided.outcome != "done":
        raise NotSaved(decided)
    as_of = write_positions((await connections.folded()).offsets)
    return json_response(SavedAnswer(id=subject.id, version=int(decided.result["version"]), as_of=as_of))


async def _append(
    connections: Connections, subject: Subject, identity: RequestIdentity, event: ev.RegistryEvent, timeout_s: float
) -> DecisionDocument:
    record = encode(RegistryEnvelope(subject, ProducerId(identity.producer), 0, identity.time, event))
    check_records([record])
    await connections.appender.append([record])
    key: tuple[Collection, str, int] = (subject.collection, identity.producer, 0)
    _, now = await connections.progress.wait_until(lambda now: now.decided[key] is not None, timeout_s, key)
    decided = now.decided.get(key)
    if decided is None:
        raise Failure(
            504,
            f"the log has the request, and it is not decided within {timeout_s:g} s",
            f"ask again with {HEADER}: {identity.producer}, or see whether the materialiser runs with `gateway status`",
        )
    return decided


class NotSaved(Failure):
    """The fold refused a request; the answer has its outcome and the newest version."""

    def __init__(self, decided: DecisionDocument) -> None:
        super().__init__(_STATUS[decided.outcome], decided.reason, _NEXT[decided.outcome])
        self._facts = {"outcome": decided.outcome, "version": decided.result.get("version")}

    def response(self) -> JSONResponse:
        """Return the HTTP answer."""
        body = {"error": self.error, "next": self.next_step, **self._facts}
        return JSONResponse(body, self.status, headers={"Cache-Control": "no-store"})


def check_id(item_id: str) -> None:
    """Raise Failure for an id that a new view or rule cannot have."""
    if len(item_id) > MAX_RUN_ID or len(item_id.encode(errors="replace")) > MAX_RUN_ID_BYTES:
        raise bad_parameter("id", f"it has more than {MAX_RUN_ID} characters", "choose a shorter one")
    if "/" in item_id or "\x00" in item_id or not item_id.strip():
        raise bad_parameter("id", "it contains / or U+0000, or is empty", "choose for example a UUID")
