"""
Events that describe a run: parameters, tags, labels, notes, artifacts, code, environment and what its metrics mean.
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


Goal = Literal["", "min", "max"]
Aggregate = Literal["", "last", "min", "max", "mean", "first", "none"]


class MetricDefined(Event):
    """
    What a metric means, or what those mean whose names fit a pattern. The last definition of a name counts.

    Which one counts for a series of several that fit is in schemas/metric_definitions.py.
    """

    kind: Literal["metric_defined"] = "metric_defined"
    name: Name  # written name of a series, see schemas/names.py, or a pattern in which * stands for any text
    goal: Goal = ""  # which values are better: low or high ones
    unit: IndexedText = ""  # of the values, for instance "s" or "%"
    panel: IndexedText = ""  # title of the chart that it belongs to
    x: IndexedText = ""  # written name of the series that is its x axis; empty: the step
    alarm: IndexedText = ""  # condition of an alert on its values, for instance "> 10 or nan"
    description: Text = ""
    hidden: Annotated[bool, Field(strict=True)] = False  # no chart, unless a person asks for it
    summary: Aggregate = ""  # the one number that stands for it; empty: the best by goal, else the last
