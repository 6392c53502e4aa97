"""
The jars of Apache Kafka, fetched once for all stacks of this user.

`kafka_jars.lock.json` names every jar of exactly one Kafka version with its sha256. The list is pinned instead
of resolved at each installation: resolving `kafka_2.13` together with a logging binding gave kafka-clients 3.9.1
under a 4.3.1 broker, which starts without complaint. jgo fetches what the list names.

A manifest in the cache records size and mtime of each jar when it was hashed. A start compares those; a jar that
differs is hashed again, and one that is missing or damaged is reported and fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from gateway.local.progress import Progress, Quiet
from schemas.errors import StackError

VERSION = "4.3.1"
DOWNLOADS_AT_ONCE = 6
ANSWER_TIMEOUT_S = 20
LOCK_FILE = Path(__file__).with_name("kafka_jars.lock.json")


class Jar(NamedTuple):
    """One pinned jar: Maven coordinate group:artifact:version, size in bytes, sha256 in hex."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """Name of its file in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def pinned_jars() -> list[Jar]:
    """Return every jar of the class path."""
    rows = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    return [Jar(row["jar"], row["size"], row["sha256"]) for row in rows]


def cache_folder() -> Path:
    """Return the folder of the jars: in the user's cache directory, shared by all homes."""
    try:
        if sys.platform == "darwin":
            base = Path("~/Library/Caches").expanduser()
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:  # neither HOME nor an entry in the password file
        raise StackError("the home folder of this user is not known: set HOME, or XDG_CACHE_HOME") from error
    return base / "tracking-gateway" / f"kafka-{VERSION}"


def damaged_jars(folder: Path, *, full: bool = False) -> list[Jar]:
    """
    Return the jars that are missing or whose bytes are not the pinned ones.

    Bytes are hashed only where size or mtime differ from the manifest, or for all with `full`.
    """
    known = {} if full else _read_manifest(folder)
    return [jar for jar in pinned_jars() if not _is_whole(folder / jar.file, jar, known)]


def ensure_jars(progress: Progress | None = None) -> list[Path]:
    """
    Return the class path, fetching what is missing or damaged.

    Raises StackError, naming the jar, when it cannot be fetched.
    """
    folder = cache_folder()
    progress = progress or Quiet()
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder):
        if bad := damaged_jars(folder):
            for jar in bad:
                if (folder / jar.file).exists():
                    progress.report(f"{folder / jar.file} is damaged: fetching it again")
            _fetch_all(bad, folder, progress)
        _write_manifest(folder)
    return [folder / jar.file for jar in pinned_jars()]


def _is_whole(path: Path, jar: Jar, known: dict[str, list[int]]) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != jar.size:
        return False
    return known.get(jar.file) == [stat.st_size, stat.st_mtime_ns] or _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> dict[str, list[int]]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        jars = manifest["jars"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # absent or unreadable: every jar is hashed
    return {name: row["seen"] for name, row in jars.items() if row["sha256"] in _pins()}


def _pins() -> set[str]:
    return {jar.sha256 for jar in pinned_jars()}


def _write_manifest(folder: Path) -> None:
    jars = {}
    for jar in pinned_jars():
        stat = (folder / jar.file).stat()
        jars[jar.file] = {"sha256": jar.sha256, "seen": [stat.st_size, stat.st_mtime_ns]}
    text = json.dumps({"kafka": VERSION, "jars": jars}, indent=1)
    path = folder / "manifest.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the cache's lock, so that two first starts share the download instead of racing."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_all(jars: list[Jar], folder: Path, progress: Progress) -> None:
    total = sum(jar.size for jar in jars)
    done = 0
    guard = Lock()

    def advance(count: int) -> None:
        nonlocal done
        with guard:
            done = min(total, done + count)
            progress.download(f"Apache Kafka {VERSION}", done, total)

    progress.download(f"Apache Kafka {VERSION}", 0, total)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):
        try:
            for _ in pool.map(lambda jar: _fetch(jar, folder, Path(scratch), advance), jars):
                pass
        except StackError:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(jar: Jar, folder: Path, scratch: Path, advance: Callable[[int], None]) -> None:
    """Put one jar into the cache: from the user's Maven repository where that has it, else from the network."""
    found = _local_copy(jar)
    if found:
        advance(jar.size)
    else:
        found = _download(jar, scratch, advance)
        if (got := _sha256(found)) != jar.sha256:
            raise StackError(
                f"{jar.file} as downloaded has sha256 {got[:16]}…, expected {jar.sha256[:16]}…: "
                "a proxy or mirror changes it; try another network or Maven mirror"
            )
    fresh = folder / (jar.file + ".new")
    shutil.copyfile(found, fresh)  # a copy, not a link: damage here must not reach the user's own repository
    fresh.replace(folder / jar.file)


def _local_copy(jar: Jar) -> Path | None:
    from jgo.config import GlobalSettings

    group, artifact, version = jar.coordinate.split(":")
    path = Path(GlobalSettings.load().repo_cache, *group.split("."), artifact, version, jar.file)
    try:
        whole = path.stat().st_size == jar.size and _sha256(path) == jar.sha256
    except OSError:
        return None
    return path if whole else None


def _download(jar: Jar, scratch: Path, advance: Callable[[int], None]) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def watch(_name: str, _total: int) -> Iterator[Callable[[int], None]]:
        yield advance

    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    context = MavenContext(
        resolver=PythonResolver(progress_callback=watch),
        repo_cache=scratch,
        remote_repos=repositories,
        timeout=ANSWER_TIMEOUT_S,
    )
    group, artifact, version = jar.coordinate.split(":")
    try:
        return Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo says RuntimeError for 404
        raise StackError(
            f"cannot download {jar.file} from {', '.join(repositories.values())} ({_short(error)}): "
            "connect to the network or set HTTPS_PROXY, or set GATEWAY_KAFKA to a broker that runs elsewhere"
        ) from error


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
