"""
Endpoints about experiments, registered models and their versions, and about what became of a request to change them.

The name of a model may hold any character, "/versions/3" too: an encoded slash belongs to the name, a plain one in the
path need not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import json_response, list_response
from consumers.live.api.runs import place_of
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.snapshot import Snapshot
from consumers.store.registry.read import Page, Wanted
from consumers.store.registry.search import FACTS, Listed, Narrowing, parse_sorting
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.page_token import MAX_TOKEN, TokenError
from schemas.api import ExperimentsPage, ModelsPage, ModelVersionsPage
from schemas.bounds import MAX_NAME, MAX_RUN_ID

MAX_ROWS = 1_000  # in one answer
MAX_ORDERS = 10
LAST_NUMBER, LONGEST_NUMBER = 2**31 - 1, 10  # of a version
MAX_FILTER = 20_000  # characters; the parser refuses longer ones than its language allows, with its own words
_EXAMPLES: dict[Listed, str] = {
    "experiments": "write for example name like 'vision-%' and tags.team = 'x'",
    "models": "write for example name ilike '%digits%' and tags.task = 'ocr'",
    "model_versions": "write for example run_id = 'RUN' or stage = 'Production' and tags.passed = 'yes'",
}

Name = Annotated[str | None, Query(max_length=MAX_NAME)]


class Paging(NamedTuple):
    """The parameters that every list has."""

    where: str
    limit: int
    page_token: str | None
    min_offsets: str | None
    timeout_s: float
    order: list[str]


def _paging(
    where: Annotated[str, Query(max_length=MAX_FILTER)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 200,
    page_token: Annotated[str | None, Query(max_length=MAX_TOKEN)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
    order: Annotated[list[str], Query(max_length=MAX_ORDERS)] = [],  # noqa: B006 - FastAPI copies it
) -> Paging:
    return Paging(where, limit, page_token, min_offsets, timeout_s, order)


PagingParameters = Annotated[Paging, Depends(_paging)]


async def experiments(
    request: Request,
    paging: PagingParameters,
    state: Literal["active", "deleted", "all"] = "active",
    name: Name = None,
) -> Response:
    """List experiments, newest first: the active ones, or those that are deleted, or all; `name`: the one of it."""
    given = {"state": None if state == "all" else state, "name": name}
    return await _listed(request, "experiments", paging, given)


async def experiment(
    request: Request, experiment_id: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return an experiment, also a deleted one."""
    unknown = Failure(404, f"no experiment {experiment_id!r:.300}", "list them with `gateway experiments list`")
    if len(experiment_id) > MAX_RUN_ID or "\x00" in experiment_id:
        raise unknown
    wanted = Wanted(narrowings=[Narrowing("experiment_id", experiment_id)])
    return await _single(request, min_offsets, timeout_s, lambda now: _first(now.registry.experiments(wanted)), unknown)


async def models(request: Request, paging: PagingParameters, latest: bool = False) -> Response:
    """List registered models, newest first; `latest`: with the newest version of each stage."""
    return await _listed(request, "models", paging, {}, latest=latest)


async def model(request: Request, name: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0) -> Response:
    """Return a registered model with its aliases and the newest version of each stage."""
    return await _model(request, _named(request)[0], min_offsets, timeout_s)


async def model_versions(
    request: Request,
    paging: PagingParameters,
    name: Name = None,
    stage: Name = None,
    alias: Name = None,
    run_id: Name = None,
) -> Response:
    """List versions of all models, newest model and highest number first."""
    given = {"name": name, "stage": stage, "alias": alias, "run_id": run_id}
    return await _listed(request, "model_versions", paging, given)


async def versions(
    request: Request,
    name: str,
    paging: PagingParameters,
    stage: Name = None,
    alias: Name = None,
    run_id: Name = None,
) -> Response:
    """List versions of a model, highest number first."""
    name, is_list, _ = _named(request)
    if not is_list:
        return await _model(request, name, paging.min_offsets, paging.timeout_s)
    given = {"name": name, "stage": stage, "alias": alias, "run_id": run_id}
    return await _listed(request, "model_versions", paging, given)


