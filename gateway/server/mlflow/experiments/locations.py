"""
The artifact location that an experiment is created with, checked as mlflow/server/handlers.py does.
"""

from __future__ import annotations

from urllib.parse import unquote, urlparse

from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.protobuf import check_host, validate


def check_location(uri: str) -> None:
    """Refuse a location that MLflow refuses. Raises Refused."""
    parsed = urlparse(uri)
    if parsed.fragment or parsed.params:
        raise invalid("'artifact_location' URL can't include fragments or params.")
    query = parsed.query
    while (plain := unquote(query)) != query:
        query = plain
    if ".." in query:
        raise invalid("Invalid query string")
    check_host(uri, "artifact_location")
    validate("experiment_artifact_location", uri)
    validate("experiment_artifact_location_length", uri)
