"""
Prepare a benchmark: install the tools and start their servers.

A tool that cannot be installed or started is listed with the reason; none is left out silently.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.catalogue import PEERS, Peer, chosen
from benchmarks.environments import Missing, default_cache, python_of
from benchmarks.history.keeping import add_keep
from benchmarks.processes import measure
from benchmarks.services import Server, running_kafka, running_mlflow
from schemas.errors import TrackingError


class Contestant(NamedTuple):
    """A tool that can be measured, with its Python and its server."""

    peer: Peer
    python: Path
    server: Server | None

    def measure(self, task: str, folder: Path, *, timeout_s: float, **request: Any) -> dict[str, Any]:
        """Run one task of the harness; the answer includes the server's CPU time for it. Raises Missing."""
        address = self.server.address if self.server else ""
        before = self.server.cpu_s() if self.server else 0.0
        found = measure(self.peer, self.python, task, folder=folder, address=address, timeout_s=timeout_s, **request)
        return {**found, "server_cpu_s": self.server.cpu_s() - before if self.server else 0.0}


@contextmanager
def prepared(peers: Iterable[Peer], cache: Path, folder: Path) -> Iterator[tuple[list[Contestant], dict[str, str]]]:
    """Yield the tools that can be measured, and why the others cannot, by name; servers run until the block ends."""
    ready: list[Contestant] = []
    missing: dict[str, str] = {}
    servers: dict[str, Server] = {}
    with ExitStack() as stack:
        for peer in peers:
            try:
                python = python_of(peer, cache)
                if peer.server and peer.server not in servers:
                    start = running_kafka(folder / "kafka") if peer.server == "kafka" else None
                    server = start or running_mlflow(folder / "mlflow", python)
                    servers[peer.server] = stack.enter_context(server)
            except (Missing, TrackingError, OSError) as error:
                missing[peer.name] = str(error)
                continue
            ready.append(Contestant(peer, python, servers.get(peer.server)))
        yield ready, missing


def options(description: str, among: tuple[Peer, ...] = PEERS) -> argparse.ArgumentParser:
    """Return a parser with the options of all benchmarks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--peers",
        type=partial(_peers, among=among),
        default="all",
        help="names separated by commas, all (the default) or none",
    )
    parser.add_argument("--json", action="store_true", help="print figures and machine as JSON instead of a table")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/benchmarks.md")
    add_keep(parser)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of the tools' environments")
    return parser


def _peers(names: str, among: tuple[Peer, ...]) -> list[Peer]:
    try:
        return chosen(names, among)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def report(text: str) -> None:
    """Print progress on stderr, separate from the result."""
    print(text, file=sys.stderr, flush=True)
