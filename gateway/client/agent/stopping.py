"""
End the agents of a journal home. Trainings that still run ship by themselves then, or start another one.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from time import monotonic, sleep

from gateway.client.agent.place import living_agents
from gateway.client.process.owner import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_S = 12.0
POLL_S = 0.02


def stop_agents(home: str, timeout_s: float = TIMEOUT_S) -> tuple[list[int], list[dict[str, Any]]]:
    """
    End this user's agents of a journal home. Return their process ids, and those that other containers or hosts have.

    One that has not ended after `timeout_s` seconds is killed, which loses nothing.
    """
    agents = living_agents(home)
    here = [state for state in agents if is_alive(state)]
    for number, end in ((signal.SIGTERM, monotonic() + timeout_s), (signal.SIGKILL, monotonic() + 2 * timeout_s)):
        for state in filter(is_alive, here):
            with suppress(ProcessLookupError):
                os.kill(int(state["pid"]), number)
        while any(map(is_alive, here)) and monotonic() < end:
            sleep(POLL_S)
    return [int(state["pid"]) for state in here], [state for state in agents if state not in here]
