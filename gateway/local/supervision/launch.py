"""
Become the program that a stack runs, so that it ends with its parent.

Run as a file by `gateway.local.supervision.process`, with nothing but the standard library:

    python -I -S launch.py PARENT_PID SIGNAL USER PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGNAL to this process when its parent dies, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG). A
program between fork and exec requests this safely where `preexec_fn` can deadlock a parent with threads. The order
matters: changing the user clears the request, so the user is changed first.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing takes longer to import than all of this file
if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Change the user, request the signal, execute the program."""
    parent, signal, user = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # Loaded before the change to a user who may not read our libraries.
    prctl = _load_prctl() if sys.platform == "linux" else None
    if user:
        _become(user)
    if prctl:
        prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            raise SystemExit(0)
    os.execv(sys.argv[4], sys.argv[4:])


def _load_prctl() -> Callable[..., int]:
    import ctypes

    return ctypes.CDLL(None).prctl


def _become(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
