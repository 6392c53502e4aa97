"""
The contract suite that every tracker passes, for the tests of a plug-in.

    from consumers.trackers.testing import Settings, Tracker, TrackerContract

`TrackerContract` (in `suite`) is the suite; `runs` has its edge-case runs, `checks` what delivers and compares them.
`RunAuthor`, `deliver` and `assert_read_back` help to write further tests. Needs pytest.
"""

from __future__ import annotations

from consumers.trackers.protocol import Tracker
from consumers.trackers.testing.checks import assert_read_back, deliver
from consumers.trackers.testing.runs import RunAuthor
from consumers.trackers.testing.suite import TrackerContract
from schemas.runtime.settings import Settings

__all__ = ["RunAuthor", "Settings", "Tracker", "TrackerContract", "assert_read_back", "deliver"]
