"""
Locate the data folder of a local stack, and read the addresses it serves.

The embedded stack writes `stack.json` into that folder; the client reads Kafka's address from it. Standard library
only: the client must not load a settings library, and both sides must agree on the folder.
"""

from __future__ import annotations

import json
import os
import sys

STACK_FILE = "stack.json"


def default_home(environ: dict[str, str] | None = None) -> str:
    """Return the data folder of the default stack: GATEWAY_HOME, or the user's data directory (XDG on Linux)."""
    env = os.environ if environ is None else environ
    if home := env.get("GATEWAY_HOME"):
        return os.path.expanduser(home)
    if sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Application Support")
    elif sys.platform == "win32":
        base = env.get("LOCALAPPDATA") or os.path.expanduser("~")
    else:
        base = env.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(base, "tracking-gateway")


def read_stack(home: str) -> dict[str, object]:
    """Return the contents of `stack.json` in `home`, or {} if there is no such file or it cannot be read."""
    try:
        with open(os.path.join(home, STACK_FILE), encoding="utf-8") as file:
            stack = json.load(file)
    except (OSError, ValueError):
        return {}
    return stack if isinstance(stack, dict) else {}


def stack_settings(home: str) -> dict[str, object]:
    """Return the addresses that the stack in `home` serves, as settings by name; {} if there is no stack."""
    settings = read_stack(home).get("settings")
    return settings if isinstance(settings, dict) else {}
