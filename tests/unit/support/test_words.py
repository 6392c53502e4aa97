"""The lint step finds the phrases that its list forbids, in prose only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci/words.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "It is written a{}new."),
        ("module.py", '"""Write it a{}new."""\n'),
        ("module.py", "x = 1  # kept be{}side it\n"),
        ("module.py", 'raise ValueError("no{}body knows")\n'),
        ("module.py", 'print(f"{x} go{}es on")\n'.replace("{x}", "{{x}}")),
        ("query.sql", "-- who{}ever asks\n"),
    ],
)
def test_a_forbidden_phrase_is_found_with_its_place(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text("\n" + text.format(""))

    found = check(tmp_path)

    assert (found.returncode, found.stdout.count(f"{name}:2: ")) == (1, 1)


def test_names_in_code_are_not_prose(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def be{0}side(no{0}body: int) -> int:\n    return no{0}body\n".format(""))

    assert (check(tmp_path).returncode, check(tmp_path).stdout) == (0, "")
