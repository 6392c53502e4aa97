"""Events sent at once: each call ends with acknowledged, not written, or in doubt."""

from __future__ import annotations

import pytest

from gateway.client.address import Address
from gateway.client.errors import ClientError, InDoubt, Unsent
from gateway.client.shipping import immediate
from gateway.client.transports.transport import Refusal
from tests.support.client_harness import Memory


def send(memory: Memory, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 5.0) -> str:
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    bodies = [{"kind": "deleted", "what": "series", "name": "loss"}]
    return immediate.send_now(Address("kafka://memory:1", "t"), {"r1": bodies, "r2": bodies}, timeout_s=timeout_s)


def test_events_sent_at_once_are_whole_producers_and_sent_again_are_the_same(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.failures = 1
    producer = send(memory, monkeypatch)

    assert len(memory.sent) == 8
    found = [(one.run_id, one.producer, one.seq, one.event.kind) for one in memory.envelopes()]
    assert found == [
        (run_id, producer, seq, kind)
        for run_id in ("r1", "r2")
        for seq, kind in enumerate(("deleted", "producer_closed"))
    ]
    assert [one.event.batches for one in memory.envelopes() if one.event.kind == "producer_closed"] == [2, 2]
    assert {bytes(one.value) for one in memory.sent[:4]} == {bytes(one.value) for one in memory.sent[4:]}


def test_events_sent_without_an_answer_are_in_doubt(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.failures = 1_000

    with pytest.raises(InDoubt, match="made to fail"):
        send(memory, monkeypatch, 0.2)


def test_events_that_were_not_sent_are_not_in_doubt(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> None:
        raise Unsent("connection refused")

    monkeypatch.setattr(memory, "open", refuse)

    with pytest.raises(Unsent, match="connection refused") as caught:
        send(memory, monkeypatch, 0.2)
    assert type(caught.value) is Unsent


def test_a_refused_event_is_an_error(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: object) -> list[Refusal]:
        return [Refusal(0, "too large")]

    monkeypatch.setattr(memory, "send", refuse)

    with pytest.raises(ClientError, match="too large"):
        send(memory, monkeypatch)
