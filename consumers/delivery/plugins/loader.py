"""
Load, open and close a tracker, whatever its code does: each step has a bound, and every fault is one line.
"""

from __future__ import annotations

import logging

from consumers.delivery.plugins.watchdog import TrackerHangs, bounded, watched
from consumers.trackers.protocol import Tracker, load_tracker
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.settings import Settings

log = logging.getLogger("consumers.delivery")

OPEN_S = 10.0  # an import may take so long however short calls are
CLOSE_S = 3.0  # part of what a process has to end in


def open_tracker(name: str, settings: Settings, call_s: float, process: str) -> Tracker:
    """
    Return the tracker called `name`, opened. Raises BadSettings when that cannot be.

    When it does not end, `process` says so and ends: nothing else can be done about an import.
    """
    log.info("loading tracker %s", name)  # the last words of a process that its import ends
    with watched(process, f"tracker {name}: its import or `open`", max(call_s, OPEN_S)):
        tracker = load_tracker(name, settings)
        try:
            tracker.open(settings)
        except TrackingError:
            raise
        except (Exception, SystemExit) as error:  # a plug-in's own code; nothing is read yet
            told = f"{type(error).__name__}: {error}"
            raise BadSettings(
                f"tracker {name!r} cannot be opened ({told:.500}): correct its settings, or the plug-in"
            ) from error
    return tracker


async def close_tracker(tracker: Tracker) -> None:
    """Close a tracker; what goes wrong is told and changes nothing."""
    try:
        await bounded(tracker.close, CLOSE_S, f"close of tracker {tracker.name}")
    except TrackerHangs as error:
        log.warning("%s: ending without it", error)
    except Exception:  # a plug-in's own code; everything is done
        log.exception("close of tracker %s raised", tracker.name)
