"""What the documents name is there, and what they must name is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from consumers.trackers.protocol import Capabilities
from schemas.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
FOLDERS = sorted(
    path.relative_to(ROOT).as_posix()
    for side in ("gateway", "consumers")
    for path in (ROOT / side).iterdir()
    if path.is_dir() and any(path.glob("*.py")) and len(list(path.glob("*.py"))) > 1
)


def test_tests_that_prove_a_promise_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)`", README)

    assert len(named) >= 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_files_that_the_architecture_names_are_there() -> None:
    named = set(re.findall(r"`(?:[\w-]+/)*([\w-]+\.(?:py|sql|json|toml))`", ARCHITECTURE))
    there = {path.name for path in ROOT.rglob("*") if ".git" not in path.parts} | {"stack.json", "gateway.toml"}

    assert len(named) > 30
    assert named - there == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_architecture_speaks_of_every_folder(folder: str) -> None:
    assert f"{folder}/" in ARCHITECTURE


def test_settings_and_commands_that_the_readme_names_exist() -> None:
    variables = {name.lower() for name in re.findall(r"GATEWAY_([A-Z_]+)", README)}
    commands = set(re.findall(r"`?gateway ([a-z]+(?:-[a-z]+)*)", README))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {
        "demo",
        "up",
        "down",
        "status",
        "logs",
        "doctor",
        "runs",
        "sync",
        *project["entry-points"]["gateway.commands"],
    }

    assert variables <= set(Settings.model_fields)
    assert commands <= known


def test_the_two_commands_use_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set(re.findall(r'pip install "\.\[(\w+)\]"', README))

    assert named == {"all", "test"}
    assert named <= set(extras)


def test_trackers_and_capabilities_are_described() -> None:
    described = (ROOT / "docs/trackers.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    flags = re.findall(r"^\| `(\w+)` \| (true|false|\(\)) \|", described, re.MULTILINE)
    values = {"true": True, "false": False, "()": ()}

    assert {name: values[value] for name, value in flags} == Capabilities()._asdict()
    assert [name for name in project["entry-points"]["gateway.trackers"] if f"| `{name}` |" not in described] == []
    assert {name.lower() for name in re.findall(r"GATEWAY_([A-Z_]+)", described)} <= set(Settings.model_fields)
