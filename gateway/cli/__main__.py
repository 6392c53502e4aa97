"""
The command `gateway`, also as `python -m gateway.cli`. Ctrl-C while its modules load ends it as it does later.
"""

from __future__ import annotations


def main() -> None:
    """Load the command line and run it."""
    try:
        from gateway.cli.main import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
