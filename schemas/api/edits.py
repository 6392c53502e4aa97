"""
What people change about a run through the API.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.bounds import check_depth
from schemas.events.base import Name, Text

MAX_CHANGES = 1_000  # tags or parameters in one request


class RunEdits(BaseModel):
    """What is to be changed; a field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    tags: Annotated[dict[Name, Text | None], Field(max_length=MAX_CHANGES)] = Field(
        default={}, description="tags to set; null removes one"
    )
    note: Text | None = Field(default=None, description="replaces the note")
    params: Annotated[dict[Name, Annotated[Any, AfterValidator(check_depth)]], Field(max_length=MAX_CHANGES)] = Field(
        default={}, description="parameters to set, of the newest attempt: JSON values"
    )
    name: Name | None = None
    stage: Literal["active", "deleted"] | None = Field(default=None, description="deleted: into the trash")


class RunEditsAnswer(BaseModel):
    """The log has what was asked for."""

    run_id: str
    request_id: str = Field(description="the Idempotency-Key, or the id that stands for it")
    as_of: str = Field(description="pass it as min_offsets to read what was written")
