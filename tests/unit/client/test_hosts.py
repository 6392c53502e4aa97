"""Journals of other hosts on file systems whose locks other hosts may not see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.client.journal import hosts
from gateway.client.journal.hosts import OtherHost
from gateway.client.journal.journal import Journal
from gateway.client.process import owner
from gateway.client.shipping.recovery import adopt, find_orphan
from gateway.client.shipping.sync import sync
from tests.support.client_harness import Memory, points, shipping

MAIN = ("main", 1, ())


def left(**changes: str | None) -> Path:
    """Return a journal with one point whose lock is free, and whose meta.json says this of the host."""
    journal = Journal("r")
    journal.set_destination("kafka://memory:1", "t")
    journal.put("loss", 1.0, 0, MAIN)
    journal.close()  # on another host with locks of its own, it would still be written
    meta = Path(journal.folder) / "meta.json"
    facts = {**json.loads(meta.read_text(encoding="utf-8")), **changes}
    meta.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}), encoding="utf-8")
    return meta.parent


@pytest.fixture
def shared(journal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journals are on a file system that several hosts share."""
    mounts = tmp_path / "mountinfo"
    place = str(journal_home.resolve()).replace(" ", "\\040")
    mounts.write_text(
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:45 / {place} rw - beegfs none rw\n", encoding="utf-8"
    )
    monkeypatch.setattr(hosts, "MOUNTS", str(mounts))
    return journal_home


def test_a_journal_of_another_host_is_left_to_that_host(shared: Path, memory: Memory) -> None:
    folder = left(host="node-b", boot="another boot")
    before = sorted(path.name for path in folder.iterdir())

    with pytest.raises(OtherHost, match="ran on host node-b"):
        adopt(str(folder))
    assert find_orphan(("kafka://memory:1", "t"), set()) is None
    with shipping(memory) as shipper:
        done = sync(str(shared), shipper, timeout_s=60.0)
    assert (done.journals, len(done.unsent)) == (0, 1)
    assert "--other-hosts" in done.unsent[0]
    assert sorted(path.name for path in folder.iterdir()) == before

    with shipping(memory) as shipper:
        done = sync(str(shared), shipper, timeout_s=60.0, other_hosts=True)
    assert (done.journals, done.unsent) == (1, [])
    assert [one.value for one in points(memory.events())] == [1.0]


def test_a_shared_file_system_at_a_path_of_any_characters_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, mounts = tmp_path.resolve() / "größe\\ 1", tmp_path / "mountinfo"
    escaped = str(home).replace("\\", "\\134").replace(" ", "\\040")  # proc(5)
    mounts.write_text(f"22 1 8:1 / / rw - ext4 x rw\n36 22 0:45 / {escaped} rw - beegfs x rw\n", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(home))
    monkeypatch.setattr(hosts, "MOUNTS", str(mounts))

    with pytest.raises(OtherHost, match="ran on host node-b"):
        adopt(str(left(host="node-b", boot="another boot")))


def test_a_journal_of_another_host_whose_meta_json_is_damaged_is_left_to_that_host(
    shared: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr(owner, "this_machine", lambda: {"host": "node-b", "boot": "another boot", "space": ""})
        folder = left()
    (folder / "meta.json").write_bytes(b"\x00")

    with pytest.raises(OtherHost, match="ran on host node-b"):
        adopt(str(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {},  # this host
        {"boot": "an earlier boot"},  # this host, which was started again
        {"host": "a container of this machine"},  # the boot is the same
        {"host": None, "boot": None},  # its meta.json is damaged: nothing speaks of another host
        {"boot": None},  # a journal of the release before
    ],
)
def test_a_free_lock_of_this_host_is_proof(shared: Path, changes: dict[str, str | None]) -> None:
    orphan = adopt(str(left(**changes)))

    assert orphan is not None
    orphan.close()


def test_a_free_lock_on_a_local_file_system_is_proof(
    journal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("21 1 0:4 / / rw - nfs server:/ rw\n22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", encoding="utf-8")
    monkeypatch.setattr(hosts, "MOUNTS", str(mounts))  # of two at one place, the last is visible
    orphan = adopt(str(left(host="node-b", boot="another boot")))  # a disk or a copy from another machine

    assert orphan is not None
    orphan.close()
