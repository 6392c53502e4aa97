"""
Artifacts at `mlflow-artifacts:/…`, for a client whose tracking URI is `gateway://host:port`.

MLflow's own repository accepts http(s) as the tracking URI only. This one replaces it in every process where this
distribution is installed, and does the same for every other tracking URI.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from gateway.dialects.mlflow.address import SCHEMES, STORE, door_url


class DoorArtifactRepository(MlflowArtifactsRepository):  # type: ignore[misc]  # mlflow has no types
    """MLflow's repository of proxied artifacts, which also knows a door by `gateway://`."""

    @classmethod
    def resolve_uri(cls, artifact_uri: str, tracking_uri: str) -> str:
        """Return the URL of the artifacts. Raises MlflowException for a tracking URI that is no server."""
        if urlsplit(tracking_uri).scheme in SCHEMES:
            tracking_uri = door_url(tracking_uri) + STORE
        resolved: str = super().resolve_uri(artifact_uri, tracking_uri)
        return resolved
