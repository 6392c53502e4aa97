"""
Endpoints that read views and rules of alerts.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response, list_response
from consumers.live.api.runs import EXAMPLES, MAX_MATCH, MAX_PAGE_BYTES
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.snapshot import Snapshot
from consumers.store.registry.saved import SavedChoice, token_behind
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api.saved import AlertRulesPage, SavedVersionsPage, ViewsPage
from schemas.bounds import MAX_RUN_ID
from schemas.subjects import Collection

MAX_ITEMS = 1_000
LAST_VERSION = 2**31 - 1

SearchText = Annotated[str, Query(max_length=MAX_MATCH, description="words that the name contains")]
State = Annotated[Literal["active", "deleted", "all"], Query()]
Bodies = Annotated[bool, Query(description="with what each holds; a page then ends after 8 MB")]
Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS)]
Token = Annotated[str | None, Query(max_length=MAX_TOKEN)]
Version = Annotated[int | None, Query(ge=1, le=LAST_VERSION)]
Below = Annotated[int | None, Query(ge=1, le=LAST_VERSION, description="next_page_token of the page before")]


async def views(  # noqa: PLR0913, PLR0917 -- FastAPI reads parameters from the signature
    request: Request,
    type: Annotated[str | None, Query(max_length=100)] = None,
    search: SearchText = "",
    state: State = "active",
    bodies: Bodies = False,
    limit: Limit = 100,
    page_token: Token = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """List views, newest first. Without `bodies`, read what one holds with /v1/views/ID."""
    choice = SavedChoice(type, search.split(), state, bodies, limit, page_token)
    return await _list(request, "views", choice, min_offsets, timeout_s)


async def alert_rules(
    request: Request,
    search: SearchText = "",
    state: State = "active",
    bodies: Bodies = False,
    limit: Limit = 100,
    page_token: Token = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """List rules of alerts, newest first. Without `bodies`, read what one holds with /v1/alert-rules/ID."""
    choice = SavedChoice(None, search.split(), state, bodies, limit, page_token)
    return await _list(request, "alert_rules", choice, min_offsets, timeout_s)


async def view(
    request: Request, item_id: str, version: Version = None, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return a view with its body, also a deleted one: its newest version, or the one that is named."""
    return await _single(request, "views", item_id, version, (min_offsets, timeout_s))


async def alert_rule(
    request: Request, item_id: str, version: Version = None, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return a rule with its body, also a deleted one: its newest version, or the one that is named."""
    return await _single(request, "alert_rules", item_id, version, (min_offsets, timeout_s))


async def view_versions(
    request: Request,
    item_id: str,
    limit: Limit = 100,
    page_token: Below = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """List the versions of a view, newest first, without their bodies."""
    return await _versions(request, "views", item_id, (limit, page_token), (min_offsets, timeout_s))


async def alert_rule_versions(
    request: Request,
    item_id: str,
    limit: Limit = 100,
    page_token: Below = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """List the versions of a rule, newest first, without their bodies."""
    return await _versions(request, "alert_rules", item_id, (limit, page_token), (min_offsets, timeout_s))


async def _list(
    request: Request, collection: Collection, choice: SavedChoice, min_offsets: str | None, timeout_s: float
) -> Response:
    for name, text in (("type", choice.type or ""), ("search", "".join(choice.words))):
        if "\x00" in text:
            raise bad_parameter(name, "it must not contain U+0000", f"correct {name}")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            items, token = await _page(now, collection, choice)
        except TokenError as error:
            raise bad_parameter("page_token", str(error), EXAMPLES["page_token"]) from None
    page: BaseModel
    if collection == "views":
        page = ViewsPage(views=[], next_page_token=token, as_of=write_positions(folded))
    else:
        page = AlertRulesPage(alert_rules=[], next_page_token=token, as_of=write_positions(folded))
    return list_response(page, collection, items, folded)


async def _page(now: Snapshot, collection: Collection, choice: SavedChoice) -> tuple[list[bytes], str | None]:
    """Return the entries of a page as JSON, and the token of those that follow, if any."""
    shown, size, last = list[bytes](), 0, None
    async with aclosing(now.registry.saved.items(collection, choice)) as found:
        async for one in found:
            if last is not None and (len(shown) == choice.limit or size > MAX_PAGE_BYTES):
                return shown, token_behind(last, collection, choice)
            shown.append(one.model_dump_json().encode())
            size, last = size + len(shown[-1]), one
    return shown, None


async def _single(
    request: Request, collection: Collection, item_id: str, version: int | None, wait: tuple[str | None, float]
) -> Response:
    _check(collection, item_id)
    connections = connections_of(request)
    await until_folded(connections, *wait)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.registry.saved.get(collection, item_id, version)
        is_known = found is not None or await now.registry.saved.get(collection, item_id) is not None
    if found is None and is_known:
        raise Failure(
            404, f"{item_id!r:.300} has no version {version}", "leave it out for the newest one; .../versions lists all"
        )
    if found is None:
        raise _unknown(collection, item_id)
    return json_response(found, folded)


async def _versions(
    request: Request,
    collection: Collection,
    item_id: str,
    paging: tuple[int, int | None],
    wait: tuple[str | None, float],
) -> Response:
    _check(collection, item_id)
    limit, below = paging
    connections = connections_of(request)
    await until_folded(connections, *wait)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.registry.saved.versions(collection, item_id, below=below, limit=limit + 1)
        if not found and await now.registry.saved.get(collection, item_id) is None:
            raise _unknown(collection, item_id)
    token = str(found[limit - 1].version) if len(found) > limit else None
    as_of = write_positions(folded)
    page = SavedVersionsPage(id=item_id, versions=found[:limit], next_page_token=token, as_of=as_of)
    return json_response(page, folded)


def _check(collection: Collection, item_id: str) -> None:
    if len(item_id) > MAX_RUN_ID or "\x00" in item_id:
        raise _unknown(collection, item_id)


def _unknown(collection: Collection, item_id: str) -> Failure:
    listing = "gateway views list" if collection == "views" else "gateway alerts rules"
    return Failure(404, f"no {collection[:-1].replace('_', ' ')} {item_id!r:.300}", f"list them with `{listing}`")
