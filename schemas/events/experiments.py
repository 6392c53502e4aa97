"""
Events about an experiment: requests whose outcome the fold decides, in the order of the log.

A name belongs to one experiment, also while it is deleted, so that it can be restored (seed 004). The first request
for a name in the log gets it; the fold records the outcome of every request (see consumers/store/registry).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import Event, IndexedText, Name, Text

TagChanges = Annotated[dict[Name, Text | None], Field(min_length=1)]  # None removes the tag


class ExperimentCreated(Event):
    """An experiment is created under an id that its producer chose."""

    kind: Literal["experiment_created"] = "experiment_created"
    name: Name
    description: Text = ""
    artifact_location: IndexedText = ""  # as it was given; runs store artifacts where GATEWAY_ARTIFACTS says
    tags: dict[Name, Text] = Field(default_factory=dict)


class ExperimentRenamed(Event):
    """An experiment gets another name, which no other may have."""

    kind: Literal["experiment_renamed"] = "experiment_renamed"
    name: Name


class ExperimentDescribed(Event):
    """A person describes an experiment. The last description counts."""

    kind: Literal["experiment_described"] = "experiment_described"
    description: Text


class ExperimentTags(Event):
    """Tags of an experiment are set, or removed. The last value of a key counts."""

    kind: Literal["experiment_tags"] = "experiment_tags"
    tags: TagChanges


class ExperimentDeleted(Event):
    """An experiment is deleted. It keeps its name, its runs and its id, and can be restored."""

    kind: Literal["experiment_deleted"] = "experiment_deleted"


class ExperimentRestored(Event):
    """A deleted experiment is active again."""

    kind: Literal["experiment_restored"] = "experiment_restored"
