"""
GATEWAY_AGENT: whether a node agent ships the journals of this process.

    auto      an agent, started by the first process that needs it; without one this process ships by itself
    on        the same, and one line on stderr says why there is none
    require   an agent; without one events wait in the journal
    off       this process ships by itself
"""

from __future__ import annotations

import os

from gateway.client.notices import warn_once

VARIABLE, IDLE_VARIABLE = "GATEWAY_AGENT", "GATEWAY_AGENT_IDLE_S"
MODES = ("auto", "on", "off", "require")
DEFAULT = "auto"
IDLE_S = 60.0


def agent_mode() -> str:
    """Return the mode that the environment names."""
    named = os.environ.get(VARIABLE, "").strip().lower() or DEFAULT
    if named not in MODES:
        warn_once("agent-mode", f"{VARIABLE}={named!r:.40} is not known: write one of {', '.join(MODES)}")
        return DEFAULT
    return named


def idle_seconds() -> float:
    """Return after how many seconds without work an agent that this process starts ends."""
    named = os.environ.get(IDLE_VARIABLE, "").strip()
    try:
        return max(0.0, float(named)) if named else IDLE_S
    except ValueError:
        warn_once("agent-idle", f"{IDLE_VARIABLE}={named!r:.40} is no number: {IDLE_S:.0f} is used")
        return IDLE_S
