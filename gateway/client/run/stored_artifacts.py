"""
Log files and folders as artifacts: their bytes go to the artifact store if one is set, else the run refers to them.

The reference is recorded at once, and again with the place in the store, size and digest when the bytes are there. So
the last record of a name is always true: what is not stored is where the user's file is.
"""

from __future__ import annotations

import os

from gateway.client.artifacts.address import find_store
from gateway.client.artifacts.paths import files_below, safe_path
from gateway.client.artifacts.snapshots import COPIED, COPY_BYTES
from gateway.client.artifacts.uploads import Uploads
from gateway.client.encoding.values import now
from gateway.client.errors import ClientError
from gateway.client.guards import Refused
from gateway.client.notices import warn_once
from gateway.client.run.artifacts import (
    LoggedArtifact,
    absolute_path,
    artifact_body,
    file_uri,
    guess_media_type,
    record_file,
    record_measured,
    record_reference,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Recorder


class ArtifactLog:
    """The artifacts of one run in this process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.uploads: Uploads | None = None  # None: no store is set
        recorder.prepare()
        try:
            found = find_store(sends_to="" if recorder.shipper is None else recorder.shipper.address.url)
        except ClientError as error:
            warn_once("artifact-store", f"{error}. Until then artifacts are references")
            return
        if found is not None:
            self.uploads = Uploads(recorder, found)

    def log_path(self, path: object, name: str, media_type: str, context: StepContext) -> LoggedArtifact:
        """Log a file under a name, or a folder: with a store, each of its files below that name."""
        absolute = absolute_path(path)
        if self.uploads is None:
            return record_file(self._recorder, path, name, media_type, context)
        if os.path.isdir(absolute):
            self.log_folder(absolute, name, context)
            return LoggedArtifact(name, file_uri(absolute), self.uploads.address.url)
        return self._upload(self.uploads, absolute, name, media_type, context, COPY_BYTES)[0]

    def log_folder(self, path: object, name: str, context: StepContext) -> list[LoggedArtifact]:
        """Log each file below a folder. Raises OSError if it cannot be read."""
        logged, budget = [], COPY_BYTES
        for file, relative in files_below(absolute_path(path)):
            path_in_run = safe_path(name, relative)
            if self.uploads is None:
                logged.append(record_file(self._recorder, file, path_in_run, "", context))
                continue
            one, copied = self._upload(self.uploads, file, path_in_run, "", context, budget)
            budget -= copied
            logged.append(one)
        if not logged:
            warn_once("artifact-empty", f"{path} holds no file: nothing is logged")
        return logged

    def _upload(
        self, uploads: Uploads, path: str, name: str, media_type: str, context: StepContext, budget: int
    ) -> tuple[LoggedArtifact, int]:
        """Record a reference, keep the bytes and upload them. Returns how many bytes were copied."""
        recorder, reference, time = self._recorder, object(), now()
        media_type, uri = media_type or guess_media_type(path), file_uri(path)
        body = artifact_body(name, uri, None, "", media_type)
        key = (body["name"], *context[:2])
        record_reference(recorder, time, context, body, reference=reference)
        logged = LoggedArtifact(body["name"], uri, uploads.address.url)
        try:
            upload = uploads.keep(path, self._facts(body, time, context), budget)
        except (OSError, Refused) as error:
            recorder.unmeasured.pop(key, None)
            kind = error.kind if isinstance(error, Refused) else "artifact"
            why = (
                str(error)
                if isinstance(error, Refused)
                else f"{path} cannot be read ({error}): its bytes are not stored"
            )
            warn_once(kind, why)
            return LoggedArtifact(body["name"], uri), 0

        def record_stored(stored_uri: str, size: int, digest: str) -> None:
            stored = artifact_body(name, stored_uri, size, digest, media_type)
            if record_measured(recorder, time, context, stored, reference):
                logged.uri, logged.is_stored = stored_uri, True

        upload.done = record_stored
        upload.is_wanted = lambda: recorder.unmeasured.get(key) is reference  # no newer one, and not deleted
        uploads.submit(upload)
        return logged, upload.size if upload.kind == COPIED else 0

    def _facts(self, body: dict[str, Any], time: int, context: StepContext) -> dict[str, Any]:
        """Return what another process needs to record the artifact when this one was killed."""
        recorder = self._recorder
        address = recorder.shipper.address if recorder.shipper is not None else None
        return {
            "event": {"time": time, "step_name": context[0], "attempt": context[1], **body},
            "address": address.url if address is not None else "",
            "topic": address.topic if address is not None else "",
            "journal": "/".join(recorder.journal.folder.split(os.sep)[-2:]),  # it has the reference
        }


def name_in_run(path: object, name: object, artifact_path: object) -> str:
    """Return the name of an artifact: `artifact_path`, a folder in the run, and `name`, by default the file's own."""
    return safe_path(artifact_path, os.path.basename(absolute_path(path)) if name is None else name)
