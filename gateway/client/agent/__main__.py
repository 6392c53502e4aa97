"""
`python -m gateway.client.agent`: be the node agent of a journal home.

With `--detach`, which is how a training process starts one: read the settings as JSON from stdin, leave the session and
the parent, and say by the exit code whether there is an agent now. Else in the foreground, with the settings of the
environment, until it gets SIGTERM or has been idle for `--idle-s` seconds; 0, the default there: for ever.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not __package__:
    # Started by its path: it must be the code of the process that starts it, whatever is installed.
    from importlib.util import find_spec

    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = find_spec("gateway")
    if found is None or found.origin != os.path.join(ours, "__init__.py"):
        sys.path.insert(0, os.path.dirname(ours))

from gateway.client.agent.running import run_detached, run_here


def main(arguments: list[str]) -> int:
    """Run with these arguments; return the exit code."""
    if "--detach" in arguments:
        return run_detached(sys.stdin.read())
    idle_s = float(arguments[arguments.index("--idle-s") + 1]) if "--idle-s" in arguments else 0.0
    return run_here(idle_s=idle_s)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
