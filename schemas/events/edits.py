"""
Events that delete or rename a run or a part of it.
"""

from __future__ import annotations

from typing import Literal

from schemas.events.base import Event, Name, Text


class Deleted(Event):
    """
    A run, or a named part of it, is gone for every reader; the log keeps the fact.

    Of a part, what the log has before it: what comes later under the name is new. A series goes in all its steps,
    attempts and labels, with its observations. A run is gone for good.
    """

    kind: Literal["deleted"] = "deleted"
    what: Literal["run", "series", "param", "tag", "label", "artifact"]
    name: Text = ""


class Renamed(Event):
    """
    A run, or a named part of it, has a new name.

    It concerns what the log has before it. Where the new name is taken, by a series of the same step, attempt and
    labels, a parameter of the run, or a tag, both stay as they are. What comes later under the old name is a part of
    its own; points that come later under the new name continue the renamed series. Observations go with their series.
    """

    kind: Literal["renamed"] = "renamed"
    what: Literal["run", "series", "param", "tag"]
    old: Text = ""
    new: Name
