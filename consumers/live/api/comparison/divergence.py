"""
Endpoint `POST /v1/runs/divergence`: the first step at which two runs differ.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from consumers.live.api.comparison.diff import refuse_unknown
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import RunId, read_question
from consumers.live.api.tables.questions import Consistent
from consumers.live.stream.positions import write_positions
from consumers.store.comparison.tolerance import Tolerance
from consumers.store.offsets import CONSUMER
from schemas.api.comparison import Divergence, SeriesDivergence

MAX_S = 20.0  # of comparing; series that are not begun by then are left
SeriesName = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
Bound = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Match(BaseModel):
    """Which series are compared, by their written names."""

    model_config = ConfigDict(extra="forbid")

    prefix: str = Field(default="", max_length=1_000)
    words: str = Field(default="", max_length=1_000, description="that a name contains, in any case")


class DivergenceQuestion(Consistent):
    """Two runs, their series, and how far values may differ: by the larger of both bounds."""

    a: RunId
    b: RunId
    names: Annotated[list[SeriesName], Field(max_length=1_000)] | None = Field(
        default=None, description="written names; otherwise all but those of the system"
    )
    match: Match = Field(default_factory=Match)
    absolute: Bound = 0.0
    relative: Bound = Field(default=0.0, description="of the larger magnitude")


async def runs_divergence(request: Request) -> Response:
    """
    Return the lowest step at which two runs differ, and where each of their series does.

    Values at a step that both have are compared, of several at a step the last; NaN equals NaN. What a later attempt
    replaced is left out.
    """
    question = await read_question(request, DivergenceQuestion, 400)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    tolerance = Tolerance(question.absolute, question.relative)
    found, left, ends = list[SeriesDivergence](), list[str](), time.monotonic() + MAX_S
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        await refuse_unknown(now, [question.a, question.b])
        known = await now.series_charts.runs([question.a, question.b])
        for run_id in (question.a, question.b):
            if known[run_id].points_dropped is not None:
                raise Failure(
                    410, f"retention dropped the points of run {run_id:.300}",
                    "compare its last values with `gateway runs compare` or POST /v1/runs/diff",
                )  # fmt: skip
        of_a, of_b = [
            {name for name in names if _fits(name, question)}
            for names in await now.comparison.series_names([question.a, question.b], system=question.names is not None)
        ]
        for name in sorted(of_a & of_b):
            if time.monotonic() > ends:
                left.append(name)
                continue
            found.append(await now.comparison.divergence(question.a, question.b, name, tolerance))
    parted = [(one.step, one) for one in found if one.step is not None]
    answer = Divergence(
        first=min(parted, key=lambda one: one[0])[1] if parted else None,
        series=found, compared=len(found), only_a=sorted(of_a - of_b), only_b=sorted(of_b - of_a), left=left,
        exact=not left, as_of=write_positions(folded),
    )  # fmt: skip
    return await long_response(answer, folded)


def _fits(name: str, question: DivergenceQuestion) -> bool:
    if question.names is not None and name not in question.names:
        return False
    words = question.match.words.lower().split()
    return name.startswith(question.match.prefix) and all(word in name.lower() for word in words)
