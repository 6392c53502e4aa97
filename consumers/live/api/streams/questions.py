"""
What streams are asked for. A question that cannot be understood is answered with 400.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.live.api.charts.questions import MatchQuestion, Name, RunIds
from consumers.live.api.charts.questions import Names as NamesAsked
from consumers.live.api.errors import Failure
from consumers.live.api.run_documents import MAX_EXPERIMENTS, RunId
from consumers.live.api.tables.questions import EXAMPLES, RunsQuestion
from consumers.live.feeds.matching import Wanted
from consumers.live.feeds.topic_positions import parse_token
from consumers.live.stream.positions import MAX_TEXT
from consumers.store.read.run_documents import RunsWanted

MAX_TOKEN = 4 * MAX_TEXT
STEP = "docs/query.md describes streams; GET /v1/openapi.json has every parameter"
SINCE_STEP = "pass as_of of an answer, or the id of an event"


class RunsTopic(BaseModel):
    """Runs that have news, of a filter."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(default="", description="a filter, see docs/query.md")
    filter: Any = Field(default={}, description="the same as JSON, see consumers/store/search/filter_tree.py")
    experiment_ids: Annotated[list[RunId], Field(max_length=MAX_EXPERIMENTS)] | None = None
    stage: Literal["active", "deleted", "all"] = "active"

    def wanted(self) -> RunsWanted:
        """Return the search. Raises Failure 400 for a filter that cannot be understood."""
        return RunsQuestion(**self.model_dump()).wanted()


class SeriesTopic(BaseModel):
    """New points of series of some runs; of all conditions on names each must hold."""

    model_config = ConfigDict(extra="forbid")

    runs: RunIds
    names: NamesAsked | None = None
    match: MatchQuestion | None = None

    def wanted(self) -> Wanted:
        """Return the condition on written names."""
        return wanted_names(self.names, self.match)


class AlertsTopic(BaseModel):
    """Firings, when they begin and when they are resolved."""

    model_config = ConfigDict(extra="forbid")

    run_id: RunId | None = None
    rule_id: Name | None = None


class SavedTopic(BaseModel):
    """Views and rules of alerts that are saved or deleted."""

    model_config = ConfigDict(extra="forbid")

    collections: Annotated[list[Literal["views", "alert_rules"]], Field(min_length=1, max_length=2)] = [
        "views",
        "alert_rules",
    ]


class StreamQuestion(BaseModel):
    """The topics of a stream, at least one."""

    model_config = ConfigDict(extra="forbid")

    runs: RunsTopic | None = None
    series: SeriesTopic | None = None
    alerts: AlertsTopic | None = None
    saved: SavedTopic | None = None
    since: Annotated[str, Field(max_length=MAX_TOKEN)] | None = Field(
        default=None, description="as_of of an answer, or the id of an event; the header Last-Event-ID comes first"
    )


class Since:
    """Where a stream continues."""

    def __init__(self, text: str | None, parameter: str) -> None:
        """Read the text. Raises Failure 400."""
        self.offsets: dict[str, dict[int, int]] = {}
        self.alerts: int | None = None
        if text:
            try:
                self.offsets, self.alerts = parse_token(text)
            except ValueError as error:
                raise Failure(400, f"parameter {parameter}: {error}", SINCE_STEP) from None


def wanted_names(names: Sequence[str] | None, match: MatchQuestion | None) -> Wanted:
    """Return the condition that a question states."""
    match = match or MatchQuestion()
    listed = None if names is None else frozenset(names)
    return Wanted(listed, match.prefix, tuple((match.words or "").split()), match.regex)


def parsed_json(text: str | None) -> Any:
    """Return the value of the parameter `filter`, None without it. Raises Failure 400."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Failure(400, f"parameter filter: {error}", EXAMPLES["filter"]) from None


def question_of(fields: Mapping[str, Any]) -> StreamQuestion:
    """Return the question that the parameters of a GET state. Raises Failure 400."""
    try:
        return StreamQuestion.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "body"
        raise Failure(400, f"parameter {name}: {first['msg']}", STEP) from None
