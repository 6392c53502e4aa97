"""
Lists of artifacts: of a run, of a logged model, and of a folder of the proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.server.mlflow.artifacts.owners import Found, children, unknown
from gateway.server.mlflow.artifacts.places import Place, inner_path, parse_place
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.reading import NotThere
from gateway.server.mlflow.routing import Call


async def list_of_run(door: Door, call: Call) -> dict[str, Any]:
    """Answer `artifacts/list`: paths below the run's artifacts. An unknown path has none."""
    path = inner_path(call.message.path)
    run = await door.runs.known.find(call.message.run_id or call.message.run_uuid)
    return {"root_uri": run.info["artifact_uri"], **_files(await _children(door, Place("run", run.run_id, path)))}


async def list_of_proxy(door: Door, call: Call) -> dict[str, Any]:
    """Answer `GET /mlflow-artifacts/artifacts?path=`: names in a folder. Above runs and models there are none."""
    place = parse_place(call.message.path)
    try:
        found = [] if place is None else await children(door, place)
    except NotThere:
        found = []
    return _files([one._replace(path=one.path.rpartition("/")[2]) for one in found])


async def _children(door: Door, place: Place) -> list[Found]:
    try:
        return await children(door, place)
    except NotThere:
        raise unknown(place) from None


def _files(found: Sequence[Found]) -> dict[str, Any]:
    """Return a list as MLflow's messages show it: an empty list and a size of 0 are left out."""
    files = [{"path": one.path, "is_dir": one.is_dir, **({"file_size": one.size} if one.size else {})} for one in found]
    return {"files": files} if files else {}
