"""The identity of the fold: a change of any file that folds or writes changes it, at any depth of folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import consumers
import schemas
from consumers.materialiser.rebuild.rebuild import fold_identity

ROOT = Path(__file__).parents[3]
FOLDED = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "schemas/**/*.py",
        "consumers/log*/**/*.py",
        "consumers/materialiser/**/*.py",
        "consumers/store/**/*.py",
        "consumers/store/sql/**/*.sql",
    )
    for path in ROOT.glob(pattern)
)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code that folds, of which the identity is computed."""
    for package in (consumers, schemas):
        folder = tmp_path / package.__name__
        shutil.copytree(ROOT / package.__name__, folder, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(package, "__path__", [str(folder)])
    return tmp_path


def test_it_does_not_depend_on_the_folder_of_the_code(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = fold_identity()
    monkeypatch.undo()

    assert fold_identity() == there


@pytest.mark.parametrize(
    "new",
    [
        "schemas/deep/new.py",
        "consumers/log/new.py",
        "consumers/materialiser/deep/er/new.py",
        "consumers/store/deep/new.py",
        "consumers/store/sql/deep/new.sql",
    ],
)
def test_a_new_file_in_a_subfolder_changes_it(copy: Path, new: str) -> None:
    before = fold_identity()
    (copy / new).parent.mkdir(parents=True, exist_ok=True)
    (copy / new).write_text("# changed\n")

    assert fold_identity() != before


def test_a_change_of_any_file_that_folds_or_writes_changes_it(copy: Path) -> None:
    seen = {fold_identity()}
    for file in FOLDED:
        with (copy / file).open("a") as text:
            text.write("\n# changed\n")
        seen.add(fold_identity())

    assert len(seen) == len(FOLDED) + 1