async def version(
    request: Request, name: str, number: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return one version of a model."""
    name, is_list, found = _named(request)
    if not is_list:
        return await _model(request, name, min_offsets, timeout_s)
    unknown = Failure(
        404, f"model {name!r:.300} has no version {found:.20}", "see what it has with `gateway models versions`"
    )
    if "\x00" in name or len(found) > LONGEST_NUMBER or int(found) > LAST_NUMBER:
        raise unknown
    wanted = Wanted(
        narrowings=[Narrowing("name", name)], filter=parse_filter(f"version = {int(found)}", FACTS["model_versions"])
    )
    return await _single(request, min_offsets, timeout_s, lambda now: _first(now.registry.versions(wanted)), unknown)


async def decision(
    request: Request,
    collection: Literal["experiments", "models", "logged_models", "views", "alert_rules"],
    producer: str,
    seq: Annotated[int, Query(ge=0, le=10**18)] = 0,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return what became of a request, given by its collection, producer and number; wait for it at most `timeout_s`.

    504: it is not decided yet, or not in the log. Reads after this answer include what it changed.
    """
    if len(producer) > MAX_RUN_ID or "\x00" in producer:
        raise bad_parameter("producer", "no event can carry it", "pass that of the request")
    key = (collection, producer, seq)
    connections = connections_of(request)
    now = await connections.folded([key])
    if now.decided[key] is None and timeout_s:
        _, now = await connections.progress.wait_until(lambda now: now.decided[key] is not None, timeout_s, key)
    found = now.decided.get(key)
    if found is None:
        raise Failure(
            504,
            f"request {seq} of producer {producer:.100} about {collection} is not decided within {timeout_s:g} s",
            "see whether the materialiser runs, and whether records are parked, with `gateway status`",
        )
    return json_response(found, now.offsets)


async def _model(request: Request, name: str, min_offsets: str | None, timeout_s: float) -> Response:
    unknown = Failure(404, f"no model {name!r:.300}", "list them with `gateway models list`")
    if len(name) > MAX_NAME or "\x00" in name:
        raise unknown
    return await _single(request, min_offsets, timeout_s, lambda now: now.registry.model(name), unknown)


def _named(request: Request) -> tuple[str, bool, str]:
    """Return the name in the path, whether its versions are asked for, and the number of one, "" for all."""
    raw = bytes(request.scope["raw_path"]).partition(b"?")[0].decode("ascii", "replace")
    parts = [unquote(part, errors="replace") for part in raw.partition("/v1/models/")[2].split("/")]
    if len(parts) > 2 and parts[-2] == "versions" and parts[-1].isascii() and parts[-1].isdecimal():
        return "/".join(parts[:-2]), True, parts[-1]
    if len(parts) > 1 and parts[-1] == "versions":
        return "/".join(parts[:-1]), True, ""
    return "/".join(parts), False, ""


async def _listed(
    request: Request, listed: Listed, paging: Paging, given: dict[str, str | None], *, latest: bool = False
) -> Response:
    try:
        filter = parse_filter(paging.where, FACTS[listed])
    except FilterError as error:
        raise bad_parameter("where", str(error), _EXAMPLES[listed], details=place_of(error)) from None
    try:
        order = [parse_sorting(listed, one) for one in paging.order]
    except FilterError as error:
        raise bad_parameter("order", str(error), "write for example order=name or order=created%20desc") from None
    for parameter, value in given.items():
        if value is not None and "\x00" in value:
            raise bad_parameter(parameter, "it must not contain U+0000", f"correct {parameter}")
    narrowings = [Narrowing(fact, value) for fact, value in given.items() if value is not None]
    wanted = Wanted(filter, narrowings, paging.limit, paging.page_token, order)
    connections = connections_of(request)
    await until_folded(connections, paging.min_offsets, paging.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        try:
            page = await _page(now, listed, wanted)
            rows = await now.registry.with_latest(page.rows) if latest else page.rows
        except TokenError as error:
            step = "leave it out to start again, and pass each page's next_page_token with the same parameters"
            raise bad_parameter("page_token", str(error), step) from None
    rest = {"next_page_token": page.next_page_token, "as_of": write_positions(folded)}
    items = [one.model_dump_json().encode() for one in rows]
    if listed == "experiments":
        return list_response(ExperimentsPage(experiments=[], **rest), "experiments", items, folded)
    if listed == "models":
        return list_response(ModelsPage(models=[], **rest), "models", items, folded)
    return list_response(ModelVersionsPage(versions=[], **rest), "versions", items, folded)


async def _page(now: Snapshot, listed: Listed, wanted: Wanted) -> Page:
    if listed == "experiments":
        return await now.registry.experiments(wanted)
    return await (now.registry.models if listed == "models" else now.registry.versions)(wanted)


async def _first(page: Any) -> BaseModel | None:
    rows = (await page).rows
    return rows[0] if rows else None


async def _single(
    request: Request, min_offsets: str | None, timeout_s: float, read: Callable[[Snapshot], Any], unknown: Failure
) -> Response:
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found: BaseModel | None = await read(now)
    if found is None:
        raise unknown
    return json_response(found, folded)
