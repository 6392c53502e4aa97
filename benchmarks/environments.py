"""
A virtual environment for each tool, created when it is first needed and kept for the next time.

Tools need different versions of the same libraries and affect each other's start: installed together, none would be
measured as its users run it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.catalogue import Peer

INSTALL_TIMEOUT_S = 600
_DONE = "installed.txt"  # written last: an environment without it is created again


class Missing(Exception):
    """A peer or figure cannot be measured here; the message says why."""


def default_cache() -> Path:
    """Return the folder of the environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracking-gateway" / "benchmarks"


def python_of(peer: Peer, cache: Path) -> Path:
    """Return the Python of the tool's environment; installs the tool first if needed. Raises Missing."""
    if not peer.environment:
        return Path(sys.executable)
    folder = cache / f"{peer.environment}-py{sys.version_info.major}{sys.version_info.minor}"
    python, done, wanted = folder / "bin" / "python", folder / _DONE, "\n".join(peer.requirements)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"installing {' '.join(peer.requirements)}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    try:
        subprocess.run(
            ["nice", *pip, *peer.requirements], check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"not installed after {INSTALL_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        raise Missing(f"pip install failed: {(lines or ['no reason given'])[-1][:200]}") from error
    done.write_text(wanted, encoding="utf-8")
    return python
