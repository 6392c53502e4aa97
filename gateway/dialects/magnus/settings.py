"""
How a value at a step other than 0 is written: by step under its key, or under a key of its own.
"""

from __future__ import annotations

import os

from gateway.client.notices import warn_once

VARIABLE = "GATEWAY_MAGNUS_STEPS"
NESTED, SUFFIX = "nested", "suffix"  # {"loss": {"0": 1.0, "1": 0.5}} (seed 001); {"loss": 1.0, "loss_1": 0.5} (002)


def has_suffixes(given: str | None = None) -> bool:
    """Return whether steps become suffixes of keys: by `given`, else by GATEWAY_MAGNUS_STEPS."""
    text = given or os.environ.get(VARIABLE) or NESTED
    if text not in (NESTED, SUFFIX):
        warn_once(VARIABLE, f"{VARIABLE}={text!r:.40} is neither {NESTED} nor {SUFFIX}: {NESTED} is used")
    return text == SUFFIX


def place(key: str, step: int, *, suffixes: bool) -> tuple[str, int]:
    """Return name and step under which a value is recorded. The suffix is that of seed 002: `key_{step}`."""
    return (f"{key}_{step}", 0) if suffixes and step != 0 else (key, step)
