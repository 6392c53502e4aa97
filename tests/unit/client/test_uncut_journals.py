"""A journal from which nothing can be cut is named, and stops neither other runs nor other journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.client.address import Address
from gateway.client.journal.folder import find_journals
from gateway.client.journal.journal import Journal
from gateway.client.shipping import producer as producer_module
from gateway.client.shipping.sync import sync
from tests.support.client_harness import Memory, new_run, points, shipping, wait_for

MAIN = ("main", 1, ())
ELSEWHERE = Address("kafka://elsewhere:1", "t")


@pytest.fixture(autouse=True)
def poisonous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a segment with a series called `poison` one that cannot be cut."""
    encode_events = vars(producer_module)["encode_events"]

    def encode_or_raise(segment: Any, piece: Any) -> Any:
        if segment.map.find(b"poison") >= 0:
            raise ValueError("an unforeseen record")
        return encode_events(segment, piece)

    monkeypatch.setattr(producer_module, "encode_events", encode_or_raise)


def leave_journal(run_id: str, name: str, address: Address = ELSEWHERE) -> None:
    """Write a journal as a process does that is killed."""
    journal = Journal(run_id)
    journal.set_destination(address.url, address.topic)
    for step in range(10):
        journal.put(name, float(step), step, MAIN)
    journal.close()


def test_other_runs_of_the_process_are_sent(memory: Memory, capfd: pytest.CaptureFixture[str]) -> None:
    with shipping(memory) as shipper:
        stuck, good = new_run(shipper, "stuck"), new_run(shipper, "good")
        stuck.emit("poison", 0.5, 0)
        for step in range(100):
            good.emit("loss", 0.5, step)
        good.finish()
        wait_for(lambda: bool(shipper.uncut))
        reasons = list(shipper.uncut.values())

    assert [seen.step for seen in points(memory.events())] == list(range(100))
    assert reasons == ["its journal cannot be read (ValueError: an unforeseen record)"]
    assert "run stuck: its journal cannot be read" in capfd.readouterr().err


def test_sync_names_it_and_sends_the_others(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(tmp_path))
    leave_journal("a", "poison")
    leave_journal("b", "loss")
    with shipping(memory) as shipper:
        done = sync(str(tmp_path), shipper, timeout_s=60.0)

    assert (done.journals, [text.partition(": ")[2] for text in done.unsent]) == (
        1,
        ["its journal cannot be read (ValueError: an unforeseen record): keep it and report this"],
    )
    assert [seen.name for seen in points(memory.events())] == ["loss"] * 10
    assert len(list(find_journals(str(tmp_path)))) == 1


def test_a_process_adopts_the_others(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(tmp_path))
    with shipping(memory) as shipper:
        for run_id, name in (("a", "poison"), ("b", "loss")):
            leave_journal(run_id, name, shipper.address)
        run = new_run(shipper, "mine")
        run.emit("other", 0.5, 0)
        wait_for(lambda: any(seen.name == "loss" for seen in points(memory.events())))
        run.finish()

    assert len(list(find_journals(str(tmp_path)))) == 1
