"""
Alerts: which rules fired, for which run and series, and since when.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.bounds import MAX_RUN_ID


class AlertDocument(BaseModel):
    """One firing of a rule."""

    alert_id: str
    rule_id: str = Field(description="id in the collection of rules; alarm/METRIC/N: the alarm that code gave a metric")
    version: int = Field(description="of the rule")
    name: str = Field(description="of the rule")
    severity: Literal["info", "warning", "critical"]
    state: Literal["firing", "resolved"]
    run_id: str
    series: str = Field(description="written name; empty: the run itself")
    fired: int = Field(description="µs since 1970-01-01 UTC: time of the point or event, or end of the silence")
    resolved: int | None = Field(description="µs; null: it fires now")
    step: int | None = Field(description="of the point; null: it was no point")
    value: float | str | None = Field(description="of the point; NaN, Infinity and -Infinity are text")
    message: str
    resolution: str = Field(description="why it was resolved")
    muted: bool = Field(description="it was stored and not sent")
    targets: list[str] = Field(description="that the rule names; empty: the default ones")


class AlertsPage(BaseModel):
    """One page of alerts, newest first."""

    alerts: list[AlertDocument]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,...]: the alerts process has evaluated everything below")


class RuleCheckQuestion(BaseModel):
    """A rule that is being written: as YAML, or as its fields."""

    model_config = ConfigDict(extra="forbid")

    yaml: str | None = Field(default=None, description="text of one rule, at most 16,384 characters")
    rule: dict[str, Any] | None = Field(default=None, description="id, name, description, enabled, and the body")

    @model_validator(mode="after")
    def _is_one(self) -> RuleCheckQuestion:
        if (self.yaml is None) == (self.rule is None):
            raise ValueError("write either yaml or rule")
        return self


class RuleProblem(BaseModel):
    """What is wrong with a rule."""

    field: str = Field(description="as in when.value; empty: the text as a whole")
    message: str
    line: int = Field(default=0, description="of the YAML, from 1; 0: not known")
    column: int = Field(default=0, description="of the YAML, from 1")
    position: int | None = Field(default=None, description="in the text of `where`, characters from 0")
    end: int | None = None


class RuleCheck(BaseModel):
    """Whether a rule can be evaluated, and both of its forms."""

    ok: bool
    rule: dict[str, Any] | None = Field(default=None, description="its fields; null: they cannot be read")
    yaml: str | None = Field(default=None, description="its text, without what it says by default")
    problems: list[RuleProblem] = []


RuleId = Annotated[str, Field(min_length=1, max_length=2 * MAX_RUN_ID)]


class MuteQuestion(BaseModel):
    """Whether firings of a rule are sent."""

    model_config = ConfigDict(extra="forbid")

    rule_id: RuleId
    run_id: Annotated[str, Field(max_length=2 * MAX_RUN_ID, description="empty: of every run")] = ""
    muted: bool = True
    seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="how long it is muted; null: until it is muted no more"
    )


class MuteDocument(BaseModel):
    """A rule whose firings are stored and not sent."""

    rule_id: str
    run_id: str = Field(description="empty: of every run")
    until: int | None = Field(description="µs since 1970-01-01 UTC; null: without end")


class MutesAnswer(BaseModel):
    """The mutes that are in force."""

    mutes: list[MuteDocument]
