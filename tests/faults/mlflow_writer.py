"""
MLflow's own client in a process: each thread logs into a run of its own until a file says that it stops.

Arguments: a folder, the number of threads. A file of each run has the number of steps that calls which returned have
logged.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

BATCH = 5  # steps after which a batch and a param are logged


def log(folder: Path) -> None:
    """Log until the file `stop` is there."""
    client, step = MlflowClient(), 0
    run_id = client.create_run("0").info.run_id
    while not (folder / "stop").exists():
        client.log_metric(run_id, "loss", 1 / (step + 1), step=step)
        if step % BATCH == 0:
            time_ms = time.time_ns() // 1_000_000
            metrics = [Metric(f"m{number}", step, time_ms, step) for number in range(3)]
            client.log_batch(run_id, metrics, [Param(f"p{step}", str(step))])
        step += 1
        (folder / run_id).write_text(str(step))
        time.sleep(0.01)
    client.set_terminated(run_id)


if __name__ == "__main__":
    place, threads = Path(sys.argv[1]), int(sys.argv[2])
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(log, [place] * threads))
