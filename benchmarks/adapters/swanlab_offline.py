"""SwanLab, offline: a log file on disk, to be sent with `swanlab sync`."""

from __future__ import annotations

import importlib
from typing import Any

swanlab: Any = None  # the module, once loaded


def load() -> None:
    global swanlab
    swanlab = importlib.import_module("swanlab")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    off = dict.fromkeys(("hardware", "runtime", "requirements", "conda", "git", "monitor"), False)
    settings = swanlab.Settings(probe=swanlab.Settings.Probe(**off))
    folder = str(workspace.folder / "swanlog")
    run = swanlab.init(project="benchmark", mode="offline", log_dir=folder, settings=settings)
    log = run.log

    def one(name: str, value: float, step: int) -> None:
        log({name: value}, step=step)

    return one, log, run.finish


def read(workspace: Any) -> list[int]:
    store = importlib.import_module("swanlab.sdk.internal.core_python.store")
    records = importlib.import_module("swanlab.proto.swanlab.record.v1.record_pb2")
    steps: list[int] = []
    for path in sorted(workspace.folder.glob("swanlog/**/*.swanlab")):
        reader = store.DataStoreReader()
        reader.open(path)
        for data in reader:
            record = records.Record.FromString(data)
            if record.HasField("scalar") and record.scalar.key == "loss":
                steps.append(record.scalar.step)
    return steps
