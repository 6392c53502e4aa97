"""Limits in seconds that hold on a slow or busy machine as well."""

from __future__ import annotations

import subprocess
import sys
import time

START_S = 0.1  # of an interpreter with asyncio, on a quiet machine of two cores: 0.06 to 0.09
SAMPLES, MOST = 3, 20.0


def allowed(seconds: float) -> float:
    """Return a limit for this machine now: `seconds` on a quiet one, more in proportion where Python starts slowly."""
    slowest = max(_start_s() for _ in range(SAMPLES))
    return seconds * min(max(slowest / START_S, 1.0), MOST)


def _start_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return time.monotonic() - began
