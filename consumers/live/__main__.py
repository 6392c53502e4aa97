"""
`python -m consumers.live`: serve the API and the dashboard until SIGTERM or SIGINT.

Exit codes: 0 after a signal; 78 when restarting cannot help (a setting, a port, a password).
"""

from __future__ import annotations

import sys

from consumers.live.server import serve
from schemas.runtime.listener import run

if __name__ == "__main__":
    sys.exit(run("live", serve))
