"""
Events that people send about a run: deletes and renames of it or a part of it, its lifecycle stage, its experiment.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from schemas.events.base import Event, IndexedText, Name


class Deleted(Event):
    """
    A run, or a named part of it, is deleted for every reader; the log keeps the fact.

    For a part, this event deletes what the log holds before it; what comes later under the name is new. A series is
    deleted in all its steps, attempts and labels, with its observations. A run is deleted permanently.
    """

    kind: Literal["deleted"] = "deleted"
    what: Literal["run", "series", "param", "tag", "label", "artifact"]
    name: IndexedText = ""


class Renamed(Event):
    """
    A run, or a named part of it, has a new name.

    It applies to what the log holds before it. If the new name is taken, by a series of the same step, attempt and
    labels, by a parameter of the run, or by a tag, both stay unchanged. What comes later under the old name is a new
    part; points that come later under the new name continue the renamed series. Observations follow their series.
    """

    kind: Literal["renamed"] = "renamed"
    what: Literal["run", "series", "param", "tag"]
    old: IndexedText = ""
    new: Name


class LifecycleStage(Event):
    """
    A run goes into the trash, or comes back from it (seed 004, `run.info.lifecycle_stage`). The last one counts.

    Nothing else about the run changes: what is recorded into a deleted run is kept, and seen when it is restored.
    `Deleted(what="run")` is permanent.
    """

    kind: Literal["lifecycle_stage"] = "lifecycle_stage"
    stage: Literal["active", "deleted"]


class Moved(Event):
    """
    A run is put into another experiment, by its id, by its name as the run's tag (seed 001), or both.

    The last of these and of the run's starts that name an experiment counts. The id decides if there is one. Trackers
    know experiments by name only, so a producer that knows the name gives it as `tag`.
    """

    kind: Literal["moved"] = "moved"
    experiment_id: IndexedText = ""
    tag: IndexedText = ""  # "": the tag stays

    @model_validator(mode="after")
    def _names_one(self) -> Moved:
        if not self.experiment_id and not self.tag:
            raise ValueError("neither experiment_id nor tag says where the run is moved")
        return self
