"""
Exchange files of a run for edited ones, so that a process may die anywhere in between.

An edit writes new files beside the old ones, then the plan, by a rename: which file goes where, up to which envelope
all is in them, and the state that belongs to them. From then on the edit is done: whoever comes first moves the files,
and a call with an older state passes over the envelopes that are in them already. Before it, nothing has changed. A
state counts the edits before it (`edits`), which tells whether it is older than the plan, by however many calls. The
plan stays, some hundred bytes, until the next edit; a run that is delivered from its start has no state, and drops it.
A deleted run is the same: its plan moves nothing and removes its folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from consumers.trackers.files.append import remove_folder
from consumers.trackers.protocol import State
from schemas.errors import TrackerUnavailable
from schemas.mapping.names import folder_name
from schemas.wire import Envelope

FOLDER = "_edits"


class Edited(NamedTuple):
    """What an edit leaves."""

    state: State  # to go on with; it says `edits`
    moves: Mapping[Path, Path]  # what was written, and its place
    folders: Sequence[Path] = ()  # to be removed


class EditPlan:
    """The plan of the last edit of one run, in a folder beside those of the runs."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._folder = folder
        self._path = folder / FOLDER / f"{folder_name(run_id)}.json"

    def resume(self, state: State, envelopes: Sequence[Envelope]) -> tuple[State, Sequence[Envelope]]:
        """Finish an edit that was begun; return the state to go on from and the envelopes that are new to it."""
        plan = self._read()
        if plan is None:
            return state, envelopes
        if not state:
            self._drop()
        if not state or state.get("edits", 0) >= plan["state"]["edits"]:
            return state, envelopes
        self._carry_out(plan)
        for number, envelope in enumerate(envelopes, 1):
            if [envelope.producer, envelope.seq] == plan["through"]:
                return plan["state"], envelopes[number:]
        return state, ()

    def commit(self, edited: Edited, last: Envelope) -> State:
        """Put edited files in place, which hold all up to the envelope `last`. Raises TrackerUnavailable."""
        plan = {
            "through": [last.producer, last.seq],
            "state": dict(edited.state),
            "moves": [[str(one.relative_to(self._folder)) for one in move] for move in edited.moves.items()],
            "folders": [str(one.relative_to(self._folder)) for one in edited.folders],
        }
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(orjson.dumps(plan))
            beside.replace(self._path)
        except OSError as error:
            raise self._unavailable(error) from error
        self._carry_out(plan)
        return edited.state

    def _carry_out(self, plan: Mapping[str, Any]) -> None:
        try:
            for new, place in plan["moves"]:
                if (self._folder / new).exists():  # else it was moved before
                    (self._folder / new).replace(self._folder / place)
        except OSError as error:
            raise self._unavailable(error) from error
        for folder in plan["folders"]:
            remove_folder(self._folder / folder)

    def _read(self) -> Any:
        try:
            return orjson.loads(self._path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(error) from error

    def _drop(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> TrackerUnavailable:
        return TrackerUnavailable(f"{self._path} cannot be used ({error}): check the disk and its permissions")


def deleted(state: State, folders: Sequence[Path]) -> Edited:
    """Return the end of a run that is deleted."""
    return Edited({"deleted": True, "edits": state.get("edits", 0) + 1}, {}, folders)
