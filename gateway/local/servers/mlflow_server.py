"""
One MLflow tracking server for one home: its own database and artifact folder, no telemetry.

`mlflow server` imports MLflow, sets variables, and starts uvicorn, which imports MLflow again. Started directly,
uvicorn with the same application and variables serves after 2.4 s instead of 5.1 s, in one process of 260 MB instead
of two. The variables are those of the pinned release; `tests/integration/stack/test_stack.py` checks their effect.
"""

from __future__ import annotations

import http.client
import importlib.util
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

from gateway.local.command import Command
from gateway.local.ports import HOST
from schemas.errors import StackError

APPLICATION = "mlflow.server.fastapi_app:app"
_DATABASE = "mlflow.db"
_ROWS_ANALYZED = 1_000  # the first of each index: a few ms, whatever the size of the table
_BY_NAME = "sqlite_autoindex_metrics_1"  # the primary key of MLflow's table: name, time, step, run, value, is_nan
_LOCKED_S = 1.0


def prepare(folder: Path, *, port: int) -> Command:
    """Return the command that runs the server of `folder` in the foreground."""
    if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("flask") is None:
        raise StackError(
            'MLflow\'s server is not installed: run `pip install "tracking-gateway[local]"`, or set '
            "GATEWAY_MLFLOW_URL to a server that runs elsewhere, or leave mlflow out of GATEWAY_TRACKERS"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Relative to `folder`: MLflow would misread ?, # and % in the path of a home as parts of a URL.
    database = f"sqlite:///{_DATABASE}"
    _analyze(folder / _DATABASE)
    variables = {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./artifacts",
    }
    return command(variables, ["--host", HOST, "--port", str(port)], folder)


def command(variables: dict[str, str], listen: list[str], folder: Path) -> Command:
    """Return the command of a server with these variables; `listen` are options of uvicorn."""
    fixed = {
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = [sys.executable, "-P", "-W", "ignore", "-m", "uvicorn", APPLICATION]
    options = ["--workers", "1", "--no-access-log", "--log-level", "warning"]
    return Command([*server, *listen, *options], variables | fixed, folder=folder)


def _analyze(database: Path) -> None:
    """
    Give SQLite statistics of the metrics table, if the database exists and is free, for the server that starts next.

    Without statistics, SQLite searches a run's points of one metric among those of all runs that have a metric of this
    name (https://www.sqlite.org/lang_analyze.html); MLflow 3.17 never runs ANALYZE. The names that come first in the
    index may be those of one unusual run and not represent the others, so the statistics that ANALYZE finds are
    replaced: as if all rows had one name (https://www.sqlite.org/optoverview.html, "Manual Control Of Query Plans").
    """
    if not database.is_file():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=_LOCKED_S)) as connection:
        connection.execute(f"PRAGMA analysis_limit = {_ROWS_ANALYZED}")
        connection.execute("ANALYZE metrics")
        (rows,) = connection.execute("SELECT max(rowid) FROM metrics").fetchone()
        connection.execute("UPDATE sqlite_stat1 SET stat = ? WHERE idx = ?", (f"{rows} {rows} 10 10 1 1 1", _BY_NAME))
        connection.commit()


def serves(host: str, port: int, timeout_s: float = 5.0) -> bool:
    """
    Tell whether the server answers a query.

    /health is not enough: it answers before the database is created, and two deliveries would race to create it.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
