"""
Endpoints about logged models: one, its files, and a search.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from consumers.live.api.artifacts import MAX_ARTIFACTS, check_choice
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import Failure, bad_parameter
from consumers.live.api.responses import all_bytes, json_response, list_response, long_response, rendered
from consumers.live.api.run_documents import read_question
from consumers.live.api.runs import MAX_PAGE_BYTES, place_of
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.artifacts import ArtifactChoice
from consumers.store.registry.logged_models import FACTS, NAMED, LoggedModelSearch, is_order
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_tokens import FilterError
from schemas.api import LoggedModelArtifacts, LoggedModelsPage, LoggedModelsQuestion
from schemas.bounds import MAX_NAME, MAX_RUN_ID

EXAMPLE = "write for example metrics.accuracy > 0.9 and params.depth = '7' and tags.team = 'x'"


async def search_logged_models(request: Request) -> Response:
    """
    Return the logged models that fit, without deleted ones; newest first, if no other order is asked for.

    A page ends early after MAX_PAGE_BYTES.
    """
    question = await read_question(request, LoggedModelsQuestion)
    wanted = _search(question)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        models = now.registry.logged_models
        rows = await models.search(wanted._replace(limit=question.limit + 1))
        items = await rendered(models.documents(rows[: question.limit]), all_bytes, MAX_PAGE_BYTES)
    next_offset = question.offset + len(items) if len(rows) > len(items) else None
    page = LoggedModelsPage(models=[], next_offset=next_offset, as_of=write_positions(folded))
    return list_response(page, "models", items, folded)


async def logged_model(
    request: Request, model_id: str, min_offsets: MinOffsets = None, timeout_s: TimeoutS = 10.0
) -> Response:
    """Return a logged model, also a deleted one."""
    _check(model_id)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        found = await now.registry.logged_models.get(model_id)
    if found is None:
        raise _unknown(model_id)
    return json_response(found, folded)


async def logged_model_artifacts(
    request: Request,
    model_id: str,
    path: Annotated[str, Query(max_length=MAX_NAME)] = "",
    recursive: bool = False,
    limit: Annotated[int, Query(ge=1, le=MAX_ARTIFACTS)] = 1_000,
    page_token: Annotated[str | None, Query(max_length=MAX_NAME + 1)] = None,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """List the files of a logged model, with the parameters and the meaning of those of a run's artifacts."""
    _check(model_id)
    check_choice(path, page_token)
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        if await now.registry.logged_models.get(model_id) is None:
            raise _unknown(model_id)
        found = await now.registry.logged_models.artifacts(model_id, ArtifactChoice(path, recursive, page_token, limit))
    page = LoggedModelArtifacts(
        model_id=model_id, path=path, artifacts=found.entries, next_page_token=found.next_page_token
    )
    return await long_response(page, folded)


def _search(question: LoggedModelsQuestion) -> LoggedModelSearch:
    try:
        filter = parse_filter(question.where, FACTS, NAMED)
    except FilterError as error:
        raise bad_parameter("where", str(error), EXAMPLE, details=place_of(error)) from None
    for one in question.order_by:
        if not is_order(one.key):
            raise bad_parameter("order_by", f"there is no {one.key!r:.100}", f"use metrics.NAME, or {', '.join(FACTS)}")
    datasets = [*question.datasets, *(one.dataset for one in question.order_by if one.dataset)]
    texts = [*(one.key for one in question.order_by), *(one.name + one.digest for one in datasets)]
    if any("\x00" in text for text in [*texts, *(question.experiment_ids or [])]):
        raise bad_parameter("the question", "no text in it may contain U+0000", "correct it")
    return LoggedModelSearch(
        question.experiment_ids, filter, question.datasets, question.order_by, question.limit, question.offset
    )


def _check(model_id: str) -> None:
    if len(model_id) > MAX_RUN_ID or "\x00" in model_id:
        raise _unknown(model_id)


def _unknown(model_id: str) -> Failure:
    return Failure(404, f"no logged model {model_id!r:.300}", "search for those that exist")
