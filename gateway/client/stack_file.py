"""
Locate the data folder of a local stack, and read the addresses it serves.

The embedded stack writes `stack.json` into that folder; the client reads Kafka's address from it. Standard library
only: the client must not load a settings library, and both sides must agree on the folder.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STACK_FILE = "stack.json"


class NoHome(OSError):
    """There is neither HOME nor an entry of the user in the password file, as in a pod with a random user id."""


def default_home(environ: Mapping[str, str] | None = None) -> str:
    """
    Return the data folder of the default stack: GATEWAY_HOME, or the user's data directory (XDG on Linux).

    Raises NoHome.
    """
    env = os.environ if environ is None else environ
    if home := env.get("GATEWAY_HOME"):
        return expand(home)
    if sys.platform == "darwin":
        base = expand("~/Library/Application Support")
    elif sys.platform == "win32":
        base = env.get("LOCALAPPDATA") or expand("~")
    else:
        base = env.get("XDG_DATA_HOME") or expand("~/.local/share")
    return os.path.join(base, "tracking-gateway")


def expand(path: str) -> str:
    """Return a path with the user's home in place of `~`. Raises NoHome: never is a folder `~` made."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise NoHome(f"the home folder of this user is not known, so {path} is no folder")
    return expanded


def settings_of_stack(home: str, environ: Mapping[str, str]) -> dict[str, object]:
    """Return what the stack in `home` serves, or that in the default home; {} if there is no stack or no home."""
    try:
        return stack_settings(expand(home) if home else default_home(environ))
    except NoHome:
        return {}


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
