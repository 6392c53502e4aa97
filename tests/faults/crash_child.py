"""A child process that is killed before one of its own steps."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

Deadly = Callable[[Callable[..., Any]], Any]


def in_child(number: int, do: Callable[[], object], make_steps: Callable[[Deadly], None]) -> bool:
    """
    Do this in a child that is killed before its `number`-th step; return whether it was. 0: it may do all of it.

    `make_steps` wraps, in the child, every call that counts as a step.
    """
    child = os.fork()
    if not child:
        if number:
            make_steps(_before_step(number))
        do()
        os._exit(0)  # as abrupt as the rest
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the child failed at step {number}")
    return os.WIFSIGNALED(status)


def _before_step(number: int) -> Deadly:
    left = itertools.count(number, -1)

    def deadly(call: Callable[..., Any]) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            if next(left) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return counted

    return deadly
