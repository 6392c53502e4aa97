"""
Read and change the artifacts of a run: `gateway.artifacts.list(run_id)`, `download`, `open`, `log`, `delete`.

Standard library only, unless the bytes are in a store that fsspec reads. The query API lists artifacts; their bytes
come from the store that GATEWAY_ARTIFACTS names here, through the API, or from where their URI says, and are checked by
their SHA-256. A run is given by its id, or as the `Run` that this process has open: then `run.barrier()` comes first.

    ArtifactError (ClientError)   gateway/client/artifacts/store.py, its subclasses, and BadPath for hostile names
    ApiUnavailable, ApiRefused    gateway/client/query.py; an unknown run is refused
"""

from __future__ import annotations

import builtins
import os
from pathlib import Path

from gateway.client.artifacts.reading.landing import BadPath
from gateway.client.artifacts.reading.listing import Artifact
from gateway.client.artifacts.store import ArtifactError, ArtifactMissing, StoreUnavailable, WrongBytes
from gateway.client.query import ApiRefused, ApiUnavailable, find_api, get, run_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from gateway.client.query import Api
    from gateway.client.run.run import Run

    Progress = Callable[[Artifact, int], None]

__all__ = [
    "ApiRefused", "ApiUnavailable", "Artifact", "ArtifactError", "ArtifactMissing", "BadPath", "StoreUnavailable",
    "WrongBytes", "delete", "download", "list", "log", "open",
]  # fmt: skip

WAIT_S = 10.0  # the longest that a `Run` waits until its own artifacts are listed
SEND_S = 20.0  # ... and a change until the log has it
EVENTS_AT_ONCE = 1_000  # in one send
THREADS = 8  # that download small files at once: each costs a round trip
SHOWN = 5  # artifacts that an error names


def list(run: str | Run, path: str = "", *, recursive: bool = False, api: Api | None = None) -> builtins.list[Artifact]:
    """
    Return the artifacts in a folder of a run, files and folders, by path: `gateway.artifacts.list(run_id, "model")`.

    With `recursive` every file at or below a path, which may be that of a file. A path that is not there has none.
    """
    from gateway.client.artifacts.reading.listing import list_artifacts

    return [*list_artifacts(api or find_api(), _id_of(run), path, recursive=recursive)]


