"""A disk without any room: events stay in memory, and the warnings about them are true."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.client.journal.folder import find_journals
from gateway.local.ports import HOST
from schemas import events as ev
from tests.support.client_harness import points, read_log, train

NOWHERE = f"kafka://{HOST}:1"
TRAINING = """
    import resource, signal, gateway
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def fill():  # from now on there is room for the file of cuts, but not for a segment of 256 KiB
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    if {is_full_from_the_start}:
        fill()
    with gateway.start_run(run_id="full", capture=False) as run:
        fill()
        for step in range({points}):
            gateway.emit("loss", float(step), step)
        for number in range({params}):
            run.log_params({{f"p{{number}}": "x" * 1_000}})
        while "kafka" in run.health()["address"] and not run.health()["last_error"] and not run.health()["connected"]:
            pass
    """


def training(*, points: int = 1_000, params: int = 0, is_full_from_the_start: bool = True) -> str:
    return TRAINING.format(points=points, params=params, is_full_from_the_start=is_full_from_the_start)


def test_without_room_for_a_segment_nothing_is_dropped_and_everything_arrives_from_memory(
    kafka: str, topic: str
) -> None:
    settings = {"GATEWAY_URL": f"kafka://{kafka}", "GATEWAY_TOPIC": topic}
    done = train(training(params=3), settings)

    found = [envelope.event for envelope in read_log(kafka, topic)]
    assert done.returncode == 0
    assert [seen.step for seen in points(found)] == list(range(1_000))
    assert sum(isinstance(event, ev.Params) for event in found) == 3
    (warning,) = done.stderr.splitlines()
    assert "cannot be used" in warning
    assert (
        "are lost when this process is killed: free disk there, or set GATEWAY_JOURNAL_DIR to a disk with room"
        in warning
    )


@pytest.mark.parametrize("url", [NOWHERE, "none:"])
def test_with_the_log_away_too_the_end_reports_how_many_are_lost(journal_home: Path, url: str) -> None:
    done = train(training(), {"GATEWAY_URL": url, "GATEWAY_FINISH_TIMEOUT_S": "0.2"})

    (end,) = [line for line in done.stderr.splitlines() if line.startswith("gateway: run full: ")]
    assert done.returncode == 0
    assert "1,000 of 1,000 points are not in " in end
    assert "are in memory only and lost when this process ends: give the journal a disk with room" in end
    assert "stay in" not in done.stderr
    assert "are kept in" not in done.stderr
    assert list(find_journals(str(journal_home))) == []


@pytest.mark.parametrize("url", [NOWHERE, "none:"])
def test_a_disk_that_fills_up_is_reported_with_kept_and_lost_events(journal_home: Path, url: str) -> None:
    done = train(
        training(points=20_000, params=100, is_full_from_the_start=False),
        {"GATEWAY_URL": url, "GATEWAY_FINISH_TIMEOUT_S": "0.2"},
    )

    lines = done.stderr.splitlines()
    (folder,) = find_journals(str(journal_home))
    assert done.returncode == 0
    assert sum("new metric points are dropped" in line for line in lines) == 1
    assert sum(folder in line and "`gateway sync`" in line for line in lines) == 1
    (memory,) = [
        line for line in lines if "events about it (params, its end, …) are in memory only and lost when" in line
    ]
    count = int(memory.partition("gateway: run full: ")[2].split()[0])
    assert 70 < count <= 102  # 16 KiB of the segment were reserved for them: about 14 params
    assert "GATEWAY_JOURNAL_DIR" in memory
