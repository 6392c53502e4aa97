"""
Artifacts of runs.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class ArtifactEntry(BaseModel):
    """An artifact of a run, or a folder of artifacts."""

    path: str = Field(description='name of the artifact in the run; "/" separates folders')
    is_dir: bool
    size: int | None = Field(default=None, description="bytes; of a folder, of all files below it; null: not known")
    files: int = Field(default=1, description="files below a folder; 1 for a file")
    time: int = Field(description="µs, when it was logged; of a folder, its newest file")
    sha256: str = Field(default="", description='64 hex digits; "": not known, or a folder')
    media_type: str = ""
    uri: str = Field(default="", description="place of the bytes, as the producer recorded it; never trust it blindly")
    stored: bool = Field(default=False, description="the bytes are in an artifact store; false: a reference to a place")
    step_name: str = ""
    attempt: int = 1


class ArtifactsPage(BaseModel):
    """Artifacts of one run, by path."""

    run_id: str
    path: str
    artifacts: list[ArtifactEntry]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
