"""
Mask values of secrets in a configuration: runnable keeps the configuration of all its services in the run log.

A value is one by its name (`secret_access_key`, `password`), by its place in a URL (https://user:X@host), or
behind a flag of a command (--token X).
"""

from __future__ import annotations

from typing import Any

from gateway.client.capture.host import IN_URL, MASK, is_secret, mask_secrets

MAX_COMMAND = 4_000  # characters; longer texts are no commands, and mask_secrets cuts them

_ABOUT_SERVICE = frozenset({"service_name", "service_type", "type", "location"})  # of the service that reads secrets


def mask_config(value: Any, *, hides: bool = False) -> Any:
    """Return a configuration with *** in place of each secret; structure, names and empty values stay."""
    if isinstance(value, dict):
        return {
            key: mask_config(one, hides=_is_hidden(str(key), one) or (hides and key not in _ABOUT_SERVICE))
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_config(one, hides=hides) for one in value]
    if hides and value not in ("", None) and not isinstance(value, bool):
        return MASK
    return _mask_text(value) if isinstance(value, str) else value


def _mask_text(text: str) -> str:
    """Return a text, perhaps a command of a shell task, without what a flag or a URL shows to be a secret."""
    text = IN_URL.sub(f"{MASK}@", text)
    return " ".join(mask_secrets(text.split(" "))) if len(text) <= MAX_COMMAND else text


def _is_hidden(name: str, value: Any) -> bool:
    """Return whether a value is secret by its name. A list of `secrets` has the names that a task asks for."""
    return is_secret(name) and not (name == "secrets" and isinstance(value, list))
