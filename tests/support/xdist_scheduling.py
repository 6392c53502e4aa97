"""
Distributes the tests over three processes. All tests of a file run in one process.

Three processes for two cores, because a test mostly waits: for a process to start, a session to end, a connection to
heal. With two processes 40 % of the processor time was idle. Long files run first, and short files fill the end. Files
that start whole stacks run in the same process: a stack chooses its ports long before it listens on them, so two stacks
that start at once could choose the same ports.
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
PRODUCT_PORTS = ports.RANGE  # before conftest.py gives each process its own
WORKERS = 3
FIRST_PORT, PORTS = 10_000, 10_000 // WORKERS  # of the servers of the tests, below those from which a stack chooses


def processes(arguments: Sequence[str]) -> int:
    """Return the number of processes, each with its own Kafka: 3 for folders, 0 (only pytest itself) for files."""
    return 0 if all(".py" in argument for argument in arguments) else WORKERS


def unit_of(node_id: str) -> str:
    """Return the name of the group of tests that run in one process with this test."""
    file = node_id.partition("::")[0]
    return "stacks" if file in STACKS else file


def by_length(item: pytest.Item) -> int:
    """Return a sort key: stacks first, then other tests with servers, then the quick ones."""
    file = item.nodeid.partition("::")[0]
    return 0 if file in STACKS else 1 if file.startswith(SLOW) else 2


def own_ports() -> range:
    """Return the range in which this process chooses free ports, so that two processes never choose the same port."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return PRODUCT_PORTS
    first = FIRST_PORT + int(worker.removeprefix("gw")) % WORKERS * PORTS
    return range(first, first + PORTS)


def scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Return the scheduler, which assigns whole groups to processes."""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types here
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return ByUnit(config, log)
