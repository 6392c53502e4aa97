"""
Logged models of the query API, read by other parts of the door too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, absent
from gateway.server.mlflow.reading import NotThere

MAX_KNOWN = 100_000  # ids


async def read_model(door: Door, model_id: str, *, allow_deleted: bool = False) -> Mapping[str, Any]:
    """Return the document of a model (LoggedModelDocument in schemas/api). Raises Refused, as MLflow does."""
    if not model_id:
        raise unknown_model(model_id)
    try:
        model = await door.reader.get(f"/v1/logged-models/{quote(model_id, safe='', errors='replace')}")
    except NotThere:
        raise unknown_model(model_id) from None
    if model["state"] == "deleted" and not allow_deleted:
        raise unknown_model(model_id)
    return model


async def check_exists(door: Door, model_id: str) -> None:
    """Raise Refused, as MLflow does, if there is no such model. It is asked for once: models stay."""
    if model_id not in door.logged_models:
        await read_model(door, model_id, allow_deleted=True)
        if len(door.logged_models) >= MAX_KNOWN:
            door.logged_models.clear()
        door.logged_models.add(model_id)


def unknown_model(model_id: str) -> Refused:
    """Return the refusal of a model that does not exist."""
    return absent(f"Logged model with ID '{model_id}' not found.")
