from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client import notices
from gateway.client.run import registry
from gateway.client.run.arguments import finish_timeout


@pytest.fixture(autouse=True)
def own_process_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", "none:")
    monkeypatch.chdir(tmp_path)
    notices.reset()
    yield
    while gateway.current_run() is not None:
        gateway.finish()
    registry.stop_shippers()
    notices.reset()


def test_the_run_started_last_is_current_until_it_is_finished() -> None:
    outer, inner = gateway.start_run("outer"), gateway.start_run("inner")
    found = [gateway.current_run()]
    inner.finish()
    found.append(gateway.current_run())
    outer.finish()
    found.append(gateway.current_run())

    assert found == [inner, outer, None]


@pytest.mark.parametrize("run_id", ["", "x" * 257, "a\x00b", "\ud800", 7])
def test_a_run_id_that_cannot_be_used_is_named(run_id: Any) -> None:
    with pytest.raises(gateway.ClientError, match="cannot be used: give 1 to 256 characters"):
        gateway.start_run(run_id)


def test_an_address_that_cannot_be_used_stops_start_run() -> None:
    with pytest.raises(gateway.ClientError, match="is not an address"):
        gateway.start_run(url="ftp://host:1")


def test_an_address_that_cannot_be_used_does_not_stop_emit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_URL", "ftp://host:1")
    gateway.emit("loss", 0.5)
    report = gateway.finish()

    assert report is not None
    assert (report.emitted, report.unsent, report.dropped) == (1, 1, 0)
    assert capsys.readouterr().err.count("is not an address") == 1


@pytest.mark.parametrize(
    ("given", "is_owner"),
    [({}, False), ({"run_id": "env"}, False), ({"run_id": "own"}, True), ({"resume": True}, True)],
)
def test_who_starts_and_ends_a_run_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], is_owner: bool
) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "env")
    run = gateway.start_run(**given)

    assert (run.id, run.is_owner) == (given.get("run_id", "env"), is_owner)


def test_everything_a_run_takes_may_be_said_without_one() -> None:
    gateway.log_params(lr=0.1)
    gateway.set_tags(a=1)
    gateway.set_labels(b=[1])
    gateway.note("x")
    gateway.artifact("m", "s3://x")
    with gateway.step("train"):
        gateway.emit({"loss": 0.5})
    assert gateway.flush(5.0)
    report = gateway.finish()

    assert report is not None
    assert report.emitted == 1


def test_without_a_run_there_is_nothing_to_finish() -> None:
    assert gateway.finish() is None
    assert gateway.flush() is True


@pytest.mark.parametrize(("given", "expected"), [("2.5", 2.5), ("-1", 0.0), ("soon", 30.0)])
def test_how_long_finish_waits_can_be_set(monkeypatch: pytest.MonkeyPatch, given: str, expected: float) -> None:
    monkeypatch.setenv("GATEWAY_FINISH_TIMEOUT_S", given)

    assert finish_timeout() == expected
