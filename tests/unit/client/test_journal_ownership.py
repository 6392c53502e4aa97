"""What counts as a journal, and what `gateway sync` may delete: nothing that another program wrote."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gateway.client.address import Address
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping.recovery import adopt
from gateway.client.shipping.shipper import Shipper
from gateway.client.shipping.sync import sync
from tests.support.client_harness import Memory, shipping

MAIN = ("main", 1, ())


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content, and every folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in paths}


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """Folders of other programs, whose files have names of ours, and a pipe without a writer."""
    home = tmp_path / "scratch"
    files = {
        "exp1/ckpt/meta.json": '{"step": 100}',
        "spacy/model/meta.json": '{"lang": "en", "name": "core", "version": "3.7.0", "format": 1}',
        "spacy/model/vocab": "v",
        "list/meta.json": "[1]",
        "deep/meta.json": "[" * 60_000,
        "data/scan.seg": "x",
        "data/00000001.seg": "raw data of a scanner",
        "db/lock": "",
        "db/data.mdb": "x",
        "video/cuts.0000.edl": "x",
        "video/cuts.0000.018f2b7e-0000-7000-8000-000000000000": "x" * 9_000,
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    (home / "pipes").mkdir()
    os.mkfifo(home / "pipes" / "meta.json")
    return home


def test_sync_leaves_the_files_of_other_programs_alone_and_creates_none(strangers: Path) -> None:
    before = tree(strangers)
    done = sync(str(strangers), Shipper(Address("none:", "t")), timeout_s=1.0)

    assert tree(strangers) == before
    assert (done.journals, done.unsent, done.held) == (0, [], [])


def left_journal(home: Path) -> Path:
    """Return the folder of a journal whose process is gone."""
    journal = Journal("r")
    for step in range(3):
        journal.put("loss", 0.5, step, MAIN)
    journal.close()
    (folder,) = find_journals(str(home))
    return Path(folder)


def test_a_stranger_s_file_in_a_journal_stays(journal_home: Path) -> None:
    folder = left_journal(journal_home)
    for name in ("notes.txt", "scan.seg", "00000001.seg.bak", "cuts.txt", "lock.old"):
        (folder / name).write_text("mine", encoding="utf-8")
    orphan = adopt(str(folder))
    assert orphan is not None
    orphan.delete()
    orphan.close()

    assert sorted(path.name for path in folder.iterdir()) == [
        "00000001.seg.bak", "cuts.txt", "lock.old", "notes.txt", "scan.seg",
    ]  # fmt: skip
    assert list(find_journals(str(journal_home))) == []


@pytest.mark.parametrize("kept", ["meta.json", "*.seg", "cuts.*"])
def test_each_file_of_a_journal_proves_it_alone(journal_home: Path, tmp_path: Path, kept: str) -> None:
    folder = left_journal(journal_home)
    (name,) = [path.name for path in folder.glob(kept)]
    copied = tmp_path / "carried" / "under another name"
    copied.mkdir(parents=True)
    shutil.copy(folder / name, copied / name)

    assert list(find_journals(str(tmp_path / "carried"))) == [str(copied)]


@pytest.mark.parametrize("name", ["", "carried"])
def test_a_folder_into_which_a_journal_was_copied_stays(
    journal_home: Path, tmp_path: Path, memory: Memory, name: str
) -> None:
    folder = left_journal(journal_home)
    copied = shutil.copytree(folder, tmp_path / "stick" / (name or folder.name))
    with shipping(memory) as shipper:
        done = sync(str(tmp_path / "stick"), shipper, timeout_s=5.0)
        assert sync(str(journal_home), shipper, timeout_s=5.0).journals == done.journals == 1

    assert not copied.exists()
    assert copied.parent.is_dir()
    assert not folder.parent.exists()


def test_a_journal_without_its_lock_is_adopted_once_its_process_has_ended(journal_home: Path) -> None:
    folder = left_journal(journal_home)
    (folder / "lock").unlink()
    assert adopt(str(folder)) is None  # the process that meta.json names is this one

    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    (folder / "meta.json").write_text(json.dumps(meta | {"started": "an earlier one"}), encoding="utf-8")
    orphan = adopt(str(folder))

    assert orphan is not None
    orphan.close()


def test_a_journal_of_a_newer_release_stays_and_the_reason_is_named(journal_home: Path) -> None:
    folder = left_journal(journal_home)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 3}), encoding="utf-8")
    before = tree(folder)
    done = sync(str(journal_home), Shipper(Address("none:", "t")), timeout_s=1.0)

    assert tree(folder) == before
    assert done.unsent == [f"{folder}: its format 3 is newer than this release: update tracking-gateway here"]
