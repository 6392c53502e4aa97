"""
Find, load, open and close a tracker, whatever its code does: each step has a timeout, and every fault is one line.

A tracker is a class registered under its type in the entry-point group `gateway.trackers`: ours use the same group as
third-party ones. It is loaded only when requested, and created without arguments, or with the configuration of the
trackers file (config.py) as keyword arguments. trackers/protocol.py is the contract that a tracker keeps.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from consumers.delivery.plugins.config import TrackerDefinition, read_definitions
from consumers.delivery.plugins.validation import misfit
from consumers.delivery.plugins.watchdog import TrackerHangs, call_with_timeout, main_thread_timeout
from consumers.trackers.protocol import NOTHING, NothingTracker, Tracker, capabilities_of
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.settings import Settings

log = logging.getLogger("consumers.delivery")

GROUP = "gateway.trackers"  # entry-point group
OPEN_S = 10.0  # minimum timeout: an import may take this long even if calls are short
CLOSE_S = 3.0  # part of the time in which a process has to end


def load_tracker(name: str, settings: Settings | None = None) -> Tracker:
    """
    Return the tracker called `name`: by the trackers file of the settings, else the type registered as `name`.

    Raises BadSettings: for an unknown name with the names that exist, for a tracker that cannot be loaded with its
    entry point, its distribution and the cause, for a configuration that does not fit with what its type takes.
    """
    defined = read_definitions(settings.trackers_file) if settings and settings.trackers_file else {}
    definition = defined.get(name, TrackerDefinition(name, {}))
    if definition.type == NOTHING:
        nothing = NothingTracker()
        nothing.name = name
        return nothing
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    entry, known = found.get(definition.type), sorted({*found, NOTHING})
    if entry is None and name in defined:
        raise BadSettings(
            f"tracker {name!r} is of type {definition.type!r}, which is not installed: choose one of {', '.join(known)}"
        )
    if entry is None:
        raise BadSettings(
            f"there is no tracker {name!r}: choose one of {', '.join(sorted({*found, *defined, NOTHING}))}"
        )
    return _create(name, entry, definition.config)


def open_tracker(name: str, settings: Settings, call_s: float, process: str) -> Tracker:
    """
    Return the tracker called `name`, opened. Raises BadSettings when that is not possible.

    If that exceeds its timeout, the process logs so under the name `process` and ends: an import cannot be stopped
    otherwise.
    """
    log.info("loading tracker %s", name)  # the last line of a process that the import ends
    with main_thread_timeout(process, f"tracker {name}: its import or `open`", max(call_s, OPEN_S)):
        tracker = load_tracker(name, settings)
        try:
            tracker.open(settings)
        except TrackingError:
            raise
        except (Exception, SystemExit) as error:  # a plug-in's own code; nothing is read yet
            cause = f"{type(error).__name__}: {error}"
            raise BadSettings(
                f"tracker {name!r} cannot be opened ({cause:.500}): correct its settings, or the plug-in"
            ) from error
    return tracker


async def close_tracker(tracker: Tracker) -> None:
    """Close a tracker; an error is logged and has no other effect."""
    try:
        await call_with_timeout(tracker.close, CLOSE_S, f"close of tracker {tracker.name}")
    except TrackerHangs as error:
        log.warning("%s: ending without it", error)
    except Exception:  # a plug-in's own code; everything is delivered and recorded
        log.exception("close of tracker %s raised", tracker.name)


def _create(name: str, entry: EntryPoint, config: Mapping[str, Any]) -> Tracker:
    origin = f"entry point {entry.name} = {entry.value} of {entry.dist.name if entry.dist else 'an unknown package'}"
    try:
        factory = entry.load()
        _check_config(name, factory, config)
        tracker = factory(**config)
        fault = misfit(tracker)
        if not fault and getattr(tracker, "name", None) != name:
            tracker.name = name  # distinguishes two trackers of one type
        loaded: Tracker = tracker
        if not fault:
            capabilities_of(loaded)
    except BadSettings:
        raise
    except (Exception, SystemExit) as error:  # third-party code; no event is read before it is loaded
        cause = traceback.format_exception_only(error)[-1].strip()
        raise BadSettings(f"tracker {name!r} cannot be loaded ({origin}: {cause}): {_remedy(error)}") from error
    if fault:
        raise BadSettings(f"tracker {name!r} ({origin}) {fault}: see consumers/trackers/protocol.py")
    return loaded


def _remedy(error: BaseException) -> str:
    missing = error.name if isinstance(error, ImportError) else None
    if missing and missing.split(".")[0] in {"consumers", "schemas", "gateway"}:
        return "it was written for another release; import what it needs from consumers.trackers"
    return "install what it needs"


def _check_config(name: str, factory: Callable[..., object], config: Mapping[str, Any]) -> None:
    if not config:
        return
    signature = inspect.signature(factory)
    try:
        signature.bind(**config)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "nothing"
        raise BadSettings(f"tracker {name!r}: its config does not fit ({error}): this type takes {known}") from error
