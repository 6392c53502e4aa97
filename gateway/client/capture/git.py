"""
Describe which code runs: the git commit of a folder, whether files differ from it, and a digest of the difference.

Runs `git` itself, with a deadline; without git, or outside of a repository, there is no description. Of the difference,
only its SHA-256 leaves the machine. Untracked files are not part of it.
"""

from __future__ import annotations

import os
import re

from gateway.client.capture.host import IN_URL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_S = 10.0  # of one git command; a large work tree on a slow disk takes seconds
READ_BYTES = 1_048_576
# No pager, no colours, and none of the programs that a repository's settings can name.
GIT = ("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "color.ui=false")
DIFF = (*GIT, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")


def describe_code(folder: str) -> dict[str, Any] | None:
    """Return the fields of a code event, or None if the folder has no commit."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    digest = _digest_of_difference(folder)
    return {
        "code_identifier": commit,
        "code_identifier_type": "git",
        "code_identifier_dependable": digest == "",
        "code_identifier_url": without_credentials(_git(folder, "config", "--get", "remote.origin.url")),
        "code_identifier_message": _message(digest),
        "diff_sha256": digest or "",
    }


def without_credentials(url: str) -> str:
    """Return the address of a repository without user, password, token or query."""
    scheme, separator, rest = IN_URL.sub("", url).partition("://")
    if not separator:
        return url  # the user of git@host:path is no secret; a path has none
    rest = re.sub(r"[?#].*", "", rest)
    return f"{scheme}://{rest}"


def _message(digest: str | None) -> str:
    if digest is None:
        return "whether files differ from the commit is unknown: git did not answer in time"
    return "files differ from the commit: diff_sha256 is the digest of `git diff --binary HEAD`" if digest else ""


def _environ() -> dict[str, str]:
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _git(folder: str, *arguments: str) -> str:
    """Return what a git command prints; "" if it fails."""
    import subprocess

    try:
        done = subprocess.run(
            [*GIT, *arguments],
            cwd=folder,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # git is not installed, the folder is gone, or the disk does not answer
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _digest_of_difference(folder: str) -> str | None:
    """Return the SHA-256 of the difference; "" if there is none, None if git fails or takes too long."""
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
