"""
Which code runs: the git commit of a folder, whether anything differs from it, and a digest of the difference.

Asks `git` itself, with a deadline; without git, or outside a repository, there is no answer. Nothing of the
difference leaves the machine but its SHA-256. Files that git does not know are not part of it.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_S = 10.0  # of one question; a large work tree on a slow disk takes seconds
READ_BYTES = 1_048_576
# No pager, no colours, no program that a repository's settings name.
GIT = ("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "color.ui=false")
DIFF = (*GIT, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")


def identity(folder: str) -> dict[str, Any] | None:
    """Return the fields of a code event, or None where there is no commit."""
    commit = _ask(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    digest = _digest_of_difference(folder)
    return {
        "code_identifier": commit,
        "code_identifier_type": "git",
        "code_identifier_dependable": digest == "",
        "code_identifier_url": without_credentials(_ask(folder, "config", "--get", "remote.origin.url")),
        "code_identifier_message": _message(digest),
        "diff_sha256": digest or "",
    }


def without_credentials(url: str) -> str:
    """Return the address of a repository without user, password, token or query."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url  # git@host:path names a user that is no secret; a path names none
    rest = re.sub(r"[?#].*", "", rest)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _message(digest: str | None) -> str:
    if digest is None:
        return "what differs from the commit is not known: git did not answer in time"
    return "files differ from the commit: diff_sha256 is the digest of `git diff --binary HEAD`" if digest else ""


def _environ() -> dict[str, str]:
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _ask(folder: str, *question: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            [*GIT, *question],
            cwd=folder,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no git here, no such folder any more, or a disk that does not answer
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _digest_of_difference(folder: str) -> str | None:
    """Return the SHA-256 of the difference, an empty text when there is none, None when git cannot say."""
    import subprocess
    from hashlib import sha256
    from threading import Timer

    try:
        git = subprocess.Popen(
            DIFF,
            cwd=folder,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    timer = Timer(TIMEOUT_S, git.kill)
    timer.daemon = True
    timer.start()
    digest, size = sha256(), 0
    with git:
        assert git.stdout is not None
        while chunk := git.stdout.read(READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
        git.wait()
    timer.cancel()
    if git.returncode != 0:
        return None
    return digest.hexdigest() if size else ""
