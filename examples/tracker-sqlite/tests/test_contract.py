"""The plug-in passes the contract suite of tracking-gateway."""

from __future__ import annotations

from pathlib import Path

from gateway_tracker_sqlite import SqliteTracker

from consumers.trackers.testing import Settings, Tracker, TrackerContract


class TestSqlite(TrackerContract):
    def make_tracker(self, folder: Path) -> Tracker:
        tracker = SqliteTracker(file=str(folder / "runs.sqlite"))
        tracker.open(Settings())
        return tracker
