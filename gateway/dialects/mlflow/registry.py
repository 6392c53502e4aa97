"""
The store of registered models and their versions.
"""

from __future__ import annotations

from mlflow.store.model_registry.rest_store import RestStore

from gateway.dialects.mlflow.address import credentials
from gateway.dialects.mlflow.unsupported import refusing


@refusing
class RegistryStore(RestStore):  # type: ignore[misc]  # mlflow has no types
    """MLflow's own REST store of the registry, at a door."""

    def __init__(self, store_uri: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__(credentials(store_uri or ""))
        self.tracking_uri = tracking_uri
