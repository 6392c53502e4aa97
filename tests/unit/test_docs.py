"""What the documents name is there, and what they must name is named."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from consumers.trackers.protocol import Capabilities
from schemas import bounds
from schemas.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
FOLDERS = {
    path.parent.relative_to(ROOT).as_posix()
    for side in ("gateway", "schemas", "consumers")
    for path in (ROOT / side).rglob("*.py")
    if path.name != "__init__.py" or len(list(path.parent.glob("*.py"))) > 1
}


def test_tests_that_prove_a_promise_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)`", README)

    assert len(named) >= 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_files_that_the_architecture_names_are_there() -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|sql|json|toml))`", ARCHITECTURE))

    assert len(named) > 10
    assert {path for path in named if not (ROOT / path).exists()} == set()


def folders_of_the_tree() -> set[str]:
    """Read the drawn tree of the architecture page: two spaces a level, a name, two spaces, what it holds."""
    tree = ARCHITECTURE.split("```\n")[3]
    found, parents = set(), [""]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [parents[depth - 1] + line.split()[0] if depth else line.split()[0]]
        found.add(parents[depth].rstrip("/"))
    return found


def test_the_architecture_shows_every_folder_and_no_other() -> None:
    assert folders_of_the_tree() >= FOLDERS
    assert {folder for folder in folders_of_the_tree() if not (ROOT / folder).is_dir()} == set()


def test_the_architecture_can_be_read_in_one_sitting() -> None:
    assert len(ARCHITECTURE.split()) <= 1_800


def test_the_head_of_each_folder_explains_every_module_of_it() -> None:
    unnamed = []
    for folder in FOLDERS - {"gateway"}:  # users read that one: it shows how to train
        head = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        modules = {path.stem for path in (ROOT / folder).glob("[!_]*.py")}
        unnamed += [f"{folder}/{module}" for module in modules if f"`{module}`" not in head]

    assert unnamed == []


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
        "experiments",
        "models",
        "artifacts",
        "import",
        "agent",
        "mcp",
        "sync",
        "tokens",
        "views",
        *project["entry-points"]["gateway.commands"],
    }

    assert variables <= set(Settings.model_fields)
    assert commands <= known


def test_the_two_commands_use_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set(re.findall(r'pip install "\.\[(\w+)\]"', README))

    assert named == {"all", "test"}
    assert named <= set(extras)


def test_every_bound_of_an_event_is_described() -> None:
    page = (ROOT / "docs/ingest.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(MAX_\w+)` \| ([\d,]+) ", page, re.MULTILINE)
    bounds_of_events = {name: value for name, value in vars(bounds).items() if name.startswith("MAX_")}

    assert {name: int(value.replace(",", "")) for name, value in described} == bounds_of_events


def test_trackers_and_capabilities_are_described() -> None:
    described = (ROOT / "docs/trackers.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    flags = re.findall(r"^\| `(\w+)` \| (true|false|\(\)) \|", described, re.MULTILINE)
    values = {"true": True, "false": False, "()": ()}

    assert {name: values[value] for name, value in flags} == Capabilities()._asdict()
    assert [name for name in project["entry-points"]["gateway.trackers"] if f"| `{name}` |" not in described] == []
    assert {name.lower() for name in re.findall(r"GATEWAY_([A-Z_]+)", described)} <= set(Settings.model_fields)


def test_every_setting_is_described_as_the_code_describes_it() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", page, re.MULTILINE)

    assert rows == [(name, field.description) for name, field in Settings.model_fields.items()]
