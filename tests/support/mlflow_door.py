"""A real MLflow door as a process, on the parts of a DialectStack, and scripts that use it with MLflow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.dialect_stack import DialectStack
from tests.support.server_process import Server


class MlflowDoor(Server):
    """A door process. It keeps its port when it is started again; `url` is what MLFLOW_TRACKING_URI gets."""

    module, port_setting = "gateway.server.mlflow", "GATEWAY_MLFLOW_DOOR_PORT"


@contextmanager
def mlflow_door(stack: DialectStack, **settings: str) -> Iterator[MlflowDoor]:
    """
    Yield a door on the log and the API of a stack; kill it when the block ends.

    MLflow's server behind it is not started, unless `mlflow_ui` says so.
    """
    named = {"GATEWAY_MLFLOW_UI": "none"} | {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
    artifacts = {"GATEWAY_ARTIFACTS": (stack.place.folder / "artifacts").as_uri()}
    door = MlflowDoor(stack.place.folder, {**stack.variables, **artifacts, **named})
    try:
        door.start().until("/version")
        yield door
    finally:
        door.end()
