"""neptune-scale, offline: every call commits an operation to a SQLite file, to be sent with `neptune sync`."""

from __future__ import annotations

import importlib
import uuid
from pathlib import Path
from typing import Any

neptune: Any = None  # the module, once loaded


def load() -> None:
    global neptune
    neptune = importlib.import_module("neptune_scale")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    run = neptune.Run(
        project="benchmark/benchmark",
        run_id=uuid.uuid4().hex,
        mode="offline",
        log_directory=str(workspace.folder / "neptune"),
        enable_console_log_capture=False,
        source_tracking_config=None,
    )
    log = run.log_metrics

    def one(name: str, value: float, step: int) -> None:
        log({name: value}, step=step)

    return one, log, run.close


def read(workspace: Any) -> list[int]:
    repository = importlib.import_module("neptune_scale.sync.operations_repository")
    steps: list[int] = []
    for path in sorted(Path(workspace.folder).glob("neptune/**/run_operations.sqlite3")):
        opened = repository.OperationsRepository(path)
        after = None
        while operations := opened.get_operations(16 * 1024 * 1024, from_exclusive=after):
            after = operations[-1].sequence_id
            steps += [
                operation.operation.step.whole
                for operation in operations
                if "loss" in getattr(operation.operation, "append", ())
            ]
        opened.close(cleanup_files=False)
    return steps
