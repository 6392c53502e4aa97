"""
Endpoint `POST /v1/runs/diff`: what 2 to 20 runs have, side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import RunId, read_question
from consumers.live.api.runs import unknown_run
from consumers.live.api.tables.questions import Consistent
from consumers.live.stream.positions import write_positions
from consumers.store.comparison.diff import Long, Part, compare
from consumers.store.offsets import CONSUMER
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter_terms import RUN_FACTS, Key
from schemas.api.comparison import DiffSection, RunsDiff

Section = Literal["facts", "params", "tags", "environment", "code", "metrics", "attempts", "artifacts"]
EVERY: tuple[Section, ...] = (
    "facts", "params", "tags", "environment", "code", "metrics", "attempts", "artifacts",
)  # fmt: skip
FACTS = [Key(kind, name) for kind, name in dict.fromkeys(RUN_FACTS.values()) if kind != "anywhere"]


class DiffQuestion(Consistent):
    """Which runs are compared."""

    runs: Annotated[list[RunId], Field(min_length=2, max_length=20)]
    changed_only: bool = Field(default=True, description="only what differs between any of them")
    sections: Annotated[list[Section], Field(max_length=8)] = Field(default=list(EVERY))


async def runs_diff(request: Request) -> Response:
    """
    Return what runs have, side by side: a row for each key, with a value a run.

    Parameters and the environment are compared by the paths inside their JSON. `cut` names sections of which only the
    first keys are in the answer.
    """
    question = await read_question(request, DiffQuestion, 400)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    sections, cut = list[DiffSection](), list[str]()
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        await refuse_unknown(now, question.runs)
        for name in dict.fromkeys(question.sections):
            parts = await _parts(now, name, question.runs)
            section, is_cut = await asyncio.to_thread(compare, name, parts, changed_only=question.changed_only)
            sections.append(section)
            cut += [name] if is_cut else []
    diff = RunsDiff.model_construct(run_ids=question.runs, sections=sections, cut=cut, as_of=write_positions(folded))
    return await long_response(diff, folded)


async def refuse_unknown(now: Snapshot, run_ids: Sequence[str]) -> None:
    """Raise Failure 404 for a run that does not exist."""
    found = await now.summaries(run_ids)
    for run_id in run_ids:
        if run_id not in found:
            raise unknown_run(run_id)


async def _parts(now: Snapshot, section: Section, run_ids: Sequence[str]) -> list[Part]:
    if section != "facts":
        return [await now.comparison.part(section, run_id) for run_id in run_ids]
    cells = await now.tables.cells(run_ids, FACTS)
    names = [key.name for key in FACTS]
    hashes = await now.comparison.fact_hashes(run_ids) if cells.cut else {}
    for column, row in cells.cut:
        cells.columns[column][row] = Long(cells.columns[column][row], hashes[run_ids[row]][names[column]])
    rows = zip(*cells.columns, strict=True)
    return [Part(dict(zip(names, row, strict=True)), dict(zip(names, names, strict=True)), None) for row in rows]
