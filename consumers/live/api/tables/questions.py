"""
What questions about runs have in common: which runs, and how wrong ones are refused.

A question that cannot be understood is answered with 400, with its field, and with the position in a filter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from consumers.live.api.errors import Failure
from consumers.live.api.fold_progress import MAX_WAIT_S
from consumers.live.api.run_documents import MAX_EXPERIMENTS, RunId
from consumers.live.api.runs import place_of
from consumers.live.stream.positions import MAX_TEXT
from consumers.store.read.run_documents import RunsWanted
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All, Order
from consumers.store.search.filter_tokens import FilterError
from consumers.store.search.filter_tree import read_tree

P = TypeVar("P")
T = TypeVar("T")
EXAMPLES = {
    "where": "write for example metrics.loss < 0.3 and params.lr = 0.1; docs/query.md has the language",
    "filter": 'write for example {"key": ["metric", "loss"], "op": "<", "values": [0.3]}',
    "order": 'write for example [{"key": ["metric", "loss", "min"], "descending": false}]',
    "columns": 'write for example [["fact", "name"], ["param", "lr"], ["metric", "loss", "min"]]',
    "key": 'write for example ["param", "lr"]',
}


class Consistent(BaseModel):
    """How new an answer must be."""

    model_config = ConfigDict(extra="forbid")

    min_offsets: Annotated[str, Field(max_length=MAX_TEXT)] | None = Field(
        default=None, description="as_of of an earlier answer, or end: wait until that is folded"
    )
    timeout_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 10.0


class RunsQuestion(Consistent):
    """Which runs are asked about."""

    where: str = Field(default="", description="a filter, see docs/query.md")
    filter: Any = Field(default={}, description="the same as JSON, see consumers/store/search/filter_tree.py")
    experiment_ids: Annotated[list[RunId], Field(max_length=MAX_EXPERIMENTS)] | None = Field(
        default=None, description='runs of these experiments; "": those of no registered experiment'
    )
    stage: Literal["active", "deleted", "all"] = Field(
        default="active", description="a run of a deleted experiment is deleted, too"
    )

    def wanted(self, orders: tuple[Order, ...] = ()) -> RunsWanted:
        """Return the search. Raises Failure 400 for a filter that cannot be understood."""
        return RunsWanted(
            All((understood("where", parse_filter, self.where), understood("filter", read_tree, self.filter))),
            None if self.stage == "all" else self.stage,
            None if self.experiment_ids is None else tuple(self.experiment_ids),
            orders,
        )


def understood(field: str, parse: Callable[[P], T], given: P) -> T:
    """Return what a field of a question means. Raises Failure 400 for what `parse` refuses."""
    try:
        return parse(given)
    except FilterError as error:
        raise refused(field, error) from None


def refused(field: str, error: FilterError) -> Failure:
    """Return the failure of a question with a wrong filter: it has the position, from 0, and what may stand there."""
    return Failure(400, f"{field}: {error}", EXAMPLES[field], details=place_of(error))
