"""
Upload what processes that ended have left: `gateway sync` does, and the next process of the same home.

An artifact is recorded by a producer of its own, whose id follows from the upload and the digest. So an upload that is
repeated because this process was killed too gives the same records, and counts once. It waits until the journal of the
process is sent: that has the reference, and the last record of a name counts.
"""

from __future__ import annotations

import os
import stat
from uuid import NAMESPACE_URL, uuid5

from gateway.client.artifacts.address import StoreAddress, find_store
from gateway.client.artifacts.pending import PendingFolder, find_pending
from gateway.client.artifacts.snapshots import IN_PLACE
from gateway.client.artifacts.uploads import Upload, store_file, warn_changed
from gateway.client.encoding.wire import encode, source_of
from gateway.client.errors import ClientError, Unsent
from gateway.client.shipping.immediate import send_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.address import Address
    from gateway.client.artifacts.store import Store
    from gateway.client.encoding.wire import Record

GROUP = 200  # uploads whose records are sent together: each time opens a connection
SEND_TIMEOUT_S = 30.0
NOT_SENT = "the journal of its process is not sent yet"


class UploadedOrphans:
    """What became of the uploads of processes that ended."""

    def __init__(self) -> None:
        self.stored = 0  # artifacts that the log and the store have now
        self.lost: list[str] = []  # artifacts whose bytes are gone; they stay references
        self.held: list[str] = []  # folders whose process is alive
        self.waiting: list[str] = []  # folders that still hold uploads, with the reason

    def to_json(self) -> dict[str, object]:
        """Return the result as a JSON object."""
        return {
            "artifacts": self.stored,
            "artifacts_lost": self.lost,
            "artifacts_held": self.held,
            "artifacts_waiting": self.waiting,
        }


class OrphanedUploads:
    """The folders of pending uploads in one journal home, and where their artifacts go."""

    def __init__(
        self,
        home: str,
        address: Address,
        *,
        is_own: bool = True,
        is_any_address: bool = True,
        other_hosts: bool = False,
    ) -> None:
        self.found = UploadedOrphans()
        self._home = home
        self._address = address
        self._is_own = is_own  # False: a folder from elsewhere, whose paths outside of it mean nothing here
        self._is_any_address = is_any_address  # False: only what was to be sent to this address
        self._other_hosts = other_hosts
        self._stores: dict[str, Store] = {}

    def upload(self) -> UploadedOrphans:
        """Upload and record everything that no living process does. Does not raise for what stays; it is named."""
        homes = [self._home] if self._is_own else [self._home, *_folders_in(self._home)]  # it may be above the copy
        for path in (path for home in homes for path in find_pending(home)):
            try:
                folder = PendingFolder.adopt(path, other_hosts=self._other_hosts)
                if folder is None:
                    self.found.held.append(path)
                    continue
                try:
                    self._upload_folder(folder)
                finally:
                    folder.close()
            except (OSError, ClientError, Unsent) as error:
                self.found.waiting.append(f"{path}: {error}")
        return self.found

    def _upload_folder(self, folder: PendingFolder) -> None:
        """Upload one folder. Raises what stops it: the rest waits."""
        waiting = folder.waiting()
        newest = {_key(facts): number for number, facts in waiting}
        group: list[tuple[int, list[Record]]] = []
        try:
            for number, facts in waiting:
                if newest[_key(facts)] != number:  # a newer file of this name replaced it
                    folder.remove(number)
                elif self._is_due(folder, facts):
                    group += self._store(folder, number, facts)
                    if len(group) >= GROUP:
                        self._send(folder, group)
        finally:
            self._send(folder, group)

    def _is_due(self, folder: PendingFolder, facts: dict[str, Any]) -> bool:
        if not self._is_any_address and (facts.get("address"), facts.get("topic")) != (
            self._address.url,
            self._address.topic,
        ):
            return False
        journal = str(facts.get("journal") or "")
        if journal and os.path.isdir(os.path.join(folder.path, "../..", journal)):
            if (reason := f"{folder.path}: {NOT_SENT}") not in self.found.waiting:
                self.found.waiting.append(reason)
            return False
        return True

    def _store(self, folder: PendingFolder, number: int, facts: dict[str, Any]) -> list[tuple[int, list[Record]]]:
        """Store the bytes of an upload, and return its number with the records about it; nothing if they are gone."""
        source, identity = str(facts.get("source")), list(facts.get("identity") or [0, 0, 0, 0])
        path, kind = folder.data_path(number), str(facts.get("kind"))
        if kind == IN_PLACE and self._is_own:
            path = source
        try:
            if not stat.S_ISREG((os.stat if path == source else os.lstat)(path).st_mode):
                raise OSError("it is no regular file")
            uri, size, digest = store_file(self._store_of(folder), path)
        except OSError as error:
            self.found.lost.append(f"{source}: {error}")
            folder.remove(number)
            return []
        if self._is_own:  # a copy of the folder has other times
            warn_changed(Upload(source, path, number, kind=kind, identity=identity))
        run_id, event = str(folder.owner.get("run_id")), dict(facts["event"])
        event.update(kind="artifact", uri=uri, size=size, sha256=digest)
        producer = str(uuid5(NAMESPACE_URL, f"{os.path.basename(folder.path)}/{number}/{digest}"))
        return [(number, records_of(run_id, producer, event))]

    def _store_of(self, folder: PendingFolder) -> Store:
        """Return the store that is set here, or the one the process used, which then gets no token."""
        url = str(folder.owner.get("store"))
        if url not in self._stores:
            self._stores[url] = (find_store(sends_to=self._address.url) or StoreAddress(url)).open()
        return self._stores[url]

    def _send(self, folder: PendingFolder, group: list[tuple[int, list[Record]]]) -> None:
        """Send the records of stored artifacts, and forget their uploads. Raises Unsent, ClientError."""
        if not group:
            return
        send_records(self._address, [one for _, records in group for one in records], timeout_s=SEND_TIMEOUT_S)
        for number, _ in group:
            folder.remove(number)
        self.found.stored += len(group)
        group.clear()


def records_of(run_id: str, producer: str, event: dict[str, Any]) -> list[Record]:
    """Return the records of a producer with one event: the same bytes for the same event."""
    time, source = int(event["time"]), source_of(run_id, producer)
    end = {"kind": "producer_closed", "time": time, "batches": 2, "points": 0, "dropped": 0}
    first = {"kind": event["kind"], **event}
    return [encode(run_id, source, seq, time, body) for seq, body in enumerate((first, end))]


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _key(facts: dict[str, Any]) -> tuple[Any, ...]:
    event = facts.get("event") or {}
    return tuple(event.get(name) for name in ("name", "step_name", "attempt"))
