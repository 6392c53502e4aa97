"""
How the tests are spread over two processes: a file stays in one process, with its stack and its order.

Two at once, since most of a test is waiting: for a process to start, a session to end, a line to heal. What takes
long comes first and the small files fill up the end. Files that start whole stacks stay together: each stack picks
its ports long before it listens on them, so two that start at once could pick the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.local import ports

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

STACKS = {
    "tests/faults/test_everything_killed.py",
    "tests/integration/stack/test_demo.py",
    "tests/integration/stack/test_stack.py",
    "tests/integration/stack/test_refusals.py",
    "tests/integration/stack/test_whole.py",
    "tests/integration/stack/test_faulty_plugins.py",
}
SLOW = ("tests/browser/", "tests/faults/", "tests/integration/")
PRODUCT_PORTS = ports.RANGE  # before conftest.py gives a process its own
FIRST_PORT, PORTS = 10_000, 5_000  # of the tests' own servers, below those that a stack picks from


def processes(arguments: Sequence[str]) -> int:
    """Return how many processes to start, each with its own Kafka: 2 for a folder, none beside pytest's for files."""
    return 0 if all(".py" in argument for argument in arguments) else 2


def unit_of(node_id: str) -> str:
    """Name what must stay in one process with a test."""
    file = node_id.partition("::")[0]
    return "stacks" if file in STACKS else file


def by_length(item: pytest.Item) -> int:
    """Sort stacks before other tests with servers, and those before the quick ones; otherwise the order is kept."""
    file = item.nodeid.partition("::")[0]
    return 0 if file in STACKS else 1 if file.startswith(SLOW) else 2


def own_ports() -> range:
    """Return where this process looks for free ports, so that two never take the same one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return PRODUCT_PORTS
    first = FIRST_PORT + int(worker.removeprefix("gw")) % 2 * PORTS
    return range(first, first + PORTS)


def scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Return what hands out units of tests."""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types here
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return ByUnit(config, log)
