"""
Where a server of MLflow keeps artifacts whose store is a door: in the door, never in a folder of its own.

`mlflow server` names a folder for them unless another place is named, and each of its processes would take uploads
into it, where the door never sees them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from urllib.parse import urlsplit

from gateway.dialects.mlflow.address import ARTIFACTS, SCHEMES, door_url

# Of mlflow/server/constants.py, which cannot be imported without importing the server.
_STORE, _DESTINATION = "_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
_UNNAMED = "./mlartifacts"  # the default of `mlflow server --artifacts-destination`


def keep_artifacts_in_the_door(variables: MutableMapping[str, str]) -> None:
    """
    Let a server of MLflow proxy artifacts from and to its door, if it has one and no other place was named.

    Raises MlflowException for an address that is not that of a door.
    """
    store = variables.get(_STORE, "")
    if urlsplit(store).scheme in SCHEMES and variables.get(_DESTINATION) == _UNNAMED:
        variables[_DESTINATION] = door_url(store) + ARTIFACTS
