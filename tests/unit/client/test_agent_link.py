"""How a process finds an agent, and when it does without."""

from __future__ import annotations

import mmap
import os
import struct
import sys
from pathlib import Path
from zlib import crc32

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.agent import link as linking
from gateway.client.agent.link import AgentLink
from gateway.client.agent.mode import agent_mode, idle_seconds
from gateway.client.agent.place import AgentPlace, fingerprint, is_pulse_of, pulse_of
from gateway.client.agent.starting import start
from gateway.client.agent.wakeups import WakeupSender, WakeupSocket
from gateway.client.ids import uuid7
from gateway.client.journal import blocks
from gateway.client.journal.cursor import FILE_BYTES, ShippingCursor
from gateway.client.run import registry
from tests.support.client_harness import wait_for

ADDRESS = Address("kafka://127.0.0.1:1", "t")


@pytest.fixture(autouse=True)
def fresh_notices() -> None:
    notices.reset()


def test_messages_reach_an_agent_in_a_folder_with_a_path_of_any_length(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    folder.mkdir(parents=True)
    path = str(folder / "wake")
    inbox = WakeupSocket(path)
    sender = WakeupSender(path)

    assert sender.send()
    assert sender.send("/a/journal")
    assert inbox.receive() == ["", "/a/journal"]
    inbox.close()
    assert not sender.send()
    sender.close()
    assert list(folder.iterdir()) == []


def test_a_file_system_of_several_hosts_has_no_agent(journal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "file_system", lambda _: "nfs4")
    link = AgentLink()
    link.check(ADDRESS, 1.0)

    assert (link.id, link.is_starting) == ("", False)
    assert "several hosts" in link.reason
    assert list(journal_home.iterdir()) == []


@pytest.mark.parametrize("python", ["", "/usr/bin/my-program", "/nowhere/python3"])
def test_only_a_python_is_started(
    journal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)

    with pytest.raises(OSError, match=r"Python|No such file"):
        start(str(journal_home), ADDRESS, 1.0)


def test_a_start_that_fails_is_named_and_leaves_no_child(
    journal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    link, now = AgentLink(), iter(range(1_000_000))
    link.check(ADDRESS, 0.0)
    child = link._starter

    def has_ended() -> bool:
        link.check(ADDRESS, next(now) * 1e-6)
        return not link.is_starting

    wait_for(has_ended)

    assert link.reason == "it cannot be started"
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_what_tells_credentials_apart_does_not_tell_them() -> None:
    options = {"token": "secret"}

    assert fingerprint(options, "a") == fingerprint(dict(options), "a")
    assert len({fingerprint(options, "a"), fingerprint(options, "b"), fingerprint({}, "a")}) == 3
    assert "secret" not in fingerprint(options, "a")
    assert fingerprint(options, "a", "kafka://one") != fingerprint(options, "a", "kafka://other")
    assert fingerprint({}, "a", "kafka://one") == fingerprint({}, "a", "kafka://other")  # nothing to give away


def test_a_pulse_says_whose_it_is() -> None:
    agent = uuid7()

    assert len(pulse_of(agent, 2**70)) == 24
    assert is_pulse_of(pulse_of(agent, 1), agent)
    assert not is_pulse_of(pulse_of(agent, 1), uuid7())


def test_agents_are_told_apart_by_machine_and_user(journal_home: Path) -> None:
    place = AgentPlace(str(journal_home))
    place.create()

    assert Path(place.folder).parent.name == f".agents-{os.getuid()}"
    assert Path(place.folder).stat().st_mode & 0o777 == 0o700
    assert Path(place.folder).parent.stat().st_mode & 0o777 == 0o700


def test_settings_that_mean_nothing_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_AGENT", "perhaps")
    monkeypatch.setenv("GATEWAY_AGENT_IDLE_S", "soon")

    assert agent_mode() == agent_mode()
    assert idle_seconds() == 60.0
    said = capsys.readouterr().err
    assert "'perhaps' is not known: write one of auto, on, off, require" in said
    assert "'soon' is no number" in said


def test_events_that_are_kept_have_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_AGENT", "on")
    shipper = registry.shipper_for(Address("none:", "t"))

    assert shipper.is_offline


def test_a_block_that_is_being_written_is_read_from_its_other_copy() -> None:
    memory = mmap.mmap(-1, FILE_BYTES)
    blocks.write_owner(memory, 1, 2, 3, 4)
    memory[1_030:1_031] = b"\xff"  # the writer was killed in the middle of the first one
    blocks.write_report(memory, {"error": "x" * 5_000, "connected": True})

    assert blocks.read_owner(memory) == (1, 2, 3, 4)
    assert blocks.read_report(memory)["connected"] is True
    memory[2_060:2_061] = b"\xff"
    assert blocks.read_report(memory) == {}


def test_the_cursor_of_a_journal_of_format_1_is_read(tmp_path: Path) -> None:
    producer = uuid7()
    raw = struct.pack("<IIQQQQQII16s", 0x4C4A5447, 1, 7, 5, 9, 800, 3, 2, 400, bytes.fromhex(producer.replace("-", "")))
    whole = raw + crc32(raw).to_bytes(4, "little")
    path = tmp_path / f"cuts.0000.{producer}"
    path.write_bytes(whole + bytes(4_096 - len(whole)) + whole + bytes(FILE_BYTES - 4_096 - len(whole)))
    found = ShippingCursor.open(str(path))
    found.save()
    again = ShippingCursor.open(str(path))

    assert (found.cuts, found.acknowledged, found.seq, found.points, found.dropped) == (7, 5, 9, 800, 3)
    assert (found.flags, found.end) == (1, (2, 400))
    assert vars(again)["cuts"] == 7
    assert (again.dropped, again.flags, again.end) == (3, 1, (2, 400))
