"""
Endpoints `GET` and `POST /v1/alert-mutes`: rules whose firings are stored and not sent.

A mute is a row and no event: it is about sending, which is no part of the log, and it counts at once.
"""

from __future__ import annotations

from fastapi import Request, Response

from consumers.live.api.connections import connections_of
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.edits.bodies import read_body
from consumers.store.alerts.firings import Mute, mute, unmute
from schemas.alerts import ALARM
from schemas.api.alerts import MuteDocument, MuteQuestion, MutesAnswer


async def mutes(request: Request) -> Response:
    """Return the mutes that are in force."""
    async with connections_of(request).store().snapshot() as now:
        found = await now.registry.firings.mutes()
    return json_response(MutesAnswer(mutes=[_document(one) for one in found]))


async def change_mute(request: Request) -> Response:
    """Mute a rule, or one run of it, or end that; return the mutes that are in force then."""
    asked = await read_body(request, MuteQuestion)
    for name, text in (("rule_id", asked.rule_id), ("run_id", asked.run_id)):
        if "\x00" in text:
            raise bad_parameter(name, "it must not contain U+0000", f"correct {name}")
    connections = connections_of(request)
    if asked.muted and not asked.rule_id.startswith(ALARM):
        async with connections.store().snapshot() as now:
            rule = await now.registry.saved.get("alert_rules", asked.rule_id)
        if rule is None or rule.state == "deleted":
            raise Failure(404, f"there is no rule {asked.rule_id!r:.300}", "GET /v1/alert-rules lists them")
    async with connections.database().acquire() as connection:
        if asked.muted:
            await mute(connection, asked.rule_id, asked.run_id, asked.seconds)
        else:
            await unmute(connection, asked.rule_id, asked.run_id)
    return await mutes(request)


def _document(one: Mute) -> MuteDocument:
    until = None if one.until is None else round(one.until.timestamp() * 1e6)
    return MuteDocument(rule_id=one.rule_id, run_id=one.run_id, until=until)
