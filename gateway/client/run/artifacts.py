"""
Record references to files and other bytes. The bytes stay where they are; the log gets URI, size and SHA-256.

`stored_artifacts` has the files whose bytes are stored.
"""

from __future__ import annotations

import os

from gateway.client.encoding.values import MAX_NAME, clean, clean_name, now, scalar, text_of
from gateway.client.notices import warn_once
from gateway.client.recording.recorder import DIGESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Recorder

READ_BYTES = 1_048_576  # per read, so that hashing a large file leaves time for other threads
MAX_FILES = 100_000  # in a folder; the size of a larger folder is not added up


def artifact_body(name: object, uri: object, size: object, sha256: object, media_type: object) -> dict[str, Any]:
    """Return the fields of an artifact event. A bad size or digest is left out; the digest is reported."""
    digest = text_of(sha256).lower()
    if digest and (len(digest) != 64 or not set(digest) <= set("0123456789abcdef")):
        warn_once("sha256", f"sha256 {digest!r:.80} is not 64 hex digits: it is left out")
        digest = ""
    body: dict[str, Any] = {"name": clean_name(name), "uri": clean(text_of(uri)), "sha256": digest}
    number = scalar(size)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 2**62:
        body["size"] = number
    return {**body, "media_type": clean(text_of(media_type), MAX_NAME)}


def record_reference(
    recorder: Recorder, time: int, context: StepContext, body: dict[str, Any], *, reference: object = None
) -> None:
    """Record an artifact. With `reference` its size and digest will follow; those of an earlier one no longer do."""
    with recorder.measuring():
        recorder.unmeasured.pop((body["name"], *context[:2]), None)
        if reference is not None:
            recorder.unmeasured[body["name"], *context[:2]] = reference
        recorder.record_at("artifact", time, step_name=context[0], attempt=context[1], **body)


def record_measured(
    recorder: Recorder, time: int, context: StepContext, body: dict[str, Any], reference: object
) -> bool:
    """Record what followed a reference; False if the name got another one meanwhile, or was deleted."""
    with recorder.measuring():
        if recorder.unmeasured.get((body["name"], *context[:2])) is not reference:
            return False
        record_reference(recorder, time, context, body)
        return True


class LoggedArtifact:
    """What `log_artifact` did with a file: its bytes go to the artifact store, or the run refers to it."""

    __slots__ = ("is_stored", "name", "store", "uri")

    def __init__(self, name: str, uri: str, store: str = "") -> None:
        self.name = name  # in the run
        self.uri = uri  # of the file, and of its bytes in the store once they are there
        self.store = store  # address of the store; "": the bytes stay in place
        self.is_stored = False  # True once the store has the bytes

    def __repr__(self) -> str:
        how = (
            f"stored in {self.store}"
            if self.is_stored
            else f"on its way to {self.store}"
            if self.store
            else "reference"
        )
        return f"<artifact {self.name!r}: {how}>"


def record_file(recorder: Recorder, path: object, name: str, media_type: str, context: StepContext) -> LoggedArtifact:
    """
    Record a file or folder as an artifact at once; a background thread records it again with its size and digest.

    It does not where the name got another reference meanwhile, or was deleted.
    """
    absolute = absolute_path(path)
    uri, media_type = file_uri(absolute), media_type or guess_media_type(absolute)
    body, time, reference = artifact_body(name, uri, None, "", media_type), now(), object()
    key = (body["name"], *context[:2])
    record_reference(recorder, time, context, body, reference=reference)

    def measure_and_record() -> None:
        size, digest = measure(absolute)
        measured = artifact_body(name, uri, size, digest, media_type)
        if measured != body:
            record_measured(recorder, time, context, measured, reference)
            return
        with recorder.measuring():  # it cannot be read
            if recorder.unmeasured.get(key) is reference:
                recorder.unmeasured.pop(key, None)

    recorder.background(DIGESTS).submit(measure_and_record)
    return LoggedArtifact(body["name"], uri)


def absolute_path(path: object) -> str:
    """Return the absolute path of what a caller named. Raises TypeError if it is no path."""
    return os.path.abspath(os.fsdecode(os.fspath(path)))  # type: ignore[call-overload]  # the caller reports the TypeError


def file_uri(path: str) -> str:
    """Return the file: URI of an absolute path (RFC 8089)."""
    from urllib.parse import quote

    path = path.replace(os.sep, "/")
    return "file://" + quote(os.fsencode(path if path.startswith("/") else "/" + path))


def guess_media_type(path: str) -> str:
    """Return the media type that the name of a file suggests, or ""."""
    from mimetypes import guess_type

    return guess_type(path)[0] or ""


def measure(path: str) -> tuple[int | None, str]:
    """Return size in bytes and SHA-256 of a file. A folder has no digest; a path that cannot be read has neither."""
    try:
        if os.path.isdir(path):
            return _size_of_folder(path), ""
        from hashlib import sha256

        digest, size = sha256(), 0
        with open(path, "rb") as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()
    except OSError as error:
        warn_once("artifact", f"{path} cannot be read ({error}): it is referred to without size and sha256")
        return None, ""


def _size_of_folder(path: str) -> int | None:
    total = count = 0
    for folder, _, files in os.walk(path):
        for name in files:
            count += 1
            if count > MAX_FILES:
                return None
            total += os.lstat(os.path.join(folder, name)).st_size
    return total
