"""Readers see emitted points after a barrier; a barrier that times out states what is missing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client.query import ApiRefused, ApiUnavailable, get, run_path
from gateway.local.ports import HOST, free_ports
from tests.support.live_process import live_process
from tests.support.materialiser_process import Materialiser
from tests.support.materialiser_process import materialiser as running_materialiser

SHORT_S = 0.3  # timeout of a barrier that must fail


@pytest.fixture
def variables(servers: dict[str, str]) -> dict[str, str]:
    """Settings for every process of a test; those of the client are also set in this one."""
    return servers


@pytest.fixture
def materialiser(tmp_path: Path, variables: dict[str, str]) -> Iterator[Materialiser]:
    with running_materialiser(tmp_path, variables) as running:
        yield running


@pytest.fixture
def api(tmp_path: Path, variables: dict[str, str], materialiser: Materialiser) -> Iterator[str]:
    """Address of an API that answers."""
    with live_process(tmp_path, variables) as url:
        yield url


def points(api: str, run: gateway.Run, **parameters: Any) -> int:
    return sum(series["count"] for series in get(api, run_path(run.id, "series"), **parameters)["series"])


def test_what_was_emitted_before_a_barrier_is_read_after_it(api: str) -> None:
    with gateway.start_run(capture=False) as run:
        for round_ in range(5):
            for step in range(700):
                run.emit("loss", 0.5, step + 700 * round_)
            run.emit("word", "text")
            run.barrier(60)

            assert points(api, run) == 700 * (round_ + 1)

        run.set_tags(team="x")
        run.barrier(60)
        assert get(api, run_path(run.id, "log"))["tags"] == {"team": "x"}
    run.barrier(60)

    assert get(api, run_path(run.id, "log"))["state"] == "finished"


def test_a_stopped_materialiser_is_a_clear_timeout_and_nothing_is_lost(api: str, materialiser: Materialiser) -> None:
    with gateway.start_run(capture=False) as run:
        run.barrier(60)
        materialiser.process.send_signal(signal.SIGSTOP)
        run.emit("loss", 0.5)
        assert run.flush(60)

        with pytest.raises(
            gateway.BarrierTimeout, match=r"the log has everything, but .*1 of 2 records of producer .*number 1"
        ):
            run.barrier(SHORT_S)
        assert points(api, run) == 0

        materialiser.process.send_signal(signal.SIGCONT)
        run.barrier(60)
        assert points(api, run) == 1


def test_a_read_waits_for_the_offsets_it_asks_for(api: str, materialiser: Materialiser) -> None:
    with gateway.start_run(capture=False) as run:
        run.emit("loss", 0.5)
        run.barrier(60)
        as_of = get(api, run_path(run.id, "series"))["as_of"]
        here = f"{as_of['partition']}:{as_of['offset']}"
        there = f"{as_of['partition']}:{as_of['offset'] + 1}"

        assert points(api, run, min_offsets=here) == 1
        assert get(api, "/v1/runs", min_offsets=here)["runs"][0]["run_id"] == run.id
        for path in ("/v1/runs", run_path(run.id, "log"), run_path(run.id, "series")):
            with pytest.raises(
                ApiUnavailable, match=rf"not folded within 0.3 s: 1 of partition {as_of['partition']} .*ask again"
            ):
                get(api, path, min_offsets=there, timeout_s=SHORT_S)
        with pytest.raises(ApiRefused, match="parameter min_offsets"):
            get(api, "/v1/runs", min_offsets="odd")

        run.emit("loss", 0.25)
        assert points(api, run, min_offsets=there, timeout_s=60) == 2


def test_a_barrier_without_an_api_says_so(variables: dict[str, str]) -> None:
    with gateway.start_run(capture=False) as run:
        assert run.flush(60)

        with pytest.raises(
            gateway.BarrierTimeout, match=r"the log has everything, but the API at .* cannot be reached"
        ):
            run.barrier(SHORT_S)


def test_a_barrier_without_kafka_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    run = gateway.start_run(url=f"kafka://{HOST}:{port}", capture=False)
    run.emit("loss", 0.5)

    with pytest.raises(gateway.BarrierTimeout, match=r"not acknowledged by Kafka at .*kept and still being sent"):
        run.barrier(SHORT_S)
    run.finish(timeout_s=0)


def test_a_barrier_of_a_run_that_is_sent_nowhere_is_refused() -> None:
    run = gateway.start_run(url="none:", capture=False)

    with pytest.raises(gateway.ClientError, match=r"sent nowhere.*gateway up"):
        run.barrier()
    run.finish()
