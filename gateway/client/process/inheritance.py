"""
What a run hands to the processes it starts, and what this process was handed: run id, attempt, address and rank.

`start_run` puts GATEWAY_RUN_ID, GATEWAY_ATTEMPT and, when it was given an address, GATEWAY_URL into the environment, so
that whatever is started from here (torchrun, srun, multiprocessing, subprocess) joins the run by itself. They are put
back to what they were when the run finishes, unless the program has changed them since.

The attempt is GATEWAY_ATTEMPT, else SLURM_RESTART_COUNT + 1, plus TORCHELASTIC_RESTART_COUNT.
"""

from __future__ import annotations

import os

from gateway.client.notices import warn_once

RUN_ID = "GATEWAY_RUN_ID"
ATTEMPT = "GATEWAY_ATTEMPT"
URL = "GATEWAY_URL"
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "LOCAL_RANK")  # the first that is there counts
MAX_RUN_ID = 256  # characters
MAX_ATTEMPT = 2**31 - 1

_given: list[tuple[str, dict[str, str]]] = []  # of the open runs that were started here, oldest first
_before: dict[str, str | None] = {}  # what stood in the environment before the first of them


def inherited_run() -> str | None:
    """Return the run that another process handed to this one."""
    run_id = os.environ.get(RUN_ID) or None
    return None if any(run_id == ours for ours, _ in _given) else run_id


def attempt(run_id: str, *, is_resumed: bool) -> int:
    """Return the attempt of a run in this process, as its launcher says; 2 for a resumed run of which nobody does."""
    restarts = _number("TORCHELASTIC_RESTART_COUNT") or 0
    # What stands beside the id of another run is the attempt of that one.
    first = _number(ATTEMPT) if (os.environ.get(RUN_ID) or run_id) == run_id else None
    if first is None:
        first = 1 + (_number("SLURM_RESTART_COUNT") or 0)
        if is_resumed and first + restarts < 2:
            first = 2
    return min(max(first + restarts, 1), MAX_ATTEMPT)


def rank() -> str | None:
    """Return the rank of this process among those of its job, as its launcher says."""
    for name in RANKS:
        number = _number(name)
        if number is not None:
            return str(number)
    return None


def give(run_id: str, number: int, url: str | None) -> None:
    """Hand a run to the processes started from now on."""
    # A child of a restarted torchrun worker adds the restarts again, so they are left out here.
    given = {RUN_ID: run_id, ATTEMPT: str(number - (_number("TORCHELASTIC_RESTART_COUNT") or 0))}
    if url is not None:
        given[URL] = url
    for name in given:
        _before.setdefault(name, os.environ.get(name))
    _given.append((run_id, given))
    _set(given)


def take_back(run_id: str) -> None:
    """Hand over the run before this one again, or leave the environment as it was found."""
    at = next((at for at in reversed(range(len(_given))) if _given[at][0] == run_id), None)
    if at is None:
        return
    mine = _given.pop(at)[1]
    rest = {name: value for _, given in _given for name, value in given.items()}
    for name, value in mine.items():
        if os.environ.get(name) == value:
            _set({name: rest.get(name, _before.get(name))})
    if not _given:
        _before.clear()


def after_fork() -> None:
    """Take what the parent gave for inherited. In the child only."""
    _given.clear()
    _before.clear()


def _set(values: dict[str, str] | dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
            continue
        try:
            os.environ[name] = value
        except (ValueError, UnicodeEncodeError):
            warn_once("environ", f"{name}={value!r:.80} cannot be put into the environment: children do not join")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text[:20])
    except ValueError:
        warn_once(name, f"{name}={text!r:.40} is not an integer: it is ignored")
        return None
