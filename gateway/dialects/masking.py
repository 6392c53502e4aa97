"""
Mask values of secrets in a configuration: Magnus and runnable keep the configuration of all their services in the run
log.

A value is one by its name (`secret_access_key`, `password`), by its place in a URL (https://user:X@host), behind a flag
of a command (--token X) or behind the name of a secret in a text (API_TOKEN=X, Authorization: X). Pure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from gateway.client.capture.host import IN_URL, MASK, is_secret, mask_secrets

_ABOUT_SERVICE = frozenset({"service_name", "service_type", "type", "location"})  # of the service that reads secrets
_SCHEMES = frozenset({"bearer", "basic", "token"})  # the word before the secret in a header
# Words of a command: first with their quoted parts, then those within such a part. A line may continue behind a \.
_WORDS = (
    re.compile(r"""((?:"[^"]*"|'[^']*'|\\\S|\\\Z|[^\s\\])+)"""),
    re.compile(r"((?:\\\S|\\\Z|[^\s\\])+)"),
)


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
    """Return a text, perhaps a command of a shell task, without what a flag, a name or a URL shows to be a secret."""
    text = IN_URL.sub(f"{MASK}@", text)
    for pattern in _WORDS:
        parts = pattern.split(text)
        parts[1::2] = _mask_words(parts[1::2])
        text = "".join(parts)
    return text


def _mask_words(words: Sequence[str]) -> list[str]:
    masked = mask_secrets(words, longest=sys.maxsize)
    for place, before in enumerate(words[:-1]):
        if before.endswith(":") and masked[place].endswith(f":{MASK}"):  # password: X, or Authorization: Bearer X
            end = place + (3 if words[place + 1].lower() in _SCHEMES else 2)
            masked[place + 1 : end] = [MASK] * len(masked[place + 1 : end])
    return masked


def _is_hidden(name: str, value: Any) -> bool:
    """Return whether a value is secret by its name. A list of `secrets` has the names that a task asks for."""
    return is_secret(name) and not (name == "secrets" and isinstance(value, list))
