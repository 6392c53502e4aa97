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
    Call `do` in a child that is killed before its `number`-th step; return whether it was killed. 0: never kill it.

    `make_steps` runs in the child and wraps every call that counts as a step.
    """
    child = os.fork()
    if not child:
        if number:
            make_steps(_before_step(number))
        do()
        os._exit(0)  # without cleanup, like the deaths
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
