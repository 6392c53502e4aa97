"""
Views and rules of alerts: what people saved for all, with its versions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events.base import IndexedText, Name, Text
from schemas.events.saved import BasedOn, Body

AS_OF = "partition:offset[,partition:offset...]: everything below is in this answer"


class SavedItem(BaseModel):
    """One version of a view or of a rule, the newest unless another is asked for."""

    id: str
    name: str
    type: str = Field(default="", description="of a view: which page it is of")
    enabled: bool = Field(default=True, description="of a rule: whether it is evaluated")
    description: str
    body: dict[str, Any] | None = Field(default=None, description="null in a list without bodies")
    version: int
    newest_version: int
    author: str = Field(description="who saved this version; empty: not known")
    time: int = Field(description="µs since 1970-01-01 UTC, when this version was saved")
    created: int = Field(description="µs, of the first version")
    updated: int = Field(description="µs, of the newest version or of the deletion")
    state: Literal["active", "deleted"]


class ViewsPage(BaseModel):
    """One page of views, newest first."""

    views: list[SavedItem]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description=AS_OF)


class AlertRulesPage(BaseModel):
    """One page of rules, newest first."""

    alert_rules: list[SavedItem]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description=AS_OF)


class SavedVersion(BaseModel):
    """A version of a view or of a rule, without what it holds."""

    version: int
    name: str
    description: str
    enabled: bool
    author: str
    time: int = Field(description="µs since 1970-01-01 UTC")


class SavedVersionsPage(BaseModel):
    """One page of versions, newest first."""

    id: str
    versions: list[SavedVersion]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description=AS_OF)


class SaveQuestion(BaseModel):
    """What is to be saved under an id."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    body: Body = Field(description="JSON object of at most 256 KiB")
    description: Text = ""
    based_on: BasedOn | None = Field(
        default=None, description="version that you saw; 0: there was none; null: whatever is there"
    )


class ViewQuestion(SaveQuestion):
    """A view."""

    type: Annotated[IndexedText, Field(max_length=100)] = ""


class AlertRuleQuestion(SaveQuestion):
    """A rule."""

    enabled: bool = True


class SavedAnswer(BaseModel):
    """What became of a request about a view or a rule."""

    id: str
    version: int = Field(description="the newest")
    as_of: str = Field(description="pass it as min_offsets to read what was written")
