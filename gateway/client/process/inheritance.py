"""
Export a run to child processes through the environment, and read the run, attempt and rank this process inherited.

`start_run` sets GATEWAY_RUN_ID, GATEWAY_JOIN (to the same id), GATEWAY_ATTEMPT and, if it got an address, GATEWAY_URL
in the environment, so that processes started from here (torchrun, srun, multiprocessing, subprocess) join the run. When
the run finishes, the variables get their earlier values back, unless the program has changed them since.

GATEWAY_RUN_ID without GATEWAY_JOIN was set by a person or a batch script: no process above has started that run.

The attempt is GATEWAY_ATTEMPT, else SLURM_RESTART_COUNT + 1, plus TORCHELASTIC_RESTART_COUNT.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gateway.client.notices import warn_once

RUN_ID = "GATEWAY_RUN_ID"
JOIN = "GATEWAY_JOIN"
ATTEMPT = "GATEWAY_ATTEMPT"
URL = "GATEWAY_URL"
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "LOCAL_RANK")  # the first that is set counts
LAUNCHES = ("SLURM_JOB_ID", "PMIX_NAMESPACE", "MASTER_PORT")  # equal in all processes of one launch
MAX_RUN_ID, MAX_RUN_ID_BYTES = 256, 512  # characters; bytes in UTF-8
MAX_ATTEMPT = 2**31 - 1

# Variables of each open run that was started here, oldest first. Read from a copy: threads start and end runs at once.
_exported: list[tuple[str, dict[str, str]]] = []
_before: dict[str, str | None] = {}  # values of the variables before the first of them


def inherited_run() -> str | None:
    """Return the id of the run that this process inherited, or None."""
    run_id = os.environ.get(RUN_ID) or None
    return None if any(run_id == ours for ours, _ in _exported.copy()) else run_id


def is_started_elsewhere(run_id: str) -> bool:
    """Return whether the process above this one has started the run, and ends it."""
    return os.environ.get(JOIN) == run_id


def find_attempt(run_id: str, *, is_resumed: bool) -> int:
    """Return the attempt of a run in this process as its launcher states it; 2 for a resumed run without a launcher."""
    restarts = _number("TORCHELASTIC_RESTART_COUNT") or 0
    # GATEWAY_ATTEMPT next to the id of another run is the attempt of that one.
    first = _number(ATTEMPT) if (os.environ.get(RUN_ID) or run_id) == run_id else None
    if first is None:
        first = 1 + (_number("SLURM_RESTART_COUNT") or 0)
        if is_resumed and first + restarts < 2:
            first = 2
    return min(max(first + restarts, 1), MAX_ATTEMPT)


def find_rank() -> str | None:
    """Return the rank of this process in its job as its launcher states it, or None."""
    for name in RANKS:
        number = _number(name)
        if number is not None:
            return str(number)
    return None


def this_launch() -> dict[str, str]:
    """Return what tells the launch of this process from others, as far as its launcher states it."""
    # The components of a heterogeneous job of SLURM are one training and have different ids.
    is_part = "SLURM_HET_SIZE" in os.environ
    return {name: os.environ[name] for name in LAUNCHES[is_part:] if os.environ.get(name)}


def export(run_id: str, number: int, url: str | None) -> None:
    """Set the variables through which processes started from now on join a run."""
    # A child of a restarted torchrun worker adds the restarts again, so they are subtracted here.
    variables = {RUN_ID: run_id, JOIN: run_id, ATTEMPT: str(number - (_number("TORCHELASTIC_RESTART_COUNT") or 0))}
    if url is not None:
        variables[URL] = url
    for name in variables:
        _before.setdefault(name, os.environ.get(name))
    _exported.append((run_id, variables))
    _set(variables)


def withdraw(run_id: str) -> None:
    """Undo `export`: set the variables of the run before this one again, or restore the original environment."""
    mine = next((one for one in reversed(_exported.copy()) if one[0] == run_id), None)
    if mine is None:
        return
    with suppress(ValueError):  # a signal handler has removed it
        _exported.remove(mine)
    rest = {name: value for _, variables in _exported.copy() for name, value in variables.items()}
    for name, value in mine[1].items():
        if os.environ.get(name) == value:
            _set({name: rest.get(name, _before.get(name))})
    if not _exported:
        _before.clear()


def after_fork() -> None:
    """Treat the variables that the parent exported as inherited. In the child only."""
    _exported.clear()
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
