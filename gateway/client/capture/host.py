"""
Describe where a run runs: its command line, its host, its Python and the installed packages.

Values that follow a flag with the name of a secret, and credentials inside URLs, are replaced by ***. Environment
variables are never read.
"""

from __future__ import annotations

import os
import re
import sys
from itertools import pairwise

from gateway.client.encoding.values import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MASK = "***"
MAX_ARGUMENTS = 1_000
MAX_ARGUMENT = 4_000  # characters
SECRETS = {
    "password", "passwd", "pwd", "passphrase", "pass", "token", "secret", "secrets", "credential", "credentials",
    "apikey", "accesskey", "secretkey", "privatekey", "auth", "authorization", "bearer",
}  # fmt: skip
KEYS = {"api", "access", "secret", "private", "account", "auth", "signing", "encryption"}  # … key
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# User and password in a URL. A password may hold @; behind a user and a colon that begins no port, also / ? and #.
# The bound keeps the time linear for a text of many URLs.
IN_URL = re.compile(r"(?<=://)(?:[^/?#\s]+@|[^/?#@:\[\]\s]*:(?!\d*(?:[/?#,\s]|$))\S{0,4096}@)")
_BETWEEN = re.compile(r"[=:,;&?(){}]")  # names and values within an argument: in a query, a header, JSON, code
_packages: dict[str, str] = {}  # of this process, after the first call


def describe_command(folder: str) -> dict[str, object]:
    """Return command line, script and working directory."""
    own = list(map(text_of, getattr(sys, "argv", None) or []))  # a program may put anything there
    given = list(map(text_of, getattr(sys, "orig_argv", None) or own))
    return {
        "command": mask_secrets(given[:MAX_ARGUMENTS]),
        "script": os.path.basename(own[0]) if own else "",
        "folder": folder,
    }


def mask_secrets(arguments: Sequence[str], *, longest: int = MAX_ARGUMENT) -> list[str]:
    """
    Return the arguments, cut to `longest` characters, with each secret X masked: --token X, --api-key=X,
    db.password=X, https://user:X@host.

    Within an argument too: https://host/?n=1&token=X, --set=db.password=X, {"password": "X"}, Authorization: X.
    """
    out: list[str] = []
    hides_next = False
    for whole in arguments:
        argument = whole[: 4 * longest]  # what is cut later is read, too: it may say what a part before it is
        name, equals, value = argument.partition("=")
        is_flag = name.startswith("-")
        if hides_next and not (is_flag and is_secret(name)):
            out.append(MASK)
            hides_next = False
            continue
        hides_next = is_flag and not equals and is_secret(name)
        if equals and is_secret(name):
            value = MASK
        out.append(_mask_inside(IN_URL.sub(f"{MASK}@", f"{name}{equals}{value}"))[:longest])
    return out


def _mask_inside(argument: str) -> str:
    """Return an argument with all that follows the first name of a secret in it masked."""
    start = 0
    for found in _BETWEEN.finditer(argument):
        if found[0] in "=:" and is_secret(argument[start : found.start()]):
            return argument[: found.end()] + MASK
        start = found.end()
    return argument


def is_secret(name: str) -> bool:
    """Return whether the name of a flag or setting is that of a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = list(pairwise(words))
    return bool(SECRETS & set(words)) or any(first in KEYS and then in ("key", "keys") for first, then in pairs)


def describe_host() -> dict[str, object]:
    """Return host, platform, Python and process."""
    import platform

    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "process": os.getpid(),
    }


def installed_packages() -> dict[str, str]:
    """Return the versions of the installed distributions, by name."""
    if not _packages:
        from importlib.metadata import distributions

        found: dict[str, str] = {}
        for one in distributions():
            try:
                name = one.name
                if name and name not in found:  # the first on sys.path is the one that is imported
                    found[name] = one.version
            except Exception:  # noqa: BLE001 -- damaged metadata, for example in another encoding: the others are kept
                continue
        _packages.update(sorted(found.items()))
    return dict(_packages)
