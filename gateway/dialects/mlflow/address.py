"""
The address of a door as MLflow gets it, `gateway://host:port`, and the credentials of its requests.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import MlflowHostCreds

SCHEMES = {"gateway": "http", "gateways": "https"}
# Below this prefix the door answers what it serves itself and forwards nothing: it forwards to MLflow's server, where
# the store may run that asks.
STORE = "/store"
ARTIFACTS = f"{STORE}/api/2.0/mlflow-artifacts/artifacts"


def door_url(uri: str) -> str:
    """
    Return the URL of a door, `http://host:port`: `gateways://` means https.

    Raises MlflowException INVALID_PARAMETER_VALUE for another form.
    """
    try:
        parts = urlsplit(uri)
        is_complete = bool(parts.scheme in SCHEMES and parts.hostname and parts.port != 0)
    except ValueError:  # an odd port or IPv6 address
        is_complete = False
    if not is_complete or parts.query or parts.fragment or "@" in parts.netloc:
        # Without its text, which may hold a password.
        raise MlflowException.invalid_parameter_value(
            "The address of a MLflow door is gateway://host:port, for instance gateway://127.0.0.1:5001 "
            "(gateways:// for https); its token is in MLFLOW_TRACKING_TOKEN."
        )
    return f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"


def credentials(uri: str) -> Callable[[], MlflowHostCreds]:
    """Return what MLflow's REST stores call before each request. Raises MlflowException, as `door_url`."""
    return functools.partial(get_default_host_creds, door_url(uri) + STORE)
