"""tensorboardX: TensorBoard's event files, without TensorFlow."""

from __future__ import annotations

import importlib
import struct
from typing import Any

tensorboard: Any = None  # the module, once loaded


def load() -> None:
    global tensorboard
    tensorboard = importlib.import_module("tensorboardX")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    writer = tensorboard.SummaryWriter(str(workspace.folder / "events"))
    add = writer.add_scalar

    def one(name: str, value: float, step: int) -> None:
        add(name, value, step)

    def many(values: dict[str, float], step: int) -> None:
        for name, value in values.items():  # add_scalars would open a file for each name
            add(name, value, step)

    return one, many, writer.close


def read(workspace: Any) -> list[int]:
    """Parse TFRecord (length, its checksum, data, its checksum) with its own protobufs: tensorboardX has no reader."""
    events = importlib.import_module("tensorboardX.proto.event_pb2")
    steps: list[int] = []
    for path in sorted((workspace.folder / "events").iterdir()):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            if at + 16 + length > len(data):  # torn
                break
            event = events.Event.FromString(data[at + 12 : at + 12 + length])
            steps += [event.step for value in event.summary.value if value.tag == "loss"]
            at += 16 + length
    return steps
