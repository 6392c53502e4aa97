"""
Who asks the query API.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LoginQuestion(BaseModel):
    """A token with which a browser begins a session."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=1_000)


class Me(BaseModel):
    """Who asks, and what they may do."""

    name: str = Field(description="of the token, or of the user that a proxy named; empty: someone at this machine")
    scopes: list[Literal["emit", "read", "write", "admin"]]
    experiments: list[str] | None = Field(description="names of the experiments that are seen; null: all")
    csrf: str = Field(description="to send as X-Gateway-CSRF with changes; empty: not needed")
