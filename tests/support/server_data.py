"""
The data of servers that were never used, made once for all servers of a test process.

A new home costs 5 s of a core before its first server runs: Kafka formats its storage (a JVM), PostgreSQL runs initdb,
MLflow migrates an empty database. Every further server gets a copy.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from gateway.local.command import Command
from gateway.local.servers import kafka, postgres

MLFLOW_DATABASE = "mlflow.db"


@cache
def _templates() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gateway-templates-"))
    folder.chmod(0o711)  # PostgreSQL's own user passes through
    return folder


def remove_templates() -> None:
    """Remove the copies that all servers started from, if there are any."""
    if _templates.cache_info().currsize:
        shutil.rmtree(_templates(), ignore_errors=True)
        _templates.cache_clear()


def prepare_kafka(folder: Path, *, port: int, controller_port: int) -> Command:
    """Return the command of a broker that permits short sessions, for tests that wait until a session ends."""
    fill_kafka(folder)
    command = kafka.prepare(folder, port=port, controller_port=controller_port)
    with (folder / "server.properties").open("a", encoding="ascii") as properties:
        properties.write("group.min.session.timeout.ms=1000\n")  # default 6000
    return command


def prepare_postgres(folder: Path, *, port: int) -> Command:
    """Return the command of a PostgreSQL server."""
    fill_postgres(folder)
    command = postgres.prepare(folder, port=port)
    # A process that is killed loses nothing without fsync, and a database is made in half the time.
    return command._replace(argv=[*command.argv, "-c", "fsync=off"])


def fill_home(home: Path) -> None:
    """Give a home of a stack the data of servers that have run and hold nothing."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    fill_kafka(home / "kafka")
    fill_postgres(home / "postgres")
    fill_mlflow(home / "mlflow")


def fill_kafka(folder: Path) -> None:
    """Give a broker formatted storage, unless it has storage."""
    template = _templates() / "kafka"
    if not template.exists():
        kafka.prepare(template, port=1, controller_port=2)
    if not (folder / "data").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(template / "data", folder / "data")


def fill_postgres(folder: Path) -> None:
    """Give a server an empty cluster and its password, unless it has a cluster."""
    template = _templates() / "postgres"
    if not template.exists():
        postgres.prepare(template, port=1)
    if not (folder / "data").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # With owners and modes: as root, the cluster belongs to another user.
        subprocess.run(["cp", "-a", f"{template}/.", str(folder)], check=True)


def fill_mlflow(folder: Path) -> None:
    """Give a server a database that is migrated, once `keep_mlflow` has seen one, unless it has a database."""
    template = _templates() / MLFLOW_DATABASE
    if template.exists() and not (folder / MLFLOW_DATABASE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(template, folder)


def keep_mlflow(folder: Path) -> None:
    """Keep the database of a server that has just started and was not used."""
    template = _templates() / MLFLOW_DATABASE
    if not template.exists():
        with closing(sqlite3.connect(folder / MLFLOW_DATABASE)) as old, closing(sqlite3.connect(template)) as new:
            old.backup(new)
