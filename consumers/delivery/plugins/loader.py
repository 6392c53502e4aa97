"""
Load, open and close a tracker, whatever its code does: each step has a bound, and every fault is one line.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from consumers.delivery.plugins.config import Definition, read_definitions
from consumers.delivery.plugins.validation import misfit
from consumers.delivery.plugins.watchdog import TrackerHangs, bounded, watched
from consumers.trackers.protocol import NOTHING, NothingTracker, Tracker, capabilities_of
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.settings import Settings

log = logging.getLogger("consumers.delivery")

GROUP = "gateway.trackers"  # entry-point group
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


def load_tracker(name: str, settings: Settings | None = None) -> Tracker:
    """
    Return the tracker called `name`: by the trackers file of the settings, else the type registered as `name`.

    Raises BadSettings: for an unknown name with the names there are, for a tracker that cannot be loaded with its entry
    point, its distribution and the cause, for a configuration that does not fit with what its type takes.
    """
    defined = read_definitions(settings.trackers_file) if settings and settings.trackers_file else {}
    wanted = defined.get(name, Definition(name, {}))
    if wanted.type == NOTHING:
        nothing = NothingTracker()
        nothing.name = name
        return nothing
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    entry, known = found.get(wanted.type), sorted({*found, NOTHING})
    if entry is None and name in defined:
        types = ", ".join(known)
        raise BadSettings(f"tracker {name!r} is of type {wanted.type!r}, which is not installed: choose one of {types}")
    if entry is None:
        raise BadSettings(
            f"there is no tracker {name!r}: choose one of {', '.join(sorted({*found, *defined, NOTHING}))}"
        )
    return _make(name, entry, wanted.config)


def _make(name: str, entry: EntryPoint, config: Mapping[str, Any]) -> Tracker:
    origin = f"entry point {entry.name} = {entry.value} of {entry.dist.name if entry.dist else 'an unknown package'}"
    try:
        made = entry.load()
        _refuse_misfit(name, made, config)
        tracker = made(**config)
        fault = misfit(tracker)
        if not fault and getattr(tracker, "name", None) != name:
            tracker.name = name  # two of one type are told apart by their names
        loaded: Tracker = tracker
        if not fault:
            capabilities_of(loaded)
    except BadSettings:
        raise
    except (Exception, SystemExit) as error:  # a stranger's code; no event is read before it is loaded
        cause = traceback.format_exception_only(error)[-1].strip()
        raise BadSettings(f"tracker {name!r} cannot be loaded ({origin}: {cause}): install what it needs") from error
    if fault:
        raise BadSettings(f"tracker {name!r} ({origin}) {fault}: see consumers/trackers/protocol.py")
    return loaded


def _refuse_misfit(name: str, made: Callable[..., object], config: Mapping[str, Any]) -> None:
    if not config:
        return
    signature = inspect.signature(made)
    try:
        signature.bind(**config)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "nothing"
        raise BadSettings(f"tracker {name!r}: its config does not fit ({error}): this type takes {known}") from error
