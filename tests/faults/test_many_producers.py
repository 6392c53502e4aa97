"""Many processes write to one run at once: nothing is lost, each keeps its order, and none slows down the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import gateway
from tests.support.gateway_command import environment
from tests.support.materialiser_process import environment as settings
from tests.support.materialiser_process import materialiser, reading, until_complete

RUN = "one-run"
EMITS_PER_S = 200  # per process, as in a training loop with steps of 5 ms

WORKER = """
import json, sys, time
import gateway
rank, seconds, pause = sys.argv[1], float(sys.argv[2]), 1 / float(sys.argv[3])
gateway.start_run()  # joins the run of GATEWAY_RUN_ID
took, count, clock = [], 0, time.perf_counter_ns
end = time.monotonic() + seconds
while time.monotonic() < end:
    before = clock()
    gateway.emit("loss", float(count), step=count, labels={"worker": rank})
    took.append(clock() - before)
    count += 1
    time.sleep(pause)
report = gateway.finish()
took.sort()
p50, p99 = took[len(took) // 2] / 1e3, took[int(len(took) * 0.99)] / 1e3
print(json.dumps({"rank": rank, "count": count, "unsent": report.unsent, "dropped": report.dropped,
                  "p50_us": p50, "p99_us": p99, "max_us": took[-1] / 1e3}))
"""


def train_together(processes: int, seconds: float, variables: dict[str, str]) -> list[dict[str, Any]]:
    """Run the processes and return the counts of each."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(seconds), str(EMITS_PER_S)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        )
        for rank in range(processes)
    ]
    try:
        said = [worker.communicate(timeout=seconds + 180)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * processes
    return [json.loads(text.splitlines()[-1]) for text in said]


async def stored(database: str) -> dict[str, list[float]]:
    """Return the values of the series of each worker, in the order of the log."""
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT labels ->> 'worker' AS worker, array_agg(value ORDER BY index) AS found FROM metric_points "
        "WHERE run_id = $1 AND name = 'loss' GROUP BY 1",
        RUN,
    )
    await connection.close()
    return {row["worker"]: row["found"] for row in rows}


@pytest.mark.parametrize(
    ("processes", "seconds"), [(16, 3), pytest.param(64, 60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
async def test_many_processes_in_one_run(
    kafka: str, topic: str, database: str, tmp_path: Path, processes: int, seconds: float
) -> None:
    variables = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_RUN_ID": RUN,
        "GATEWAY_JOIN": RUN,
        "GATEWAY_JOURNAL_DIR": str(tmp_path / "journal"),
        "GATEWAY_FINISH_TIMEOUT_S": "120",
    }
    with materialiser(tmp_path, settings(kafka, topic, database)):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.delenv("GATEWAY_RUN_ID")
            patch.delenv("GATEWAY_JOIN")
            owner = gateway.start_run(run_id=RUN)
            alone = train_together(1, min(seconds, 10), variables)
            together = train_together(processes, seconds, variables)
            owner.finish()
        counts: dict[str, int] = {}
        for one in [*alone, *together]:
            counts[one["rank"]] = counts.get(one["rank"], 0) + one["count"]

        async with reading(database) as store:
            await until_complete(store, [RUN], processes + 2)

    found = await stored(database)
    async with reading(database) as store:
        log = await store.run_log(RUN, max_points=1)
    assert log is not None
    ratio = max(one["p99_us"] for one in together) / alone[0]["p99_us"]
    print(f"{processes} processes, {sum(counts.values())} points: p99 of emit {ratio:.1f} times that of one process")  # noqa: T201  # pytest -s

    assert {rank: len(values) for rank, values in found.items()} == counts
    assert found.pop("0") == [float(n) for one in (alone[0], together[0]) for n in range(one["count"])]
    assert all(values == sorted(values) for values in found.values())
    assert [(one.received == one.expected, one.missing, one.dropped_points) for one in log.completeness] == [
        (True, [], 0)
    ] * (processes + 2)
