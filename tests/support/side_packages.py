"""
Libraries that cannot share an environment with each other: each in a folder of its own, for `PYTHONPATH`.

magnus 0.5.1 needs stevedore < 4, runnable 0.50 needs stevedore >= 5.4; older clients of MLflow need an older protobuf.
Each is installed once per session, without the
packages that the tests' environment has; the folder comes first on a subprocess' path.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS: Mapping[str, tuple[str, ...]] = {
    "magnus": (
        "magnus==0.5.1",
        "click-plugins==1.1.1.2",
        "pbr==7.1.3",
        "rich==13.9.4",
        "ruamel.yaml==0.19.1",
        "ruamel.yaml.clib==0.2.15",
        "stevedore==3.5.2",
    ),
    "runnable": (
        "runnable==0.50.0",
        "cloudpathlib==0.26.0",
        "dill==0.4.1",
        "logfire-api==5.6.0",
        "ruamel.yaml==0.19.1",
        "stevedore==5.10.0",
    ),
    "mlflow-3.12": ("mlflow==3.12.0", "mlflow-skinny==3.12.0"),  # an earlier release, whose database is upgraded
    "mlflow-2.22": ("mlflow-skinny==2.22.1", "protobuf==5.29.5"),
    "mlflow-3.1": ("mlflow-skinny==3.1.4", "protobuf==5.29.5"),
}


def installed(library: str, factory: pytest.TempPathFactory) -> Path:
    """Return the folder with `library` (a key of PINS); install it there if no process of this session has."""
    # All processes of xdist have their own folder in the one that they share.
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder = shared / f"side-packages-{library}"
    with (shared / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            # Renamed when it is whole, so that an installation that failed is tried again by the next test.
            unfinished = folder.with_suffix(".unfinished")
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--upgrade"]
            done = subprocess.run(
                [*command, "--target", str(unfinished), *PINS[library]], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            unfinished.rename(folder)
    return folder


def environment(folder: Path, *more: Path, **settings: str) -> dict[str, str]:
    """
    Return the environment of a subprocess that imports from `folder` first, then `more`, then this repository.

    `settings` are added. The environment of the tests is kept, with its journal folder.
    """
    path = os.pathsep.join(str(one) for one in (folder, *more, ROOT))
    return {**os.environ, "PYTHONPATH": path, **settings}