def download(
    run: str | Run,
    path: str = "",
    dst: str | os.PathLike[str] = ".",
    *,
    progress: Progress | None = None,
    api: Api | None = None,
    home: str = "",
) -> str:
    """
    Download a file or a folder of a run, or with "" all it has, to its path below the folder `dst`; return where it is.

    `download(run_id, "model/weights.pt", "/tmp")` writes /tmp/model/weights.pt. What is there with the right bytes is
    left, a download that was interrupted continues, and a file appears once its SHA-256 is right. No name in the log
    leads out of `dst`. `progress` gets the artifact and how many of its bytes are there, from several threads.

    Raises ArtifactError if anything cannot be downloaded, after the rest was; OSError if `dst` cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    from gateway.client.artifacts.reading.landing import land

    api, run_id, folder = api or find_api(home=home), _id_of(run), os.fspath(dst)
    found, sources = list(run_id, path, recursive=True, api=api), _sources(api, run_id, home)
    if not found:
        raise _missing(run_id, path)

    def land_one(one: Artifact) -> str | ArtifactError:
        def moved(count: int) -> None:
            if progress is not None:
                progress(one, count)

        try:
            return land(folder, one.path, one.sha256, one.size, lambda offset: sources.open(one, offset), moved)
        except ArtifactError as error:
            return error

    with ThreadPoolExecutor(min(THREADS, len(found))) as pool:
        try:
            landed = [*pool.map(land_one, found)]
        except BaseException:  # Ctrl-C, a full disk
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _raise_failed([one for one in landed if isinstance(one, ArtifactError)], len(found))
    return str(Path(folder, path)) if path else folder


def _raise_failed(failed: builtins.list[ArtifactError], asked: int) -> None:
    """Raise one error for those of `asked` downloads that failed, if any."""
    if failed and asked == 1:
        raise failed[0]
    if failed:
        more = f"; and {len(failed) - SHOWN:,} more" if len(failed) > SHOWN else ""
        shown = "; ".join(map(str, failed[:SHOWN])) + more
        raise ArtifactError(f"{len(failed):,} of {asked:,} artifacts are not downloaded: {shown}")


def open(run: str | Run, path: str, mode: str = "rb", *, api: Api | None = None) -> IO[Any]:
    """
    Return an artifact as a file to read, at its start: `with gateway.artifacts.open(run_id, "a.json", "r") as file:`.

    `mode` is "rb", or "r" for UTF-8. The artifact is downloaded to a file that has no name and goes when it is closed,
    and its SHA-256 is checked first. Raises ArtifactError.
    """
    import io
    from contextlib import ExitStack
    from hashlib import sha256
    from tempfile import TemporaryFile

    if mode not in ("r", "rb"):
        raise ArtifactError(f"mode {mode!r:.20} is not known: write 'rb' or 'r'; artifacts never change")
    api, run_id = api or find_api(), _id_of(run)
    below = list(run_id, path, recursive=True, api=api)
    found = [one for one in below if one.path == path]
    if not found and below:
        raise ArtifactError(f"{path!r:.200} of run {run_id!r:.200} is a folder: name a file, as {below[0].path!r:.300}")
    if not found:
        raise _missing(run_id, path)
    with ExitStack() as undo:
        file = undo.enter_context(TemporaryFile())
        digest = sha256()
        with _sources(api, run_id, "").open(found[0]) as source:
            while data := source.read(1_048_576):
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != found[0].sha256:
            raise WrongBytes(f"the store has other bytes for artifact {path!r:.200}: log it again")
        file.seek(0)
        undo.pop_all()
    return io.TextIOWrapper(file, encoding="utf-8") if mode == "r" else file


def log(
    run_id: str,
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    timeout_s: float = SEND_S,
    home: str = "",
) -> builtins.list[str]:
    """
    Log a file, or each file below a folder, as artifacts of a run that this process does not have open.

    `name` is the artifact, or the folder in the run; by default it is the file's own name, or the run itself. Returns
    the paths in the run once the store has the bytes and readers see the artifacts. `run.log_artifact` is for training.

    Raises ArtifactError, also without a store and for a deleted run, ApiRefused for an unknown run, ClientError where
    the log cannot be written, and OSError for a file that cannot be read.
    """
    from gateway.client.address import find_address
    from gateway.client.artifacts.address import find_store
    from gateway.client.run.logged.stored import store_and_describe

    environ = {**os.environ, **({"GATEWAY_HOME": home} if home else {})}
    address = find_store(environ, sends_to=find_address(environ=environ).url)
    if address is None:
        raise ArtifactError("no artifact store is set: set GATEWAY_ARTIFACTS, or start the stack with `gateway up`")
    # Refuses an unknown run before anything is stored.
    if get(find_api(environ), run_path(run_id, "progress"))["is_deleted"]:
        raise ArtifactError(f"run {run_id!r:.200} is deleted: log the artifact in another one")
    events = store_and_describe(address.open(), os.fspath(path), name)
    _write_in_parts(run_id, events, timeout_s, home)
    return [event["name"] for event in events]


def delete(
    run_id: str, path: str, *, timeout_s: float = SEND_S, api: Api | None = None, home: str = ""
) -> builtins.list[str]:
    """
    Delete an artifact of a run, or all in a folder, and return their paths once readers see it.

    Bytes in the store stay: runs share them. Raises ArtifactMissing if the run has none of this path, and ClientError
    where the log cannot be written.
    """
    found = [one.path for one in list(run_id, path, recursive=True, api=api or find_api(home=home))]
    if not found:
        raise _missing(run_id, path)
    events = [{"kind": "deleted", "what": "artifact", "name": one} for one in found]
    _write_in_parts(run_id, events, timeout_s, home)
    return found


def _write_in_parts(run_id: str, events: builtins.list[dict[str, Any]], timeout_s: float, home: str) -> None:
    from gateway.runs import write_events

    for first in range(0, len(events), EVENTS_AT_ONCE):
        write_events({run_id: events[first : first + EVENTS_AT_ONCE]}, timeout_s, home=home)


def _missing(run_id: str, path: str) -> ArtifactMissing:
    what = f"artifact {path!r:.200}" if path else "artifacts"
    return ArtifactMissing(f"run {run_id!r:.200} has no {what}: see what it has with `gateway artifacts list`")


def _sources(api: Api, run_id: str, home: str) -> Any:
    from gateway.client.artifacts.address import find_store
    from gateway.client.artifacts.reading.sources import Sources

    address = find_store(home=home)
    return Sources(api, run_id, address.open() if address is not None else None)


def _id_of(run: str | Run) -> str:
    """Return the id of a run, after the barrier of one that this process writes to."""
    if isinstance(run, str):
        return run
    run.barrier(WAIT_S)
    return run.id
