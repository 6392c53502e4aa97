"""
Remember which run ids, and which attempts of them, processes with this journal home have used.

    <journal home>/.run-ids/<run id>/<attempt>   the process that has it, and a line `ended` once that ended the run

Creating the file is what decides: of several processes one succeeds. Only ids that somebody chose are remembered; a
generated one cannot be used twice. A home that cannot be written knows nothing, and then an id is taken for new.
"""

from __future__ import annotations

import json
import os

from gateway.client.encoding.values import now
from gateway.client.journal.folder import USED_IDS, folder_name, journal_home, make_private
from gateway.client.process.inheritance import this_launch
from gateway.client.process.owner import is_gone, is_this_process, this_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TRIES = 100  # processes that claim attempts of one run at the same moment
ENDED = "ended"


class Use:
    """The newest attempt of a run that a process here has used."""

    __slots__ = ("_launch", "_owner", "attempt", "has_ended", "time")

    def __init__(self, attempt: int, owner: dict[str, Any], *, has_ended: bool) -> None:
        self.attempt = attempt
        self.has_ended = has_ended  # the process ended the run itself
        self.time = owner.pop("time", 0)  # µs, when it was claimed
        self._launch = owner.pop("launch", None)
        self._owner = owner

    @property
    def is_gone(self) -> bool:
        """Whether it is proved that the process died and left the run open."""
        return not self.has_ended and is_gone(self._owner)

    @property
    def is_ours(self) -> bool:
        """Whether this process has it."""
        return is_this_process(self._owner)

    @property
    def is_of_another_launch(self) -> bool:
        """Whether its process and this one are proved to be of two launches, for example of two jobs of SLURM."""
        theirs = self._launch if isinstance(self._launch, dict) else {}
        return any(theirs.get(name, value) != value for name, value in this_launch().items())

    @property
    def process(self) -> str:
        """The process, for messages."""
        return f"process {self._owner.get('pid', '?')} on {self._owner.get('host') or 'this machine'}"


def newest(run_id: str) -> Use | None:
    """Return the newest attempt of a run that is known here, None if there is none."""
    try:
        folder = _folder(run_id)
        attempts = [int(name) for name in os.listdir(folder) if name.isascii() and name.isdecimal()]
        if not attempts:
            return None
        with open(os.path.join(folder, str(max(attempts))), encoding="utf-8") as file:
            first, *rest = file.read().splitlines() or [""]
    except (OSError, UnicodeDecodeError):
        return None
    try:
        owner = json.loads(first)
    except ValueError:
        owner = {}  # its process is writing it at this moment, or the disk was full
    return Use(max(attempts), owner if isinstance(owner, dict) else {}, has_ended=ENDED in rest)


def add(run_id: str, attempt: int) -> bool:
    """Remember that this process has an attempt; False if another one was first."""
    try:
        folder = _folder(run_id)
        _make(folder)
        handle = os.open(os.path.join(folder, str(attempt)), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError:
        return True  # nothing can be remembered here, so nothing is known either
    try:
        os.write(handle, json.dumps({**this_process(), "time": now(), "launch": this_launch()}).encode() + b"\n")
    except OSError:
        return True
    finally:
        os.close(handle)
    return True


def claim(run_id: str, *, after_end: bool = False) -> Use | None:
    """
    Take the first attempt of a run, or the one after an attempt whose process died; return the use before this one.

    With `after_end` also the one after an attempt that another process ended. If the returned use is neither gone nor,
    with `after_end`, ended by another process, nothing was taken. None: the first attempt was taken.
    """
    for _ in range(TRIES):
        last = newest(run_id)
        if last is None:
            if add(run_id, 1):
                return None
        elif not (last.is_gone or (after_end and last.has_ended and not last.is_ours)) or add(run_id, last.attempt + 1):
            return last
    return last


def end(run_id: str, attempt: int) -> None:
    """Remember that this process ended the run, if the id is one that is remembered."""
    try:
        handle = os.open(os.path.join(_folder(run_id), str(attempt)), os.O_WRONLY | os.O_APPEND)
    except OSError:
        return
    try:
        os.write(handle, f"{ENDED}\n".encode())
    except OSError:
        return  # it then counts as used by a process that died
    finally:
        os.close(handle)


def _make(folder: str) -> None:
    try:
        make_private(folder)
    except FileExistsError:
        return  # the id was used before


def _folder(run_id: str) -> str:
    return os.path.join(journal_home(), USED_IDS, folder_name(run_id))
