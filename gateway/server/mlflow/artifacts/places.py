"""
Which artifact a path of MLflow's artifact proxy names: that of a run or of a logged model, and where in it. Pure.

    <experiment id>/<run id>/artifacts/<path>
    <experiment id>/models/<model id>/artifacts/<path>

The experiment does not matter: a run keeps its artifacts when it is moved to another one. Paths are decoded and checked
as MLflow does it (`validate_path_is_safe` of mlflow/utils/uri.py), and are names in the log, never paths of a disk.
"""

from __future__ import annotations

import posixpath
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.protobuf import safe_path
from schemas.bounds import MAX_NAME, check_name

ARTIFACTS, MODELS = "artifacts", "models"
NOWHERE = "it is below no run and no logged model of this server: write <experiment id>/<run id>/artifacts/<path>"


class Place(NamedTuple):
    """A place in the artifacts of a run or of a logged model."""

    owner: Literal["run", "model"]
    id: str
    path: str = ""  # normal form, without a slash at either end; empty: all artifacts


def parse_place(path: str) -> Place | None:
    """Return the place that a path of the proxy names; None if it is in no run and no model. Raises Refused."""
    parts = [part for part in safe_path(path).split("/") if part not in ("", ".")]
    if len(parts) >= 4 and parts[1] == MODELS and parts[3] == ARTIFACTS:
        return Place("model", parts[2], _joined(parts[4:]))
    if ARTIFACTS not in parts[2:]:
        return None
    end = parts.index(ARTIFACTS, 2)  # the id of a run that is not MLflow's may contain slashes
    return Place("run", "/".join(parts[1:end]), _joined(parts[end + 1 :]))


def place_of_uri(uri: str) -> Place | None:
    """Return the place that `mlflow-artifacts:/...`, `runs:/...` or `models:/<model id>` names; None for any other."""
    scheme, _, path = uri.partition(":")
    if scheme == "mlflow-artifacts":
        return parse_place(urlsplit(uri).path.lstrip("/"))
    parts = [part for part in safe_path(path.lstrip("/")).split("/") if part not in ("", ".")]
    if scheme == "runs" and parts:
        return Place("run", parts[0], _joined(parts[1:]))
    if scheme == "models" and parts and parts[0].startswith("m-"):
        return Place("model", parts[0], _joined(parts[1:]))
    return None


def inner_path(path: str) -> str:
    """Return a path within the artifacts of a run, as a client gives it, in normal form. Raises Refused."""
    return _joined([part for part in safe_path(path).split("/") if part not in ("", ".")])


def to_write(path: str) -> Place:
    """
    Return the place of a file to write. Raises Refused for a place that is none of a file.

    MLflow refuses a folder that is not in normal form, because two spellings would be one folder.
    """
    safe = safe_path(path)
    place, folder = parse_place(safe), posixpath.dirname(safe)
    if place is None:
        raise invalid(f"Invalid artifact path: {path!r:.300}: {NOWHERE}")
    if not place.path or safe.endswith("/") or posixpath.normpath(folder) != folder:
        raise invalid(f"Invalid artifact path: {path!r:.300}: it is not the path of a file in its normal form.")
    return place


def _joined(parts: list[str]) -> str:
    path = "/".join(parts)
    try:
        check_name(path)
        path.encode()
    except ValueError as error:
        raise invalid(f"Invalid path: {error}") from None
    if len(path) > MAX_NAME:
        raise invalid(f"Invalid path: it has more than {MAX_NAME:,} characters.")
    return path
