"""
Fixtures that every test may use.

`kafka` and `postgres_server` start once per session; `topic` and the databases are new for each test. Tests that use
one of them get the marker `stack` automatically.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from gateway.client.run import registry
from gateway.local import ports
from gateway.local.stack import Stack
from tests.support import python_process, server_data, services, side_packages, xdist_scheduling
from tests.support.process_tree import processes_of

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# No deadline: the default of Hypothesis, 200 ms per example, makes tests fail on a busy machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

STACK_FIXTURES = {"kafka", "postgres_server", "topic", "database", "empty_database", "stack_home", "whole_stack_home"}


def gateway_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("GATEWAY_")}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """
    Keep what collection made out of every later garbage collection.

    All modules and tests are there until the end. To look through them again and again took a sixth of the processor
    time of the tests that run in this process.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set markers by fixture, because markers that are set by hand are forgotten."""
    for item in items:
        if STACK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("stack")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=xdist_scheduling.by_length)  # after the shuffle, so that the order within a length stays random


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three processes for folders, one for single files."""
    return xdist_scheduling.processes(config.args)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """All tests of a file run in one process, and so do all files that start stacks."""
    return xdist_scheduling.scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def shared_starts() -> Iterator[None]:
    """End what the tests of this process share to start quickly."""
    yield
    python_process.end_server()
    server_data.remove_templates()


@pytest.fixture(scope="session", autouse=True)
def own_ports() -> Iterator[None]:
    """Give each process of tests its own range of ports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "RANGE", xdist_scheduling.own_ports())
        yield


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Isolate tests from the settings of the shell, and from the ignored SIGINT of a background job."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
            patch.delenv(name)
        with tempfile.TemporaryDirectory(prefix="gateway-journals-") as journals:
            patch.setenv("GATEWAY_JOURNAL_DIR", journals)  # never that of the developer
            patch.setenv("GATEWAY_AGENT", "off")  # in all processes that tests start, too, but for tests of the agent
            yield


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Let a test that leaves a run open or a setting changed fail itself, instead of the next test."""
    before = gateway_settings()
    yield
    runs, settings = [run.id for run in registry.open_runs()], gateway_settings()
    for run in registry.open_runs():
        run.finish(timeout_s=0)
    registry.stop_shippers()
    for name in settings:
        os.environ.pop(name)
    os.environ.update(before)
    assert (runs, settings) == ([], before)


@pytest.fixture(autouse=True)
def journal_home(
    leaves_nothing: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give each test its own journals, so that no other test ships what it leaves."""
    home = tmp_path_factory.mktemp("journals")
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(home))
    return home


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder with a short path that other system users may traverse, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(session_folder: Path) -> Iterator[str]:
    """Bootstrap address of a real broker."""
    with services.running_kafka(session_folder / "kafka") as address:
        yield address


@pytest.fixture(scope="session")
def postgres_server(session_folder: Path) -> Iterator[str]:
    """Address of a real PostgreSQL server, with the role of an administrator."""
    with services.running_postgres(session_folder / "postgres") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def whole_stack_home(session_folder: Path) -> Iterator[Path]:
    """The home of a stack with every service, shared by all tests that read it, or kill it and start it again."""
    home = session_folder / "whole"
    server_data.fill_home(home)
    Stack(home).up()
    yield home
    Stack(home).down()
    assert processes_of(home) == []


@pytest.fixture
def whole_stack(whole_stack_home: Path) -> Stack:
    """The shared stack with every service, running."""
    stack = Stack(whole_stack_home)
    stack.up()
    return stack


@pytest.fixture
def topic(kafka: str) -> str:
    """Name of a new topic with 2 partitions."""
    name = f"test-{uuid.uuid4().hex}"
    services.run(services.create_topic(kafka, name, partitions=2))
    return name


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """Address of a new database that a process of this release has migrated."""
    dsn = services.run(services.create_database(postgres_server))
    yield dsn
    services.run(services.drop_database(postgres_server, dsn))


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """Address of a new database without tables."""
    dsn = services.run(services.create_database(postgres_server, empty=True))
    yield dsn
    services.run(services.drop_database(postgres_server, dsn))


@pytest.fixture(scope="session")
def magnus_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with magnus 0.5.1 and what it needs: see tests/support/side_packages.py."""
    return side_packages.installed("magnus", tmp_path_factory)


@pytest.fixture(scope="session")
def runnable_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with runnable 0.50 and what it needs: see tests/support/side_packages.py."""
    return side_packages.installed("runnable", tmp_path_factory)
