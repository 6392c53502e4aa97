"""Weights & Biases, offline: wandb-core writes a .wandb file to be sent with `wandb sync`."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

FRAME = Path(__file__).parents[2] / "consumers/trackers/wandb/file.py"

wandb: Any = None  # the module, once loaded


def load() -> None:
    global wandb
    wandb = importlib.import_module("wandb")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    off = dict.fromkeys(("x_disable_stats", "x_disable_meta", "x_disable_machine_info", "disable_git"), True)
    settings = wandb.Settings(console="off", silent=True, **off)
    run = wandb.init(project="benchmark", mode="offline", dir=str(workspace.folder), settings=settings)
    log = run.log

    def one(name: str, value: float, step: int) -> None:
        log({name: value}, step=step)

    return one, log, run.finish


def read(workspace: Any) -> list[int]:
    """Parse its protobufs in the framing that our own tracker writes: this release has no reader in Python."""
    spec = importlib.util.spec_from_file_location("wandb_file", FRAME)
    assert spec is not None
    assert spec.loader is not None
    frame = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(frame)
    records = importlib.import_module("wandb.proto.wandb_internal_pb2")
    steps = []
    for path in sorted(workspace.folder.glob("wandb/offline-run-*/*.wandb")):
        try:
            for data in frame.read(path):
                record = records.Record.FromString(data)
                for item in record.history.item:
                    if "loss" in (item.key, *item.nested_key):
                        steps.append(_step(record, json))
        except frame.DamagedRunFile:  # a torn end; the records before it count
            continue
    return steps


def _step(record: Any, parse: Any) -> int:
    named = [parse.loads(item.value_json) for item in record.history.item if "_step" in (item.key, *item.nested_key)]
    return int(named[0]) if named else int(record.history.step.num)
