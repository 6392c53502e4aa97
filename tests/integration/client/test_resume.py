"""A run that is continued counts on: steps, and attempts on any machine; one that was deleted says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.client.query import get, run_path
from gateway.client.run import earlier
from tests.support.gateway_command import gateway_with
from tests.support.live_process import live_process
from tests.support.materialiser_process import materialiser


@pytest.fixture
def variables(client_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of this process and of commands."""
    monkeypatch.setenv("GATEWAY_CAPTURE", "none")
    monkeypatch.setattr(earlier, "TIMEOUT_S", 60.0)  # a busy machine answers late
    return client_variables | {"GATEWAY_CAPTURE": "none"}


@pytest.fixture
def api(tmp_path: Path, variables: dict[str, str], servers: dict[str, str]) -> Iterator[str]:
    """Address of an API that answers."""
    with materialiser(tmp_path, servers), live_process(tmp_path, servers) as url:
        yield url


def emit(run: gateway.Run, count: int) -> None:
    """Emit points and texts without steps, also into a named step and with labels, and wait until they can be read."""
    for number in range(count):
        run.emit("loss", run.attempt * 1_000 + number)
        run.emit("loss", 0.5, labels={"rank": 1})
        run.text("sample", f"{run.attempt} {number}")
        with run.step("train", attempt=1):
            run.emit("loss", 0.5)
    run.barrier(60)


def test_a_continued_run_counts_on(
    api: str,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gateway.start_run(run_id="r") as run:
        emit(run, 10)
    with gateway.start_run(run_id="r", resume=True) as run:
        emit(run, 5)
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(tmp_path / "another machine"))
    with gateway.start_run(run_id="r", resume=True) as run:
        emit(run, 2)

    assert run.attempt == 3
    series = {one["series"]: one["points"] for one in get(api, run_path("r", "series"))["series"]}
    steps = {name: [point[0] for point in points] for name, points in series.items()}
    assert steps == {name: list(range(17)) for name in ("loss", "loss{rank=1}", "train/loss")}
    assert [point[2] for point in series["loss"]] == [*range(1_000, 1_010), *range(2_000, 2_005), 3_000, 3_001]
    log = get(api, run_path("r", "log"))
    assert list(log["steps"]["main"]["user_defined_metrics"]["sample"]) == [str(step) for step in range(17)]
    assert capsys.readouterr().err == ""

    done = gateway_with(variables, "runs", "delete", "r", "--yes")
    assert done.returncode == 0, done.stderr
    _wait_until_deleted(run)
    gateway.start_run(run_id="r", resume=True).finish()
    assert "run r was deleted: what is recorded into it is deleted, too" in capsys.readouterr().err


def _wait_until_deleted(run: gateway.Run) -> None:
    run.emit("late", 1.0)  # behind the deletion in the log
    run.barrier(60)
