"""
Alerts: which rules fired, for which run and series, and since when.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


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
