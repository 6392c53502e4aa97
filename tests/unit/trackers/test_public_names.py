"""Plug-in authors import from one package: its names are listed, documented and lazy, and they are all one needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import consumers.trackers
import consumers.trackers.testing

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "tracker-sqlite"
PACKAGES = (consumers.trackers, consumers.trackers.testing)


def sections() -> str:
    """Return the section of docs/trackers.md about writing a tracker."""
    return (ROOT / "docs/trackers.md").read_text(encoding="utf-8").partition("\n## Write your own\n")[2]


def project_imports(path: Path) -> list[tuple[str, list[str]]]:
    """Return the imports of this project in a file, as module and names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [(n.module or "", [a.name for a in n.names]) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    plain: list[tuple[str, list[str]]] = [
        (a.name, []) for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    ]
    return [one for one in [*found, *plain] if one[0].split(".")[0] in ("gateway", "schemas", "consumers")]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_list_of_names_is_sorted_and_each_one_is_there(package: object) -> None:
    names = list(package.__all__)  # type: ignore[attr-defined]  # mypy sees a module as an object

    assert names == sorted(names)
    assert [name for name in names if not hasattr(package, name)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_each_name_is_documented(package: object) -> None:
    documented = set(re.findall(r"`(\w+)`", sections()))

    assert set(package.__all__) - documented == set()  # type: ignore[attr-defined]  # as above


def test_the_documented_table_is_the_list() -> None:
    table = sections().partition("| name | it is |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == consumers.trackers.__all__


def test_a_name_that_is_not_listed_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        getattr(consumers.trackers, "Nope")  # noqa: B009  # mypy refuses the plain form, as it should


def test_the_example_imports_one_line_from_one_package() -> None:
    assert [module for module, _ in project_imports(EXAMPLE / "gateway_tracker_sqlite.py")] == ["consumers.trackers"]
    assert [module for module, _ in project_imports(EXAMPLE / "tests/test_contract.py")] == [
        "consumers.trackers.testing"
    ]


def test_importing_the_package_loads_no_tracker_and_no_vendor() -> None:
    code = "import sys, consumers.trackers; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    ours = [name for name in loaded.split() if name.startswith(("consumers", "schemas", "gateway"))]
    assert ours == ["consumers", "consumers.trackers"]


def test_using_every_public_name_loads_no_vendor_and_no_delivery() -> None:
    code = "import sys; from consumers.trackers import *; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    vendors = {"aiokafka", "asyncpg", "faust", "mlflow", "pyarrow", "pytest", "tensorboard", "trackio", "wandb", "yaml"}
    assert {name for name in loaded.split() if name.split(".")[0] in vendors} == set()
    assert [name for name in loaded.split() if name.startswith("consumers.delivery")] == []
