"""
Endpoint `POST /v1/series/groups`: mean, median, deviation, extremes and confidence band of series over groups of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Request, Response
from pydantic import Field

from consumers.live.api.charts.charts import found_page
from consumers.live.api.charts.questions import (
    MAX_RUNS_ASKED,
    MAX_SERIES,
    Name,
    RangeQuestion,
    RunIds,
    refuse_scattered,
    refuse_unknown,
)
from consumers.live.api.connections import connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.api.errors import Failure
from consumers.live.api.responses import long_response
from consumers.live.api.run_documents import NEWEST, read_question
from consumers.live.api.tables.questions import RunsQuestion, understood
from consumers.live.api.tables.table import read_columns
from consumers.live.stream.positions import write_positions
from consumers.store.offsets import CONSUMER
from consumers.store.read.charts.found import FoundSeries, Match
from consumers.store.read.charts.groups import Statistics
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter_terms import Key
from consumers.store.search.filter_tree import read_orders
from consumers.store.tables.cells import MAX_CELL, ROWS_AT_ONCE
from schemas.api.series import GroupedSeries, GroupsOfRuns, RunGroup
from schemas.names import series_name

MAX_GROUPED_NAMES = 50
MAX_GROUP_BUCKETS = 2_000
MAX_CELLS = 200_000  # buckets of all series of all groups; each has nine numbers
SHOWN_RUNS = 100


class GroupsQuestion(RunsQuestion):
    """Which runs, how they are grouped, and which series are asked for."""

    runs: RunIds | None = Field(default=None, description="these runs; otherwise those that the filter finds")
    group_by: Any = Field(default=[], description='keys such as [["param", "lr"], ["tag", "team"]]; []: one group')
    names: Annotated[list[Name], Field(min_length=1, max_length=MAX_GROUPED_NAMES)]
    buckets: Annotated[int, Field(ge=1, le=MAX_GROUP_BUCKETS)] = 500
    range: RangeQuestion = RangeQuestion()


class _Group(NamedTuple):
    key: list[Any]
    runs: list[str]


async def series_groups(request: Request) -> Response:
    """
    Return statistics of series over groups of runs, by step; a run without a value of `group_by` has null there.

    See consumers/store/read/charts/groups.py for what the numbers mean.
    """
    question = await read_question(request, GroupsQuestion, 400)
    columns = understood("columns", read_columns, question.group_by)
    connections = connections_of(request)
    await until_folded(connections, question.min_offsets, question.timeout_s)
    async with connections.store().snapshot() as now:
        folded = await now.offsets(CONSUMER, connections.topic)
        run_ids = await _run_ids(now, question)
        groups = await _grouped(now, run_ids, columns)
        with refuse_scattered():
            made, is_exact = await _statistics(now, groups, question)
    answer = GroupsOfRuns.model_construct(as_of=write_positions(folded), groups=made, exact=is_exact)
    return await long_response(answer, folded)


async def _run_ids(now: Snapshot, question: GroupsQuestion) -> list[str]:
    if question.runs is not None:
        refuse_unknown(question.runs, await now.series_charts.runs(question.runs))
        return list(dict.fromkeys(question.runs))
    wanted = question.wanted(understood("order", read_orders, NEWEST))
    page = await now.documents.find(wanted, limit=MAX_RUNS_ASKED, page_token=None)
    if not page.is_last:
        raise Failure(400, f"where: more than {MAX_RUNS_ASKED:,} runs match", "narrow the filter, or name the runs")
    return [place.run_id for place in page.places]


async def _grouped(now: Snapshot, run_ids: Sequence[str], columns: Sequence[Key]) -> list[_Group]:
    """Return the groups, the largest first; of equal size that of the first run first."""
    groups: dict[bytes, _Group] = {}
    for first in range(0, len(run_ids), ROWS_AT_ONCE):
        some = run_ids[first : first + ROWS_AT_ONCE]
        cells, cut = await now.tables.cells(some, columns) if columns else ([], [])
        if cut:
            column, row = cut[0]
            what = f"group_by: {columns[column].name:.100} of run {some[row]!r:.300}"
            raise Failure(
                400, f"{what} has more than {MAX_CELL:,} characters",
                "such values are not compared: group by a part of it, such as params.net.layers, or by another key",
            )  # fmt: skip
        for place, run_id in enumerate(some):
            key = [column[place] for column in cells]
            groups.setdefault(orjson.dumps(key), _Group(key, [])).runs.append(run_id)
    return sorted(groups.values(), key=lambda group: -len(group.runs))


async def _statistics(now: Snapshot, groups: list[_Group], question: GroupsQuestion) -> tuple[list[RunGroup], bool]:
    run_ids = [run_id for group in groups for run_id in group.runs]
    runs = await now.series_charts.runs(run_ids)
    kept = [run_id for run_id in run_ids if runs[run_id].points_dropped is None]
    page = await found_page(now, kept, Match(question.names), MAX_SERIES, None)
    by_name: dict[str, dict[str, FoundSeries]] = {}
    for one in page.series:
        newest = one.rows[-1]
        written = series_name(newest["name"], newest["labels"], newest["step_name"])
        by_name.setdefault(written, {})[one.run_id] = one
    if not page.is_last or len(groups) * len(by_name) * question.buckets > MAX_CELLS:
        next_step = "ask for fewer names or buckets, or group by less"
        raise Failure(400, f"the answer has more than {MAX_CELLS:,} buckets, or {MAX_SERIES:,} series", next_step)
    made = [
        RunGroup(key=group.key, runs=len(group.runs), run_ids=group.runs[:SHOWN_RUNS], series=[]) for group in groups
    ]
    is_exact = len(kept) == len(run_ids)
    for name in question.names:
        having = by_name.get(name, {})
        wanted = [
            [(having[one].rows, question.range.window(runs[one])) for one in group.runs if one in having]
            for group in groups
        ]
        found, all_read = await now.series_charts.grouped(wanted, question.buckets)
        is_exact = is_exact and all_read
        for group, statistics in zip(made, found, strict=True):
            if statistics:
                group.series.append(_series(name, statistics))
    return made, is_exact


def _series(name: str, found: Sequence[tuple[int, Statistics]]) -> GroupedSeries:
    values = [one for _, one in found]
    return GroupedSeries.model_construct(
        series=name,
        steps=[step for step, _ in found],
        count=[one.runs for one in values],
        mean=[one.mean for one in values],
        median=[one.median for one in values],
        std=[one.std for one in values],
        stderr=[one.stderr for one in values],
        min=[one.min for one in values],
        max=[one.max for one in values],
        ci95_low=[one.ci95_low for one in values],
        ci95_high=[one.ci95_high for one in values],
    )
