"""
The tables of MLflow that this release reads and writes: those of one revision of MLflow's schema.

A database of another revision is left alone. MLflow's own store would change the tables of an older one when it is
opened, under a server that is running on them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import mlflow

from consumers.trackers.mlflow.responses import NothingDone

REVISION, RELEASE = "dc11669786a5", "3.17.2"  # the newest migration of that release of MLflow
REVISION_SQL = "SELECT version_num FROM alembic_version"
_FIRST_TABLES = {"experiments", "runs", "tags", "metrics", "params", "alembic_version"}
_MIGRATIONS = "store/db_migrations/versions"  # of the installed MLflow: files named <revision>_<words>.py


def check_revision(address: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Compare the rows of the table `alembic_version` with the revision that this release writes.

    Raises NothingDone, so that the delivery continues by itself once the database was upgraded.
    """
    found = ", ".join(str(row[0]) for row in rows) or "none"
    if found == REVISION:
        return
    remedy = (
        f"make a backup, stop its servers, run `mlflow db upgrade {address}` with MLflow {RELEASE} and start them again"
        if _is_older(found)
        else "MLflow here does not know it, so a newer one made it: give the address of its server, http://host:port, "
        "or use a release of this project for that MLflow"
    )
    raise NothingDone(
        f"MLflow's database {address} has tables of revision {found}, not {REVISION} of MLflow {RELEASE}: {remedy}"
    )


def check_new(address: str, tables: Collection[str]) -> None:
    """
    Check that a database without a revision may get MLflow's tables. Raises NothingDone.

    It has none, or those that MLflow makes first: it was interrupted. Its next steps would change tables of others.
    """
    if other := sorted(set(tables) - _FIRST_TABLES):
        raise NothingDone(
            f"{address} is no database of MLflow: it has tables of something else ({', '.join(other)[:100]}): "
            "give MLflow a database of its own"
        )


def _is_older(revision: str) -> bool:
    migrations = Path(mlflow.__file__).parent / _MIGRATIONS
    return any(path.name.startswith(f"{revision}_") for path in migrations.glob("*.py"))
