"""
Events that delete or rename a run or a part of it.
"""

from __future__ import annotations

from typing import Literal

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
