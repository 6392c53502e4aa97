"""A producer appends heartbeats while it cuts nothing, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.client.shipping import heartbeats
from gateway.client.shipping.shipper import Shipper
from tests.support.client_harness import Memory, new_run, shipping, wait_for


@pytest.fixture
def shipper(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shipper]:
    monkeypatch.setattr(heartbeats, "EVERY_S", 0.02)
    with shipping(memory) as running:
        yield running


def test_a_silent_producer_sends_heartbeats_until_it_is_closed(memory: Memory, shipper: Shipper) -> None:
    run = new_run(shipper)
    run.emit("loss", 0.5)
    wait_for(lambda: memory.kinds().count("heartbeat") >= 3)
    run.emit("loss", 0.25)
    run.finish()

    kinds = [kind for kind in memory.kinds() if kind != "heartbeat"]
    assert kinds == ["metrics", "metrics", "run_finished", "producer_closed"]
    assert memory.kinds()[-2:] == ["run_finished", "producer_closed"]
    assert memory.events()[-1].batches == len(memory.envelopes())


def test_an_unused_producer_sends_no_heartbeat_and_an_outage_collects_none(memory: Memory, shipper: Shipper) -> None:
    unused, used = new_run(shipper, "unused"), new_run(shipper, "used")
    used.emit("loss", 0.5)
    wait_for(lambda: "heartbeat" in memory.kinds())
    assert {envelope.run_id for envelope in memory.envelopes()} == {"used"}

    memory.is_held = True
    used.emit("loss", 0.25)
    wait_for(lambda: len(shipper._backlog) > 0)
    waiting = len(shipper._backlog)
    memory.is_held = False
    for run in (unused, used):
        run.finish()

    assert waiting <= 2
