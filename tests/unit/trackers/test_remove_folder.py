"""A deleted run takes the files that a tracker wrote, and none of another program."""

from __future__ import annotations

from pathlib import Path

from consumers.trackers.files.append import remove_folder

OURS = (
    "part-00000.parquet", "_part-00000.parquet.new", "events.out.tfevents.1700000000.gateway", "run-a.wandb",
    "run-a.wandb.synced", "_edit-1.new",
)  # fmt: skip


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("x", encoding="utf-8")
    return folder


def test_a_folder_of_our_files_is_removed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", *OURS)
    remove_folder(folder)
    remove_folder(folder)

    assert not folder.exists()


def test_files_of_other_programs_stay(tmp_path: Path) -> None:
    strangers = ["best.pt", "events.out.tfevents.1700000000.host.1.0"]
    folder = fill(tmp_path / "run", *OURS, *strangers)
    remove_folder(folder)

    assert sorted(path.name for path in folder.iterdir()) == strangers
