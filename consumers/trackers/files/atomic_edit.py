"""
Replace files of a run by edited ones, so that the process may die at any moment.

An edit first writes new files next to the old ones, then the plan, by a rename. The plan names the files and where
they go, the last event that they contain, and the state that belongs to them. From then on the edit is done: the next
call moves the files if necessary, and a call with an older state skips the events that they already contain. Before
that moment nothing has changed.

A state counts the edits before it (`edits`), which shows whether it is older than the plan, by any number of calls. The
plan stays, some hundred bytes, until the next edit; a run that is delivered from its start has no state, and discards
the plan. A deleted run works in the same way: its plan moves nothing and removes its folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from consumers.trackers.files.append import remove_folder
from consumers.trackers.files.durable import create_folder, replace_file, sync_file, sync_folder
from consumers.trackers.protocol import State
from schemas.errors import TrackerUnavailable
from schemas.mapping.names import folder_name
from schemas.wire import Envelope

FOLDER = "_edits"


class Edited(NamedTuple):
    """The result of an edit."""

    state: State  # to continue with; it has `edits`
    moves: Mapping[Path, Path]  # new files, and the paths they replace
    folders: Sequence[Path] = ()  # to be removed


class EditPlan:
    """The plan of the last edit of one run, in a folder next to those of the runs."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._folder = folder
        self._path = folder / FOLDER / f"{folder_name(run_id)}.json"

    def resume(self, state: State, envelopes: Sequence[Envelope]) -> tuple[State, Sequence[Envelope]]:
        """Finish an edit that was begun; return the state to continue from and the events that are new to it."""
        plan = self._read()
        if plan is None:
            return state, envelopes
        if not state:
            self._discard()
        if not state or state.get("edits", 0) >= plan["state"]["edits"]:
            return state, envelopes
        self._carry_out(plan)
        for number, envelope in enumerate(envelopes, 1):
            if [envelope.producer, envelope.seq] == plan["through"]:
                return plan["state"], envelopes[number:]
        return state, ()

    def commit(self, edited: Edited, last: Envelope) -> State:
        """Move edited files into place; they contain everything up to the event `last`. Raises TrackerUnavailable."""
        plan = {
            "through": [last.producer, last.seq],
            "state": dict(edited.state),
            "moves": [[str(one.relative_to(self._folder)) for one in move] for move in edited.moves.items()],
            "folders": [str(one.relative_to(self._folder)) for one in edited.folders],
        }
        new_path = self._path.with_suffix(".new")
        try:
            for new in edited.moves:  # the plan vouches for them
                sync_file(new)
                sync_folder(new.parent)
            create_folder(self._path.parent)
            new_path.write_bytes(orjson.dumps(plan))
            replace_file(new_path, self._path)
        except OSError as error:
            raise self._unavailable(error) from error
        self._carry_out(plan)
        return edited.state

    def _carry_out(self, plan: Mapping[str, Any]) -> None:
        try:
            for new, old in plan["moves"]:
                if (self._folder / new).exists():  # otherwise it has been moved before
                    replace_file(self._folder / new, self._folder / old)
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

    def _discard(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> TrackerUnavailable:
        return TrackerUnavailable(f"{self._path} cannot be used ({error}): check the disk and its permissions")


def deleted(state: State, folders: Sequence[Path]) -> Edited:
    """Return the result of deleting a run."""
    return Edited({"deleted": True, "edits": state.get("edits", 0) + 1}, {}, folders)
