from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.process import inheritance
from gateway.client.run import registry
from gateway.client.run.run import Run
from tests.support.client_harness import Memory, new_run, shipping


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The state of a fresh process that no launcher started; its runs are sent nowhere and capture nothing."""
    for name in (*inheritance.RANKS, inheritance.RUN_ID, inheritance.JOIN, inheritance.ATTEMPT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", "none:")
    monkeypatch.setenv("GATEWAY_CAPTURE", "none")
    monkeypatch.chdir(tmp_path)
    notices.reset()
    yield
    notices.reset()


@pytest.fixture
def memory() -> Memory:
    """A transport that keeps what it is given."""
    return Memory()


@pytest.fixture
def run(memory: Memory) -> Iterator[Run]:
    """The current run; its events arrive in `memory`."""
    with shipping(memory) as shipper:
        one = new_run(shipper)
        registry.add(one, lambda _: None)
        yield one
        registry.remove(one, lambda _: None)
