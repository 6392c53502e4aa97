from __future__ import annotations

import pwd
from pathlib import Path

import pytest

import gateway
from gateway.cli.sync import sync
from gateway.client import notices
from gateway.client.address import NOWHERE, find_address
from gateway.client.query import find_api
from gateway.client.run import registry
from gateway.client.stack_file import NoHome, default_home
from gateway.local.demo.demo import demo_home
from gateway.local.servers.kafka_jars import cache_folder
from schemas.errors import BadSettings, StackError
from schemas.runtime.settings import Settings


def test_the_home_of_the_default_stack_follows_the_data_directory() -> None:
    assert default_home({"XDG_DATA_HOME": "/data"}).endswith("tracking-gateway")


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process of a pod with a random user id, which has no home folder; return its working directory."""

    def unknown(_: int) -> object:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "GATEWAY_HOME", "GATEWAY_JOURNAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("GATEWAY_CAPTURE", "none")
    monkeypatch.setenv("GATEWAY_FINISH_TIMEOUT_S", "0")
    monkeypatch.chdir(tmp_path)
    notices.reset()
    return tmp_path


@pytest.mark.parametrize("named", [{}, {"GATEWAY_JOURNAL_DIR": "~/journal"}, {"GATEWAY_HOME": "~/stack"}])
def test_training_without_a_home_makes_no_folder_named_tilde(
    no_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: dict[str, str]
) -> None:
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with gateway.start_run(run_id="r", url="http://127.0.0.1:9") as run:
        gateway.emit("loss", 1.0)
        report = run.finish(timeout_s=0)
    registry.stop_shippers()

    assert (report.emitted, report.dropped, report.journal) == (1, 0, "")
    assert list(no_home.iterdir()) == []
    assert "home folder of this user is not known" in (lines := capsys.readouterr().err)
    assert "set GATEWAY_JOURNAL_DIR, or GATEWAY_HOME" in lines


def test_addresses_are_found_without_a_home(no_home: Path) -> None:
    assert find_address(None, {}).url == NOWHERE
    assert find_api({"GATEWAY_LIVE_URL": "http://127.0.0.1:8000"}) == "http://127.0.0.1:8000"
    with pytest.raises(NoHome):
        default_home({})


def test_commands_without_a_home_name_the_setting(no_home: Path) -> None:
    for call in (Settings.load, sync, demo_home):
        with pytest.raises(BadSettings, match=r"set .*GATEWAY_HOME"):
            call()
    with pytest.raises(StackError, match="set HOME, or XDG_CACHE_HOME"):
        cache_folder()
