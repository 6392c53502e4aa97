"""
Ask a tracker's code what it cannot hold, in a process of its own: `python -m consumers.delivery.plugins.describe NAME`.

Commands that show the status of a tracker must answer even if its plug-in hangs, prints, or ends the process that
imports it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from schemas.errors import BadSettings
from schemas.runtime.settings import PREFIX, Settings

WAIT_S = 10.0


def losses(settings: Settings, name: str) -> list[str]:
    """Return what a tracker cannot hold, one line each. Raises BadSettings when its code does not answer."""
    command = [sys.executable, "-P", "-m", "consumers.delivery.plugins.describe", name]
    given = os.environ | {f"{PREFIX}HOME": str(settings.home)}
    try:
        done = subprocess.run(command, env=given, capture_output=True, timeout=WAIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise BadSettings(f"tracker {name!r}: its import hangs, longer than {WAIT_S:g} s: fix or remove it") from None
    try:
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise BadSettings(
            f"tracker {name!r}: its import ends the process (code {done.returncode}): fix or remove it"
        ) from None
    if "error" in found:
        raise BadSettings(str(found["error"]))
    lines = found["cannot_hold"]
    assert isinstance(lines, list)
    return lines


def main() -> None:
    """Print the answer of the tracker as one line of JSON, the last of stdout."""
    from consumers.delivery.plugins.loader import load_tracker

    try:
        found: dict[str, object] = {"cannot_hold": list(load_tracker(sys.argv[1], Settings.load()).cannot_hold)}
    except BadSettings as error:
        found = {"error": str(error)}
    print("\n" + json.dumps(found), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    main()
