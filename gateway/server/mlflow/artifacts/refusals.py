"""
Routes of MLflow that need a store which clients reach themselves: parts of an upload, and signed addresses.

Bytes go through the door, in one stream of any length, so they are refused as MLflow's server refuses them for a store
that is a folder; what is wrong with a request is said first. Clients ask `server-info` before they try.
"""

from __future__ import annotations

from typing import Any, Literal

from gateway.server.mlflow.artifacts.owners import check
from gateway.server.mlflow.artifacts.places import Place, inner_path
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, invalid
from gateway.server.mlflow.routing import Call

LAST_S = 604_800  # the longest time for which a signed address may be asked


async def parts(door: Door, call: Call) -> dict[str, Any]:
    """Refuse to begin, complete or abort an upload in parts. Raises Refused NOT_IMPLEMENTED."""
    inner_path(call.path["path"])
    raise Refused("NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository")


async def download_in_parts(door: Door, call: Call) -> dict[str, Any]:
    """Refuse a signed address of the proxy. Raises Refused NOT_IMPLEMENTED."""
    inner_path(call.path["path"])
    raise Refused("NOT_IMPLEMENTED", "Multipart download is not supported for the current artifact repository")


async def signed_upload(door: Door, call: Call) -> dict[str, Any]:
    """Refuse a signed address to upload to. Raises Refused."""
    if bool(call.message.run_id) == bool(call.message.model_id):
        raise invalid("Exactly one of run_id and model_id must be provided.")
    inner_path(call.message.path)
    owner: Literal["run", "model"] = "run" if call.message.run_id else "model"
    await check(door, Place(owner, call.message.run_id or call.message.model_id))
    raise invalid(
        "Presigned upload is not supported for proxied artifact storage (artifact URI scheme: mlflow-artifacts). "
        "This endpoint requires a direct cloud storage artifact URI."
    )


async def signed_download(door: Door, call: Call) -> dict[str, Any]:
    """Refuse a signed address to download from. Raises Refused."""
    inner_path(call.message.path)
    expiration = call.message.expiration if call.message.HasField("expiration") else 1
    if not 1 <= expiration <= LAST_S:
        raise invalid(f"expiration must be between 1 and {LAST_S} seconds (got {expiration}).")
    await door.runs.known.find(call.message.run_id)
    raise invalid(
        "Presigned download is not supported for runs with proxied artifact storage (artifact URI scheme: "
        "mlflow-artifacts). This endpoint requires a run with a direct cloud storage artifact URI."
    )
