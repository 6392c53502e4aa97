"""
Find runs in the history: by commit, or the last and the one before it. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.history.entry import BadHistory, Entry

LAST, PREVIOUS = "last", "previous"
Found = dict[str, Entry]  # by command


def runs_of(entries: Sequence[Entry], which: str) -> Found:
    """
    Return one run of each command: of a commit, or of its beginning; the `last` one, or the `previous` one before it.

    Of several runs of a commit, the last without uncommitted changes, or else the last. Raises BadHistory if none is
    found.
    """
    if not entries:
        raise BadHistory("the history is empty: measure with --keep first")
    runs = _by_command(entries)
    if which == LAST:
        return {command: of_it[-1] for command, of_it in runs.items()}
    if which == PREVIOUS:
        found = {command: of_it[-2] for command, of_it in runs.items() if len(of_it) > 1}
        if not found:
            raise BadHistory("no command was kept twice, so there is no previous run")
        return found
    commit = _commit(entries, which)
    of_commit = _by_command([entry for entry in entries if entry.commit == commit])
    return {command: _best(of_it) for command, of_it in of_commit.items()}


def baseline_of(entries: Sequence[Entry], new: Entry) -> Entry | None:
    """Return the last run of the same command on the same kind of machine, or else on any; None if there is none."""
    same = [entry for entry in entries if entry.command == new.command]
    here = [entry for entry in same if entry.machine == new.machine]
    found = here or same
    return found[-1] if found else None


def _by_command(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found = defaultdict[str, list[Entry]](list)
    for entry in entries:
        found[entry.command].append(entry)
    return found


def _best(entries: Sequence[Entry]) -> Entry:
    return ([entry for entry in entries if not entry.dirty] or entries)[-1]


def _commit(entries: Sequence[Entry], beginning: str) -> str:
    known = list(dict.fromkeys(entry.commit for entry in entries))
    found = [commit for commit in known if commit.startswith(beginning.lower())]
    if not beginning or not found:
        names = ", ".join(commit[:8] for commit in known)
        raise BadHistory(f"no run of {beginning!r} was kept: the history knows {names}, {LAST} and {PREVIOUS}")
    if len(found) > 1:
        raise BadHistory(f"{beginning} is not one commit but {', '.join(found)}: give more of it")
    return found[0]
