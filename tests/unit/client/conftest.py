from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.client import notices
from gateway.client.process import inheritance
from gateway.client.recording.recorder import CAPTURE, DIGESTS
from gateway.client.run import registry
from gateway.client.run.run import Run
from tests.support.client_harness import DEADLINE_S, Memory, new_run, shipping

LAUNCHERS = (
    *inheritance.RANKS,
    *inheritance.LAUNCHES,
    "TORCHELASTIC_RESTART_COUNT",
    "SLURM_RESTART_COUNT",
    "GATEWAY_ATTEMPT",
    "GATEWAY_JOIN",
    "GATEWAY_RUN_ID",
)


@pytest.fixture
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The state of a fresh process that no launcher started; its runs are sent nowhere and capture nothing."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", "none:")
    monkeypatch.setenv("GATEWAY_CAPTURE", "none")
    monkeypatch.chdir(tmp_path)
    notices.reset()
    yield
    while gateway.current_run() is not None:
        gateway.finish()
    registry.stop_shippers()
    notices.reset()


@pytest.fixture
def memory() -> Memory:
    """A transport that keeps what it is given; no notice was given before."""
    notices.reset()
    return Memory()


@pytest.fixture
def run(memory: Memory) -> Iterator[Run]:
    """An open run whose events arrive in `memory`; its background work ends with the test."""
    with shipping(memory) as shipper:
        one = new_run(shipper)
        yield one
        for work in (CAPTURE, DIGESTS):
            assert one.recorder.stop_background(work, DEADLINE_S)
