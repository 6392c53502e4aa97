"""
Open the backend that an MLflow address names.

No message shows more of an address than is safe: a part that cannot be parsed may be a password.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from consumers.trackers.mlflow.backend import Backend
from consumers.trackers.mlflow.database import postgresql_database, sqlite_database
from consumers.trackers.mlflow.database.backend import DatabaseBackend
from consumers.trackers.mlflow.rest_backend import RestBackend
from schemas.errors import BadSettings
from schemas.runtime.text import mask_password

_HTTP = ("http://", "https://")


def open_backend(url: str, timeout_s: float) -> Backend:
    """Return the backend for an address; it does not connect yet. Raises BadSettings."""
    if url.startswith(sqlite_database.SCHEME):
        return DatabaseBackend(sqlite_database.SqliteDatabase(url))
    if url.startswith(postgresql_database.SCHEME):
        return DatabaseBackend(postgresql_database.PostgresqlDatabase(url))
    if not url.startswith(_HTTP):
        raise BadSettings(
            f"the address of MLflow is {mask_password(url)!r}: write that of a server, http://host:port, or of a "
            "database, sqlite:///mlflow.db on this machine or postgresql://user:password@host/database "
            "(MLflow's folders keep a repeated point twice)"
        )
    if not _is_readable(url):
        raise BadSettings(
            "the address of MLflow cannot be read: write http://host:port or https://user:password@host, "
            "with %2F for /, %40 for @, %3A for :, %23 for # and %3F for ? in user and password"
        )
    return RestBackend(url, timeout_s=timeout_s)


def _is_readable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        rest = parts.path + parts.query + parts.fragment
        return bool(parts.hostname) and parts.port != 0 and "@" not in rest
    except ValueError:
        return False
