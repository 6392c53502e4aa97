"""
`python -m gateway.server.mlflow`: serve MLflow's REST API until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, no token, no mlflow): a restart will not help.
"""

from __future__ import annotations

import logging
import sys

from schemas.errors import BadSettings
from schemas.runtime.listener import run
from schemas.runtime.settings import Settings


async def serve(settings: Settings) -> None:
    """Serve the door until a signal. Raises BadSettings, also where MLflow is not installed, and StackError."""
    try:
        from gateway.server.mlflow import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mlflow":
            raise
        raise BadSettings(
            'the MLflow door needs MLflow, which is not installed: run `pip install "tracking-gateway[mlflow]"`'
        ) from error
    await app.serve(settings)


if __name__ == "__main__":
    sys.exit(run("mlflow-door", serve, quiet={"aiokafka": logging.NOTSET}))  # kafka_transport.py sets its level
