"""
Endpoint `POST /v1/alert-rules/check`: whether a rule can be evaluated, and where it is wrong, while it is written.
"""

from __future__ import annotations

import asyncio

from fastapi import Request, Response

from consumers.live.api.responses import json_response
from consumers.live.api.run_documents import read_question
from consumers.store.alerts.where import parse_where
from consumers.store.search.filter_tokens import FilterError
from schemas.alerts import RuleEntry
from schemas.alerts.rule_text import PlacedFault, RuleText, read_entry, read_text, write_text
from schemas.api.alerts import RuleCheck, RuleCheckQuestion, RuleProblem


async def check_rule(request: Request) -> Response:
    """Return whether a rule can be evaluated, with all that is wrong, and the rule in both forms. It saves nothing."""
    asked = await read_question(request, RuleCheckQuestion, 400)
    return json_response(await asyncio.to_thread(checked, asked))


def checked(asked: RuleCheckQuestion) -> RuleCheck:
    """Return what is wrong with a rule, and both of its forms."""
    if asked.yaml is not None:
        read = read_text(asked.yaml)
    else:
        entry, found = read_entry(asked.rule or {})
        read = RuleText(entry, [PlacedFault(*one[:2]) for one in found], {})
    problems = [RuleProblem(**one._asdict()) for one in read.faults]
    if read.entry is None:
        return RuleCheck(ok=False, problems=problems)
    problems += _wrong_filter(read.entry, read)
    text = asked.yaml if asked.yaml is not None else write_text(read.entry)
    return RuleCheck(ok=not problems, rule=_fields(read.entry), yaml=text, problems=problems)


def _fields(entry: RuleEntry) -> dict[str, object]:
    named = {"id": entry.id, "name": entry.name, "description": entry.description, "enabled": entry.enabled}
    return {**named, "body": entry.body()}


def _wrong_filter(entry: RuleEntry, read: RuleText) -> list[RuleProblem]:
    try:
        parse_where(entry.where)
    except FilterError as error:
        line, column = read.places.get(("where",), (0, 0))
        return [
            RuleProblem(
                field="where", message=str(error), line=line, column=column, position=error.position, end=error.end
            )
        ]
    return []
