"""
Events that describe a run: parameters, tags, labels, notes, artifacts, code and environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import Count, Event, IndexedText, Name, Scoped, Text
from schemas.values import Typed


class Params(Scoped):
    """
    Inputs of an attempt, by name. Which of several values of a name counts is in schemas/params.py.

    With `once`, a name that this step and attempt has in the log already keeps its value (MLflow's parameters never
    change). Its writer reads which value counts; if it is another one, it writes that value again without `once`, so
    that readers who take the last value have it too.
    """

    kind: Literal["params"] = "params"
    params: Annotated[dict[Name, Typed], Field(min_length=1)]
    once: bool = False


class Tags(Event):
    """Words to find a run by. The last value of a key counts."""

    kind: Literal["tags"] = "tags"
    tags: Annotated[dict[Name, Text], Field(min_length=1)]


class RunLabels(Event):
    """JSON about a run that is not used for filtering (seed 003, `set_labels`). The last value of a key counts."""

    kind: Literal["labels"] = "labels"
    labels: Annotated[dict[Name, Typed], Field(min_length=1)]


class Note(Event):
    """A person's note about the run. The last one counts."""

    kind: Literal["note"] = "note"
    text: Text


class Artifact(Scoped):
    """A reference to bytes in an artifact store."""

    kind: Literal["artifact"] = "artifact"
    name: Name
    uri: Text
    size: Count | None = None  # bytes
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    media_type: Text = ""
    stage: Literal["put", "get"] = "put"


class CodeIdentity(Scoped):
    """The code that ran."""

    kind: Literal["code"] = "code"
    code_identifier: IndexedText
    code_identifier_type: Text = "git"
    code_identifier_dependable: bool = False  # nothing uncommitted
    code_identifier_url: Text = ""
    code_identifier_message: Text = ""
    diff_sha256: Text = ""


class Environment(Event):
    """The environment of the run: command line, host, Python, packages."""

    kind: Literal["environment"] = "environment"
    values: Annotated[dict[Name, Typed], Field(min_length=1)]
