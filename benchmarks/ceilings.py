"""
The most that a tracker accepts: history by its own bulk call, in the plainest code, with nothing of ours in between.

Run as a file with one argument, the request as JSON; prints the answer as JSON. No checkpoints, no proof, no retries,
no odd values: a loop that a user would write to import runs once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import monotonic, process_time
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.finished_runs import Shape, plain_rows  # noqa: E402

Row = tuple[int, int, Mapping[str, float]]  # step, time (µs), values by name
Import = Callable[[str, Sequence[Row]], None]
MLFLOW_METRICS, MLFLOW_THREADS = 1_000, 8
CALLS = {  # description of each call
    "parquet": "pyarrow.parquet.write_table, one table a run",
    "tensorboard": "EventFileWriter.add_event, an event a step",
    "wandb": "wandb.init(mode='offline') and run.log, a row a step",
    "trackio": "SQLiteStorage.bulk_log, a run a call",
    "mlflow": "MlflowClient.log_batch of 1,000 metrics, 8 threads",
    "mlflow-sqlite": "log_batch of 1,000 metrics of MLflow's store",
    "mlflow-postgresql": "log_batch of 1,000 metrics of MLflow's store, 8 threads",
}
PARALLEL = ("mlflow", "mlflow-postgresql")
LEAST_RUNS = 8  # one for each thread
SHARES = {  # of the history's runs
    "parquet": 1.0, "tensorboard": 0.2, "wandb": 0.05, "trackio": 0.05, "mlflow": 0.05, "mlflow-sqlite": 0.05,
    "mlflow-postgresql": 0.05,
}  # fmt: skip


def main() -> None:
    """Import the runs and print how long it took."""
    request = json.loads(sys.argv[1])
    shape, name, folder = Shape(*request["shape"]), request["tracker"], Path(request["folder"])
    os.chdir(folder)
    write, threads = OWN[name](folder, request["url"]), MLFLOW_THREADS if name in PARALLEL else 1
    seconds = used = 0.0
    numbers = iter(range(shape.runs))
    with ThreadPoolExecutor(threads) as pool:
        while part := [plain_rows(shape, number) for number in islice(numbers, 32)]:  # not timed
            began, cpu = monotonic(), process_time()
            for waiting in [pool.submit(write, run_id, rows) for run_id, rows in part]:
                waiting.result()
            seconds, used = seconds + monotonic() - began, used + process_time() - cpu
    points = shape.runs * shape.series * shape.points
    print(json.dumps({"points": points, "seconds": seconds, "cpu_s": used}))


def _parquet(folder: Path, _: str) -> Import:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([
        ("run_id", pa.string()), ("series", pa.string()), ("step", pa.int64()),
        ("time", pa.timestamp("us", tz="UTC")), ("value", pa.float64()),
    ])  # fmt: skip

    def write(run_id: str, rows: Sequence[Row]) -> None:
        columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        for step, time, values in rows:
            count = len(values)
            columns["run_id"] += [run_id] * count
            columns["series"] += values
            columns["step"] += [step] * count
            columns["time"] += [time] * count
            columns["value"] += values.values()
        pq.write_table(pa.table(columns, schema), folder / f"{run_id}.parquet", compression="zstd")

    return write


def _tensorboard(folder: Path, _: str) -> Import:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def write(run_id: str, rows: Sequence[Row]) -> None:
        writer = EventFileWriter(str(folder / run_id))
        for step, time, values in rows:
            shown = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
            writer.add_event(Event(wall_time=time / 1e6, step=step, summary=shown))
        writer.close()

    return write


def _wandb(folder: Path, _: str) -> Import:
    import wandb

    off = dict.fromkeys(("x_disable_stats", "x_disable_meta", "x_disable_machine_info", "disable_git"), True)
    settings = wandb.Settings(console="off", silent=True, **off)

    def write(run_id: str, rows: Sequence[Row]) -> None:
        run = wandb.init(project="own", id=run_id, mode="offline", dir=str(folder), settings=settings)
        for step, time, values in rows:
            run.log({**values, "time": time / 1e6}, step=step)
        run.finish()

    return write


def _trackio(folder: Path, _: str) -> Import:
    os.environ["TRACKIO_DIR"] = str(folder)
    from datetime import UTC, datetime

    from trackio.sqlite_storage import SQLiteStorage

    def write(run_id: str, rows: Sequence[Row]) -> None:
        steps = [step for step, _, _ in rows]
        times = [datetime.fromtimestamp(time / 1e6, UTC).isoformat() for _, time, _ in rows]
        logs = [dict(values) for _, _, values in rows]
        SQLiteStorage.bulk_log("own", run_id, logs, steps=steps, timestamps=times)

    return write


def _mlflow(_: Path, url: str) -> Import:
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri=url)

    def write(run_id: str, rows: Sequence[Row]) -> None:
        run = client.create_run("0", run_name=run_id).info.run_id
        found = [
            Metric(name, value, time // 1_000, step) for step, time, values in rows for name, value in values.items()
        ]
        for first in range(0, len(found), MLFLOW_METRICS):
            client.log_batch(run, metrics=found[first : first + MLFLOW_METRICS])
        client.set_terminated(run)

    return write


def _mlflow_store(_: Path, url: str) -> Import:
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(url.replace("postgresql:", "postgresql+psycopg:", 1), "mlflow-artifacts:/")

    def write(run_id: str, rows: Sequence[Row]) -> None:
        run = store.create_run("0", "own", rows[0][1] // 1_000, [], run_id).info.run_id
        found = [
            Metric(name, value, time // 1_000, step) for step, time, values in rows for name, value in values.items()
        ]
        for first in range(0, len(found), MLFLOW_METRICS):
            store.log_batch(run, found[first : first + MLFLOW_METRICS], [], [])

    return write


OWN: dict[str, Callable[[Path, str], Import]] = {
    "parquet": _parquet, "tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio, "mlflow": _mlflow,
    "mlflow-sqlite": _mlflow_store, "mlflow-postgresql": _mlflow_store,
}  # fmt: skip


if __name__ == "__main__":
    main()
