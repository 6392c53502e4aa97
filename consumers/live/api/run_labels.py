"""
Endpoint `GET /v1/run-labels`: the different values inside the labels of the runs of experiments.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import MinOffsets, TimeoutS, until_folded
from consumers.live.api.errors import bad_parameter
from consumers.live.api.responses import json_response
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from schemas.bounds import MAX_RUN_ID

MAX_EXPERIMENTS = 100
MAX_PATHS = 10
MAX_ROWS = 10_000

Texts = Annotated[list[Annotated[str, Query(max_length=MAX_RUN_ID)]], Query(min_length=1, max_length=MAX_EXPERIMENTS)]
Paths = Annotated[list[Annotated[str, Query(max_length=1_000)]], Query(min_length=1, max_length=MAX_PATHS)]


class LabelValues(BaseModel):
    """What some labels of an experiment's runs have at the paths."""

    experiment_id: str = Field(description="empty: of runs of no registered experiment")
    values: list[str | None] = Field(description="as text, by path; null: nothing is there")


class LabelValuesList(BaseModel):
    """Each once, however many runs have them."""

    labels: list[LabelValues]
    as_of: str


async def run_labels(
    request: Request,
    experiment_id: Texts,
    prefix: Annotated[str, Query(max_length=1_000)],
    path: Paths,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1_000,
    min_offsets: MinOffsets = None,
    timeout_s: TimeoutS = 10.0,
) -> Response:
    """
    Return the different values at paths inside all labels whose name begins with `prefix`.

    They are of runs of these experiments, of every stage; "" means those of no registered experiment. Paths are those
    of consumers/store/search/filter_tree.py.
    """
    for name, texts in (("experiment_id", experiment_id), ("prefix", [prefix]), ("path", path)):
        if any("\x00" in text for text in texts):
            raise bad_parameter(name, "it must not contain U+0000", f"correct {name}")
    connections = connections_of(request)
    await until_folded(connections, min_offsets, timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        rows = await now.documents.label_values(experiment_id, prefix, path, limit=limit)
    labels = [LabelValues(experiment_id=one, values=values) for one, values in rows]
    return json_response(LabelValuesList(labels=labels, as_of=write_positions(folded)), folded)
