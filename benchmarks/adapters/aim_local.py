"""Aim, local: one RocksDB per run."""

from __future__ import annotations

import importlib
from typing import Any

aim: Any = None  # the module, once loaded


def load() -> None:
    global aim
    aim = importlib.import_module("aim")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    run = aim.Run(repo=str(workspace.folder), experiment="benchmark", **_ALONE)
    track = run.track

    def one(name: str, value: float, step: int) -> None:
        track(value, name=name, step=step)

    return one, track, run.close


_ALONE = {"system_tracking_interval": None, "log_system_params": False}


def read(workspace: Any) -> list[int]:
    """Open the runs for writing and read the steps: read-only, Aim shows only indexed data, of which there is none."""
    load()
    repo = aim.Repo.from_path(str(workspace.folder))
    steps: list[int] = []
    for run_hash in repo.list_all_runs():
        run = aim.Run(run_hash, repo=str(workspace.folder), **_ALONE)
        for metric in run.metrics():
            if metric.name == "loss":
                steps += [int(step) for step in metric.data.indices_list()]
        run.close()
    return steps


def count(workspace: Any, names: tuple[str, ...]) -> int:
    repo, found = aim.Repo.from_path(str(workspace.folder)), 0
    for run_hash in repo.list_all_runs():
        run = aim.Run(run_hash, repo=str(workspace.folder), **_ALONE)
        found += sum(len(metric.data.indices_list()) for metric in run.metrics() if metric.name in names)
        run.close()
    return found
