"""
`python -m gateway.server.mlflow`: serve MLflow's REST API until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, no token, no mlflow): a restart will not help.
"""

from __future__ import annotations

import logging
import sys

from gateway.server.mlflow.app import serve
from schemas.runtime.listener import run

if __name__ == "__main__":
    sys.exit(run("mlflow-door", serve, quiet={"aiokafka": logging.NOTSET}))  # kafka_transport.py sets its level
