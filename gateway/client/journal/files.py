"""
What a journal that this process writes has on disk besides its segments: the folder, its lock and the shipping cursor.
"""

from __future__ import annotations

import os
from errno import ENOENT
from functools import partial
from threading import RLock

from gateway.client.encoding.values import dumps
from gateway.client.ids import uuid7
from gateway.client.journal.cursor import CLOSED, ENDED, ShippingCursor
from gateway.client.journal.folder import JournalLock, build_meta, create_folder, delete_folder
from gateway.client.journal.grants import create_grant, revoke_grants
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from gateway.client.journal.cursor import BatchBoundary
    from gateway.client.journal.readable import JournalPosition
    from gateway.client.journal.segment import Segment


class JournalFiles:
    """The folder, lock and cursor of a journal. They are created by `create_files`, or in memory by `create_cursor`."""

    __slots__ = (
        "_cursor_lock", "_folder_lock", "_given", "_meta", "cursor", "folder", "grant", "producer", "refused", "run_id",
    )  # fmt: skip

    def __init__(self, run_id: str, *, is_owner: bool, attempt: int) -> None:
        self.run_id = run_id
        self.producer = uuid7()
        self.folder = ""  # "": in memory, or nothing written yet
        self.cursor: ShippingCursor | None = None
        self.refused = 0  # points and values
        self.grant = ""  # path by which a node agent may cut this journal; "": this process does
        self._folder_lock: JournalLock | None = None
        self._cursor_lock = RLock()  # of the cursor's state
        self._given: dict[str, Any] = {"is_owner": is_owner, "attempt": attempt, "address": "", "topic": ""}
        self._meta: dict[str, Any] = {}

    def set_destination(self, address: str, topic: str) -> None:
        """Remember where the events are to go, for a process that ships the journal when this one is gone."""
        self._given.update(address=address, topic=topic)

    def build_header(self) -> bytes:
        """Return the header of each segment, which repeats meta.json."""
        self._meta = build_meta(self.run_id, self.producer, **self._given)
        return dumps(self._meta).encode()

    def create_files(self, home: str) -> None:
        """Create the folder, its lock and the cursor. Raises OSError; call `remove` then."""
        self.folder, self._folder_lock = create_folder(home, self._meta)
        self.create_cursor()

    def create_cursor(self) -> None:
        """Create the cursor. Raises OSError, but not in memory."""
        self.cursor = ShippingCursor.create(self.folder, 0, self.producer)
        self.cursor.refused = self.refused
        self.cursor.publish()

    def restore_files(self) -> None:
        """Create the folder again, with its lock and the cursor, after it was deleted. Raises OSError."""
        folder, cursor = self.folder, self.cursor
        assert cursor is not None
        if os.path.isdir(folder):
            raise OSError(ENOENT, "a file was deleted", folder)
        try:
            self.close()
            _, self._folder_lock = create_folder(os.path.dirname(os.path.dirname(folder)), self._meta)
            with self._cursor_lock:
                self.grant = ""
                cursor.move_to(folder)
        except OSError as error:
            raise OSError(
                error.errno, f"it was deleted and cannot be created again ({error.strerror})", folder
            ) from error
        warn_once(
            "journal-deleted",
            f"run {self.run_id}: {folder} was deleted while training runs: it is created again; what was waiting there "
            "is in memory until it is sent: name a folder that no program cleans in GATEWAY_JOURNAL_DIR",
        )

    @property
    def dropped(self) -> int:
        """Points and values that the log will never have."""
        return self.refused if self.cursor is None else self.refused + self.cursor.lost

    def count_refused(self, count: int) -> None:
        """Count points or values that are not in the journal."""
        with self._cursor_lock:
            self.refused += count
            if self.cursor is not None:
                self.cursor.refused = self.refused
                self.cursor.save_owner()

    def count_lost(self, count: int) -> None:
        """Count points or values in the journal that will never be sent."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.lost += count
            self.cursor.save()

    def record_cut(self, boundary: BatchBoundary, points: int, *, is_last: bool = False) -> None:
        """Write down a cut, and the number of metric points up to its end. `is_last`: it has the producer's end."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.append(boundary, points, is_last=is_last)

    def record_acknowledged(self, seq: int, cuts: int, points: int, values: int) -> None:
        """Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.acknowledge(seq, cuts, points, values)

    def pass_over(self, position: JournalPosition) -> None:
        """Write down that nothing has to be cut before this position."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.pass_over(position)

    def hand_over(self, agent: str) -> None:
        """Let the node agent of this id cut and send the journal. Nothing else may be sending it. Raises OSError."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.reserve()
            self.grant = create_grant(self.folder, agent)

    def take_back(self) -> None:
        """Have no agent cut the journal from now on. Raises OSError; call it again then."""
        assert self.cursor is not None
        with self._cursor_lock:
            if not self.grant:
                return
            try:
                revoke_grants(self.folder, partial(self.cursor.move_to, self.folder))
            except FileNotFoundError:  # the folder was deleted, and the grant with it
                self.cursor.move_to_memory()
            self.grant = ""

    def read_cursor(self) -> bool:
        """Read how far the agent is that has the journal; False when none has it, or the state is damaged."""
        with self._cursor_lock:
            return bool(self.grant) and self.cursor is not None and self.cursor.refresh()

    def write_tail(self, position: JournalPosition) -> None:
        """Tell the agent that everything before this position is written."""
        with self._cursor_lock:
            if self.cursor is not None and self.cursor.tail != position:
                self.cursor.tail = position
                self.cursor.save_owner()

    @property
    def reached(self) -> JournalPosition:
        """The position before which everything is acknowledged, as far as is known here."""
        return (0, 0) if self.cursor is None else self.cursor.reached

    def is_acknowledged_to(self, position: JournalPosition) -> bool:
        """Return whether the log has everything up to this position, the end of the journal."""
        cursor = self.cursor
        return cursor is not None and cursor.acknowledged == cursor.cuts and cursor.end == position

    def record_end(self, *, is_closed: bool) -> None:
        """Write down that the journal holds the end of the run, or of the producer if `is_closed`."""
        assert self.cursor is not None
        with self._cursor_lock:
            self.cursor.flags |= CLOSED if is_closed else ENDED
            self.cursor.save_owner()

    def remove(self) -> None:
        """Delete the journal and release its lock. All of it is acknowledged, or it could not be started."""
        folder, self.folder = self.folder, ""
        if folder:
            delete_folder(folder)
        self.close()

    def release(self, segments: Iterable[Segment]) -> None:
        """Close the files of a journal that was deleted, with these segments: nothing is written there any more."""
        if self.folder:
            return  # its end is not acknowledged yet
        for segment in segments:
            segment.release()
        if self.cursor is not None:
            self.cursor.release()

    @property
    def may_close(self) -> bool:
        """Whether the end of the producer is written, to files: another process could send all of it."""
        is_ended = self.cursor is not None and bool(self.cursor.flags & CLOSED)
        return is_ended and bool(self.folder)

    def start_again(self) -> None:
        """Delete the folder, in which nothing is written yet: the next record makes another one."""
        self.remove()
        self.producer = uuid7()

    def close(self) -> None:
        """Release the lock of the folder: other processes may ship what is left."""
        if self._folder_lock is not None:
            self._folder_lock.release()
