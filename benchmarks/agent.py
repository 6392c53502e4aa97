"""
Compare the Faust agent with a plain loop around getmany: the same log, the same worker, a database each.

    python benchmarks/agent.py             # --keep adds the figures to the history

Shows what the agent costs, so that the choice between the two can be reviewed. Records of 1,000 points stand for busy
producers, records of 16 points for many calm ones.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from aiokafka import AIOKafkaProducer  # noqa: E402

from benchmarks.contestants import report  # noqa: E402
from benchmarks.growth import RecordLog  # noqa: E402
from benchmarks.history.figure import lower  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.machine import command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.services import running_kafka  # noqa: E402
from benchmarks.system import TOPIC, create_database, running_materialiser, running_postgres  # noqa: E402
from benchmarks.table import markdown, number  # noqa: E402
from consumers.log.reader import LogReader  # noqa: E402
from consumers.materialiser.worker import Worker  # noqa: E402
from consumers.store.migrations import migrate  # noqa: E402
from consumers.store.offsets import CONSUMER  # noqa: E402
from consumers.store.pool import open_database  # noqa: E402
from consumers.store.read.reader import StoreReader  # noqa: E402

TIMEOUT_S = 120.0
BATCH_RECORDS, RUNS = 500, 16
SHAPES = ((1_000, 1, 1_000), (5_000, 1, 16))  # records, series, points of each


def main() -> None:
    """Write each log, read it with both readers, and print a table."""
    parser = argparse.ArgumentParser(description="Compare the Faust agent with a plain loop around getmany.")
    add_keep(parser)
    asked = parser.parse_args()
    rows, cpu_us, began, before = [], dict[str, dict[str, float]](), perf_counter(), load()
    with scratch() as name, running_postgres(Path(name) / "postgres") as store:
        for turn, (records, series, points) in enumerate(SHAPES):
            folder = Path(name) / f"turn-{turn}"
            with running_kafka(folder / "kafka", own=True) as kafka:
                asyncio.run(_write(kafka.address, records, series, points))
                for reader in (_agent, _loop):
                    report(f"{records:,} records of {series * points:,} points: {reader.__name__[1:]}")
                    dsn = asyncio.run(create_database(store.address, f"{reader.__name__[1:]}_{turn}"))
                    wall_s, cpu_s = reader(folder, kafka.address, dsn, records)
                    cells = [f"{records:,} of {series * points:,}", reader.__name__[1:], number(records / wall_s)]
                    cpu_us.setdefault(cells[0], {})[cells[1]] = cpu_s * 1e6 / records
                    rows.append([*cells, number(wall_s * 1e6 / records), number(cpu_s * 1e6 / records)])
    print(markdown(("records and points", "reader", "records/s", "µs a record", "CPU µs a record"), rows))
    command = command_of("python benchmarks/agent.py", sys.argv[1:])
    facts = describe(command, (), (before, load()), perf_counter() - began)
    figures = [
        lower(f"{shape} points: CPU, agent", one["agent"], "µs/record", {"plain loop": one["loop"]})
        for shape, one in cpu_us.items()
    ]
    keep(asked.keep, facts, figures)


async def _write(bootstrap: str, records: int, series: int, points: int) -> None:
    log = RecordLog()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 20)
    await producer.start()
    try:
        for number_ in range(records):
            one = log.record(f"run-{number_ % RUNS}", series, points)
            await producer.send(TOPIC, one.value, key=one.key, headers=list(one.headers))
    finally:
        await producer.stop()  # sends what is left


def _agent(folder: Path, kafka: str, dsn: str, records: int) -> tuple[float, float]:
    """Return wall and CPU time of the materialiser process, s, from its readiness until everything is folded."""
    with running_materialiser(folder / "materialiser", kafka, dsn) as server:
        used, begin = server.cpu_s(), perf_counter()
        asyncio.run(_until_folded(dsn, records))
        return perf_counter() - begin, server.cpu_s() - used


async def _until_folded(dsn: str, records: int) -> None:
    reading = await StoreReader.open(dsn)
    try:
        until = perf_counter() + TIMEOUT_S
        while sum((await reading.offsets(CONSUMER, TOPIC)).values()) < records:
            if perf_counter() > until:
                raise SystemExit(f"not folded within {TIMEOUT_S:.0f} s")
            await asyncio.sleep(0.01)
    finally:
        await reading.close()


def _loop(folder: Path, kafka: str, dsn: str, records: int) -> tuple[float, float]:
    """Return the same for a process that calls getmany."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=_read, args=(kafka, dsn, records, answers), daemon=True)
    process.start()
    try:
        found: tuple[float, float] = answers.get(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.join()
    return found


def _read(kafka: str, dsn: str, records: int, answers: Any) -> None:
    answers.put(asyncio.run(_reading(kafka, dsn, records)))
    sleep(TIMEOUT_S)  # until it is killed: the queue's thread may still be sending


async def _reading(kafka: str, dsn: str, records: int) -> tuple[float, float]:
    db = await open_database(dsn)
    await migrate(db)
    worker = Worker(db, TOPIC)
    reader = LogReader(kafka, TOPIC)
    await reader.open()
    try:
        offsets = await worker.assign(await reader.partitions())
        await reader.assign(offsets)
        used, begin, done = process_time(), perf_counter(), 0
        while done < records:
            batch = await reader.fetch(timeout_ms=50, max_records=BATCH_RECORDS)
            await worker.apply(batch)
            done += len(batch)
        return perf_counter() - begin, process_time() - used
    finally:
        await reader.close()
        await db.close()


if __name__ == "__main__":
    main()
