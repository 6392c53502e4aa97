"""Pipelines of real runnable 0.50, run as processes with their own configuration file and nothing else changed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.support.dialect_stack import ROOT, DialectStack
from tests.support.side_packages import environment

FUNCTIONS = """
import gateway, os, signal
from pathlib import Path
from pydantic import BaseModel

class Eggs(BaseModel):
    ham: str

def train(epochs: int = 3):
    Path("data.txt").write_text("data")
    return 0.9, {str(i): 1.0 / (i + 1) for i in range(epochs)}, Eggs(ham="world"), "spam", float("nan"), {1, 2}

def square(i: int = 0):
    return i * i

def count():
    return 7

def pick():
    return "left"

def secret():
    assert os.environ["HIDDEN_WORD"] == "sesame"

def may_pass():
    return Path(os.environ["RUNNABLE_RUN_ID"] + ".may-pass").exists()

def fragile():
    gateway.emit("inside", 1.5)
    if not may_pass():
        raise ValueError("no data")
    return 0.5

def deadly():
    gateway.emit("inside", 2.5)
    if not may_pass():
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.25
"""
WHOLE = """
from runnable import Catalog, Conditional, Map, Parallel, Pipeline, PythonTask, ShellTask, metric, pickled
from functions import count, pick, secret, square, train

def one(name, function, **more):
    return Pipeline(steps=[PythonTask(name=name, function=function, terminate_with_success=True, **more)])

def main():
    first = PythonTask(
        name="train", function=train, catalog=Catalog(put=["data.txt"]),
        returns=[metric("accuracy"), metric("losses"), "eggs", "spam", metric("unknown"), pickled("thing")],
    )
    hidden = PythonTask(name="hidden", function=secret, secrets=["HIDDEN_WORD"])
    side = Parallel(name="side", branches={
        "a": one("count", count, returns=[metric("m1")]), "b": one("count", count, returns=[metric("m2")]),
    })
    each = Map(name="each", iterate_on="items", iterate_as="i", branch=one("square", square, returns=[metric("sq")]))
    choose = PythonTask(name="choose", function=pick, returns=["way"])
    fork = Conditional(name="fork", parameter="way", branches={
        "left": one("go", count, returns=[metric("went")]), "right": one("go", count),
    })
    shell = ShellTask(
        name="shell", command="export shmetric=42.0", returns=[metric("shmetric")], terminate_with_success=True
    )
    pipeline = Pipeline(steps=[first, hidden, side, each, choose, fork, shell])
    pipeline.execute(parameters_file="params.yaml", tag="exp-a")
    return pipeline

if __name__ == "__main__":
    main()
"""
SHORT = """
from runnable import Pipeline, PythonTask, metric
from functions import count, {function}

def main():
    steps = [
        PythonTask(name="first", function=count, returns=[metric("n")]),
        PythonTask(name="second", function={function}, returns=[metric("m")], terminate_with_success=True),
    ]
    pipeline = Pipeline(steps=steps)
    pipeline.execute()
    return pipeline

if __name__ == "__main__":
    main()
"""
JOB = """
from runnable import PythonJob, metric
from functions import count

def main():
    job = PythonJob(function=count, returns=[metric("n")])
    job.execute(configuration_file="job.yaml", job_id="job")
    return job

if __name__ == "__main__":
    main()
"""
PARALLEL = "pipeline-executor: {type: local, config: {enable_parallel: true}}\n"
SECRETS = "secrets: {type: env-secrets}\n"


class Pipelines:
    """A folder with pipelines, and what runs them."""

    def __init__(self, folder: Path, packages: Path, stack: DialectStack) -> None:
        self.folder, self.stack = folder, stack
        folder.mkdir(parents=True)
        (folder / "functions.py").write_text(FUNCTIONS)
        (folder / "whole.py").write_text(WHOLE)
        for function in ("fragile", "deadly"):
            (folder / f"{function}.py").write_text(SHORT.format(function=function))
        (folder / "job.py").write_text(JOB)
        git = ("git", "-c", "user.name=n", "-c", "user.email=e@h.org")
        for command in ("init -q", "add functions.py", "commit -q -m first"):
            subprocess.run([*git, *command.split()], cwd=folder, check=True, capture_output=True)
        (folder / "params.yaml").write_text("epochs: 3\nitems: [1, 2, 3]\n")
        self.environment = environment(packages, entry_points(folder / "site"), **stack.variables)
        self.environment |= {
            "HIDDEN_WORD": "sesame", "XDG_CACHE_HOME": str(folder / "cache"), "GATEWAY_HOME": str(folder / "home"),
            "GATEWAY_JOURNAL_DIR": str(folder / "journals")
        }  # fmt: skip

    def configure(self, name: str, store: str, more: str = "") -> str:
        """Write a configuration file of runnable with this run-log store; return its name."""
        (self.folder / name).write_text(f"run-log-store: {store}\n{SECRETS}{more}")
        return name

    def start(self, script: str, run_id: str, config: str, **settings: str) -> subprocess.Popen[str]:
        """Start a pipeline with a configuration file; "" leaves that to the script."""
        variables = {"RUNNABLE_RUN_ID": run_id, **({"RUNNABLE_CONFIGURATION_FILE": config} if config else {})}
        return subprocess.Popen(
            [sys.executable, script], cwd=self.folder, env={**self.environment, **variables, **settings},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, script: str, run_id: str, config: str, **settings: str) -> tuple[int, str]:
        """Run a pipeline to its end; return its exit status and stderr. Raises TimeoutExpired for one that hangs."""
        with self.start(script, run_id, config, **settings) as process:
            _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def sync(self) -> None:
        """Send the journals that ended processes left. The next process does so too, unless it ends before."""
        done = self.stack.gateway("sync", GATEWAY_JOURNAL_DIR=self.environment["GATEWAY_JOURNAL_DIR"])
        assert done.returncode == 0, done.stderr

    def let_pass(self, run_id: str) -> None:
        """From now on the second step of this run works."""
        (self.folder / f"{run_id}.may-pass").touch()

    def kept(self, folder: str, run_id: str) -> dict[str, Any]:
        """Return the run log that runnable reads from the store, with what its model makes of it."""
        code = (
            "import json, sys; from gateway.dialects.runnable.store import GatewayRunLogStore as Store; "
            "found = Store(log_folder=sys.argv[1]).get_run_log_by_id(sys.argv[2], full=True); "
            "print(json.dumps(found.model_dump()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, folder, run_id], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def entry_points(folder: Path) -> Path:
    """Return a folder in which a library finds our plug-ins, as of an installation of pyproject.toml as it is now."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    about = folder / "tracking_gateway-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tracking-gateway\nVersion: 0.1.0\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in table.items())])
        for group, table in tables.items()
    )
    (about / "entry_points.txt").write_text("\n".join(groups))
    return folder
