"""
Upload the artifacts of one run while it trains.

`add` keeps the bytes (see `snapshots`), writes down what is to be uploaded (see `pending`) and returns; threads do the
rest: they read the digest, store the bytes unless the store has them, and tell the run. If the store is away they try
again, after pauses that grow, as long as the process lives.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from time import monotonic

from gateway.client.artifacts.pending import PendingFolder
from gateway.client.artifacts.snapshots import (
    COPIED,
    COPY_BYTES,
    IN_PLACE,
    LINKED,
    copy_budget,
    free_bytes,
    identity_of,
    link_budget,
    take_snapshot,
)
from gateway.client.artifacts.store import READ_BYTES, ArtifactError, StoreUnavailable, WrongBytes
from gateway.client.guards import Refused, safe_repr, warn_lost
from gateway.client.notices import warn, warn_once
from gateway.client.recording.background import THREAD_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.artifacts.address import StoreAddress
    from gateway.client.artifacts.store import Store
    from gateway.client.recording.recorder import Recorder

    Done = Callable[[str, int, str], None]  # uri, size in bytes, SHA-256
    IsWanted = Callable[[], bool]

MAX_WAITING = 100_000  # uploads; more are references only
MAX_COPIED = 1_073_741_824  # bytes of copies that wait; beyond it, files are linked
MAX_THREADS = 4  # for a store behind a network, where each small file costs a round trip; 1 for a folder
BACK_OFF_S = (1.0, 60.0)  # first and longest pause after a failure
ATTEMPTS = 3  # to upload a file that changes meanwhile


class Upload:
    """One file that is to be uploaded."""

    __slots__ = ("done", "identity", "is_wanted", "kind", "number", "path", "size", "source")

    def __init__(self, source: str, path: str, number: int, *, kind: str, identity: list[int]) -> None:
        self.source = source  # the user's file
        self.path = path  # where its bytes are read
        self.number = number  # in the pending folder; 0 if it is not written down
        self.kind = kind
        self.identity = identity
        self.size = identity[2]
        self.done: Done = lambda *_: None
        self.is_wanted: IsWanted = lambda: True


class Uploads:
    """What one run in this process has to upload."""

    def __init__(self, recorder: Recorder, address: StoreAddress) -> None:
        self.address = address
        self.last_error = ""
        self._recorder = recorder
        self._store: Store | None = None
        self._waiting: deque[Upload] = deque()
        self._open = 0  # uploads that wait or are under way
        self._held = {COPIED: 0, LINKED: 0, IN_PLACE: 0}  # bytes of files that wait
        self._waits = 0  # calls of `wait`
        self._failed_in = -1  # how many of them there were when the last attempt that failed began; -1: none fails
        self._changed = threading.Condition(threading.RLock())  # a signal handler may log an artifact
        self._hurry = threading.Event()  # do not pause any longer: `finish` waits
        self._folder: PendingFolder | None = None
        self._is_closing = False
        self._idle = 1 if address.url.startswith("file:") else MAX_THREADS  # threads that may be started

    # Called by training.

    def keep(self, source: str, facts: dict[str, Any], budget: int = COPY_BYTES) -> Upload:
        """
        Keep the bytes of a file and write down that they are to be uploaded; `submit` starts that.

        `facts` are what another process needs to record the artifact. At most `budget` bytes are copied. Raises OSError
        if the file cannot be read, and Refused if it is no regular file or too many uploads wait.
        """
        if self._open >= MAX_WAITING:
            raise Refused(
                "artifact-waiting", f"{MAX_WAITING:,} uploads wait already: the bytes of {source} are not stored"
            )
        folder = self._pending_folder()
        number, kept, free = 0, "", 0
        if folder is not None:
            number = folder.new_number()
            kept = folder.data_path(number)
            free = free_bytes(folder.path)
        room = copy_budget(free, min(budget, MAX_COPIED - self._held[COPIED]))
        found = take_snapshot(source, kept, room, link_budget(free, self._held[LINKED]))
        path = source if found.kind == IN_PLACE else kept
        upload = Upload(source, path, number, kind=found.kind, identity=found.identity)
        facts = {**facts, "source": source, "kind": found.kind, "identity": found.identity}
        with self._changed:  # the list of the folder is emptied when its last upload is done
            self._open += 1
            self._held[found.kind] += upload.size
            try:
                if folder is not None:
                    folder.write(number, facts)
            except OSError as error:
                _warn_unkept(error)
        return upload

    def submit(self, upload: Upload) -> None:
        """Upload it soon. Without a thread, when the process ends, the next process does."""
        with self._changed:
            self._waiting.append(upload)
            if not self._idle or sys.is_finalizing():
                return
            self._idle -= 1
        try:
            threading.Thread(target=self._work, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:  # no thread is left, or the interpreter is exiting
            with self._changed:
                self._idle += 1

    @property
    def waiting(self) -> int:
        """Number of uploads that are not done."""
        return self._open

    def wait(self, timeout_s: float) -> bool:
        """
        Wait until all uploads are done; False if `timeout_s` seconds were not enough, or the store is away.

        It is away if an attempt fails that began after this was called.
        """
        end = monotonic() + timeout_s
        with self._changed:
            self._waits += 1
            this = self._waits
            self._hurry.set()
            while self._open:
                left = end - monotonic()
                if left <= 0 or self._failed_in >= this:
                    return False
                self._changed.wait(min(left, BACK_OFF_S[0]))
        return True

    def warn_waiting(self) -> None:
        """Warn on stderr about the uploads that `finish` does not wait for any longer."""
        recorder, count = self._recorder, self._open
        names = ", ".join([name for name, _, _ in list(recorder.unmeasured)][:3])
        why = self.last_error if self._failed_in >= 0 else "there was not enough time"
        where = "in memory only" if self._folder is None else f"in {self._folder.path}"
        warn(
            f"run {recorder.run_id}: {count:,} artifacts ({names:.200}) are not stored yet ({why}) and wait {where}: "
            "`gateway sync` or the next process here stores them; GATEWAY_FINISH_TIMEOUT_S gives them more time"
        )

    def close(self) -> None:
        """Delete the folder of pending uploads as soon as nothing waits in it: the run is finished."""
        with self._changed:
            self._is_closing = True
            self._close_folder()

    # In the threads.

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._idle += 1
                    return
                upload = self._waiting.popleft()
            is_over = False
            try:
                self._upload(upload)
                is_over = True
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: this upload stays for the next process
                warn_lost("artifact-upload", f"{upload.source} could not be stored", error)
            finally:
                self._finish(upload, is_over=is_over)

    def _upload(self, upload: Upload) -> None:
        pause = BACK_OFF_S[0]
        while upload.is_wanted():
            began_in = self._waits
            try:
                if self._store is None:
                    self._store = self.address.open()
                uri, size, digest = store_file(self._store, upload.path)
            except ArtifactError as error:
                self._note_failure(error, began_in)
                self._hurry.wait(pause)
                self._hurry.clear()
                pause = min(2 * pause, BACK_OFF_S[1])
                continue
            except OSError as error:
                warn_once("artifact", f"{upload.source} cannot be read ({error}): its bytes are not stored")
                return
            self._failed_in = -1
            warn_changed(upload)
            upload.done(uri, size, digest)
            return

    def _note_failure(self, error: ArtifactError, began_in: int) -> None:
        self.last_error = str(error)
        warn_once("artifact-store", f"{error}. Bytes of artifacts wait until it takes them")
        with self._changed:
            self._failed_in = began_in
            self._changed.notify_all()

    def _finish(self, upload: Upload, *, is_over: bool) -> None:
        with self._changed:
            if is_over and self._folder is not None and upload.number:
                self._folder.remove(upload.number)
            self._open -= 1
            self._held[upload.kind] -= upload.size
            if self._is_closing:
                self._close_folder()
            self._changed.notify_all()

    def _pending_folder(self) -> PendingFolder | None:
        with self._changed:
            if self._folder is None:
                recorder = self._recorder
                facts = {"run_id": recorder.run_id, "attempt": recorder.attempt, "store": self.address.url}
                try:
                    self._folder = PendingFolder.create(facts)
                except OSError as error:
                    _warn_unkept(error)
            return self._folder

    def _close_folder(self) -> None:
        if not self._open and self._folder is not None:
            self._folder.close()
            self._folder = None


def store_file(store: Store, path: str) -> tuple[str, int, str]:
    """
    Store the bytes of a file and return their URI, size and SHA-256.

    Raises StoreUnavailable, also for a file that changes all the time, and OSError if the file cannot be read.
    """
    for _ in range(ATTEMPTS):
        size, digest = read_digest(path)
        try:
            store.put_file(path, digest)
        except WrongBytes:  # it was written to meanwhile, or the rest of an interrupted upload was damaged
            continue
        return store.uri(digest), size, digest
    raise StoreUnavailable(f"{path} changes while it is uploaded: write a new file, and rename it")


def read_digest(path: str) -> tuple[int, str]:
    """Return size and SHA-256 of a file. Raises OSError."""
    from hashlib import sha256

    digest, size = sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def warn_changed(upload: Upload) -> None:
    """Warn if a file that is not a copy is another one than when it was logged, or was written to since."""
    try:
        if upload.kind == COPIED or identity_of(os.stat(upload.path)) == upload.identity:
            return
    except OSError:  # it is gone, after its bytes were read
        return
    warn_once(
        "artifact-changed",
        f"{upload.source} was written to before its bytes were stored: they are stored as they were then; write a new "
        "file, and rename it, to keep each version",
    )


def _warn_unkept(error: Exception) -> None:
    warn_once(
        "artifact-home",
        f"uploads cannot be written down ({safe_repr(error, 200)}): those that are not done when this process ends are "
        "lost: set GATEWAY_JOURNAL_DIR to a folder that can be written",
    )
