"""
Files and other bytes that a run refers to. The bytes stay where they are; the log gets uri, size and SHA-256.
"""

from __future__ import annotations

import os

from gateway.client.encoding.values import MAX_NAME, clean, clean_name, now, scalar, text_of
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Recorder

READ_BYTES = 1_048_576  # at once, so that a digest of a large file leaves room for other threads
MAX_FILES = 100_000  # of a folder whose size is added up


def reference(name: object, uri: object, size: object, sha256: object, media_type: object) -> dict[str, Any]:
    """Return the fields of an artifact event; what does not fit is left out, and said once."""
    digest = text_of(sha256).lower()
    if digest and (len(digest) != 64 or not set(digest) <= set("0123456789abcdef")):
        warn_once("sha256", f"sha256 {digest!r:.80} is not 64 hex digits: it is left out")
        digest = ""
    body: dict[str, Any] = {"name": clean_name(name), "uri": clean(text_of(uri)), "sha256": digest}
    number = scalar(size)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 2**62:
        body["size"] = number
    return {**body, "media_type": clean(text_of(media_type), MAX_NAME)}


def refer(recorder: Recorder, path: object, name: str | None, media_type: str, context: StepContext) -> None:
    """Record a file or folder as an artifact of `run`, where it is now; its digest is found beside training."""
    given = os.fspath(path)  # type: ignore[call-overload]  # TypeError is said by the caller
    place = os.path.abspath(os.fsdecode(given))
    label = os.path.basename(place) if name is None else name
    moment = now()

    def record() -> None:
        size, digest = measure(place)
        body = reference(label, uri_of(place), size, digest, media_type or media_type_of(place))
        recorder.record_at("artifact", moment, step_name=context[0], attempt=context[1], **body)

    recorder.background().submit(record)


def uri_of(place: str) -> str:
    """Return the file: URI of an absolute path (RFC 8089)."""
    from urllib.parse import quote

    path = place.replace(os.sep, "/")
    return "file://" + quote(os.fsencode(path if path.startswith("/") else "/" + path))


def media_type_of(place: str) -> str:
    """Return the media type that the name of a file suggests, or an empty text."""
    from mimetypes import guess_type

    return guess_type(place)[0] or ""


def measure(place: str) -> tuple[int | None, str]:
    """Return size in bytes and SHA-256 of a file; a folder has no digest, and what cannot be read has neither."""
    try:
        if os.path.isdir(place):
            return _size_of_folder(place), ""
        from hashlib import sha256

        digest, size = sha256(), 0
        with open(place, "rb") as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()
    except OSError as error:
        warn_once("artifact", f"{place} cannot be read ({error}): it is referred to without size and sha256")
        return None, ""


def _size_of_folder(place: str) -> int | None:
    total = count = 0
    for folder, _, files in os.walk(place):
        for name in files:
            count += 1
            if count > MAX_FILES:
                return None
            total += os.lstat(os.path.join(folder, name)).st_size
    return total
