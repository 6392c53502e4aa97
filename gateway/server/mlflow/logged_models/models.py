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



async def read_model(door: Door, model_id: str, *, allow_deleted: bool = False) -> Mapping[str, Any]:
    """Return the document of a model (LoggedModelDocument in schemas/api.py). Raises Refused, as MLflow does."""
    if not model_id:
        raise unknown_model(model_id)
    try:
        model = await door.reader.get(f"/v1/logged-models/{quote(model_id, safe='', errors='replace')}")
    except NotThere:
        raise unknown_model(model_id) from None
    if model["state"] == "deleted" and not allow_deleted:
        raise unknown_model(model_id)
    return model


def unknown_model(model_id: str) -> Refused:
    """Return the refusal of a model that does not exist."""
    return absent(f"Logged model with ID '{model_id}' not found.")
