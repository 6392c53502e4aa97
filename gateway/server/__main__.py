"""
`python -m gateway.server`: accept events over HTTP until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, no token): a restart will not help.
"""

from __future__ import annotations

import logging
import sys

from gateway.server.serve import serve
from schemas.runtime.listener import run

if __name__ == "__main__":
    sys.exit(run("ingest", serve, quiet={"aiokafka": logging.NOTSET}))  # the client's kafka_transport.py sets its level
