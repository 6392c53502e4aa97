"""Deletes and renames from training code: in their place among the points, and harmless."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.errors import ClientError, InDoubt, Unsent
from gateway.client.run.run import Run
from gateway.client.shipping import immediate
from gateway.client.transports.transport import Refusal
from tests.support.client_harness import Memory, new_run, shipping


@pytest.fixture
def memory() -> Memory:
    notices.reset()
    return Memory()


@pytest.fixture
def run(memory: Memory) -> Iterator[Run]:
    with shipping(memory) as shipper:
        yield new_run(shipper)


def said(memory: Memory) -> list[tuple[str, ...]]:
    """Return what the log has, in its order: points, deletes and renames."""
    found: list[tuple[str, ...]] = []
    for event in memory.events():
        match event.kind:
            case "metrics":
                found += [("point", one.name, str(one.values[0])) for one in event.series]
            case "deleted":
                found.append(("deleted", event.what, event.name))
            case "renamed":
                found.append(("renamed", event.what, event.old, event.new))
    return found


def test_points_stay_on_their_side_of_a_delete_and_a_rename(run: Run, memory: Memory) -> None:
    run.emit("loss", 1.0)
    run.delete(series="loss")
    run.emit("loss", 2.0)
    run.rename("train/loss", series="loss")
    run.emit("loss", 3.0)
    run.finish()

    assert said(memory) == [
        ("point", "loss", "1.0"),
        ("deleted", "series", "loss"),
        ("point", "loss", "2.0"),
        ("renamed", "series", "loss", "train/loss"),
        ("point", "loss", "3.0"),
    ]


def test_several_names_and_kinds_go_in_one_call(run: Run, memory: Memory) -> None:
    run.log_params(lr=0.1, seed=1)
    run.set_tags(team="vision", draft="yes")
    run.delete(param="lr", tag=["draft", "team"], label="config", artifact=("model",))
    run.finish()

    assert said(memory) == [
        ("deleted", "param", "lr"),
        ("deleted", "tag", "draft"),
        ("deleted", "tag", "team"),
        ("deleted", "label", "config"),
        ("deleted", "artifact", "model"),
    ]
    assert (run.params, run.tags) == ({"seed": 1}, {})


def test_a_run_and_its_parts_get_new_names(run: Run, memory: Memory) -> None:
    run.log_params(lr=0.1)
    run.set_tags(team="vision", group="a")
    run.rename("baseline")
    run.rename("rate", param="lr")
    run.rename("group", tag="team")
    run.finish()

    assert said(memory) == [
        ("renamed", "run", "", "baseline"),
        ("renamed", "param", "lr", "rate"),
        ("renamed", "tag", "team", "group"),
    ]
    assert (run.name, run.params, run.tags) == ("baseline", {"rate": 0.1}, {"team": "vision", "group": "a"})


def test_a_call_that_names_nothing_or_too_much_changes_nothing_and_is_said_once(
    run: Run, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    run.delete()
    run.delete(series=[])
    run.rename("x", series="a", tag="b")
    run.delete(series=3)  # type: ignore[arg-type]  # what is wrong must not raise
    run.finish()

    told = capsys.readouterr().err
    assert said(memory) == []
    assert run.health()["notices"] == {"delete": 3, "rename": 1}
    assert "run.delete(series='loss')" in told
    assert "one part is renamed at a time" in told


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


def test_what_was_sent_without_an_answer_is_in_doubt(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.failures = 1_000

    with pytest.raises(InDoubt, match="made to fail"):
        send(memory, monkeypatch, 0.2)


def test_what_could_not_be_sent_is_not_in_doubt(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> None:
        raise Unsent("nobody is there")

    monkeypatch.setattr(memory, "open", refuse)

    with pytest.raises(Unsent, match="nobody is there") as caught:
        send(memory, monkeypatch, 0.2)
    assert type(caught.value) is Unsent


def test_what_will_never_be_taken_is_said(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: object) -> list[Refusal]:
        return [Refusal(0, "too large")]

    monkeypatch.setattr(memory, "send", refuse)

    with pytest.raises(ClientError, match="too large"):
        send(memory, monkeypatch)
