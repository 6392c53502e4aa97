"""
What a request of ingest costs in this tree compared with another one: the same requests to a server of each, in turn.

    python benchmarks/ingest_pair.py --other FOLDER     # a checkout of another release, such as a `git worktree`

Both servers write to one Kafka. Processor time of all threads of the server's process, per request; the best round,
and the median of the ratios of neighbouring rounds. Requests carry the token, and 20 records of a point, or of 50
series.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.environments import Missing  # noqa: E402
from benchmarks.history.figure import Figure, higher, lower  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.machine import command_of, commit, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.services import running_kafka  # noqa: E402
from benchmarks.system import TOPIC  # noqa: E402
from gateway.local.command import Command  # noqa: E402
from gateway.local.ports import HOST, free_ports  # noqa: E402
from gateway.local.supervision.process import end, spawn, wait_until  # noqa: E402
from schemas.events import Metrics, Series  # noqa: E402
from schemas.wire import EncodedRecord, Envelope, ProducerId, RunId, encode  # noqa: E402

TOKEN = "a-token-of-a-benchmark"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
REQUESTS, RECORDS, START_US, TARGET = 100, 20, 1_700_000_000_000_000, 1.02


def body(series: int) -> bytes:
    """Return a request of so many series in each record."""
    records = [_record(seq, series) for seq in range(RECORDS)]
    found = [
        {
            "key": one.key.decode(),
            "headers": {name: text.decode() for name, text in one.headers},
            "value": one.value.decode(),
        }
        for one in records
    ]
    return json.dumps({"records": found}).encode()


def _record(seq: int, series: int) -> EncodedRecord:
    parts = [
        Series(name=f"metric_{at}", steps=array("q", [seq]), times=array("q", [START_US]), values=array("d", [at / 7]))
        for at in range(series)
    ]
    return encode(Envelope(RunId("run"), ProducerId("p"), seq, START_US, Metrics(time=START_US, series=parts)))


@contextmanager
def serving(tree: Path, kafka: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Yield port and process of the ingest server of a tree."""
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    mine = {"KAFKA": kafka, "TOPIC": TOPIC, "TOKEN": TOKEN, "INGEST_PORT": str(port), "HOME": str(folder)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    variables = {**inherited, **{f"GATEWAY_{name}": value for name, value in mine.items()}, "PYTHONPATH": str(tree)}
    with (folder / "ingest.log").open("ab") as log:
        command = Command([sys.executable, "-P", "-m", "gateway.server"], {}, folder=folder)
        child = spawn(command, log, environment=variables)
        try:
            if not wait_until(lambda: _is_ready(port), child, 60):
                raise Missing(f"the server did not start: {(folder / 'ingest.log').read_text()[-300:]}")
            yield port, child.pid
        finally:
            end(child, timeout_s=20)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def busy_s(process: int) -> float:
    """Return the processor time of all threads of a process."""
    return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{process}/task").glob("*/schedstat")) / 1e9


def burst(port: int, process: int, request: bytes) -> tuple[float, float]:
    """Send requests, one after another; returns processor time and wall time of one, µs."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    used, begin = busy_s(process), perf_counter()
    for _ in range(REQUESTS):
        connection.request("POST", "/v1/events", request, HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Missing(f"the server answered {answer.status}: {text[:200]!r}")
    spent = busy_s(process) - used, perf_counter() - begin
    connection.close()
    return spent[0] / REQUESTS * 1e6, spent[1] / REQUESTS * 1e6


def main() -> None:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--other", type=Path, required=True, help="the tree that this one is compared with")
    parser.add_argument("--quick", action="store_true", help="15 rounds instead of 60")
    add_keep(parser)
    options = parser.parse_args()
    trees = (options.other.resolve(), ROOT)
    began, loads, figures = monotonic(), load(), list[Figure]()
    with scratch() as name, ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(Path(name) / "kafka", own=True))
        servers = [
            stack.enter_context(serving(tree, kafka.address, Path(name) / f"server-{at}"))
            for at, tree in enumerate(trees)
        ]
        print("| 20 records of | tree | CPU, µs a request | requests/s of one client, best | ratio of CPU |")
        print("|---|---|---:|---:|---:|")
        for series in (1, 50):
            request = body(series)
            for server in servers:
                burst(*server, request)
            found = []
            for number in range(15 if options.quick else 60):
                order = (0, 1) if number % 2 else (1, 0)
                one = {at: burst(*servers[at], request) for at in order}
                found.append((one[0], one[1]))
            best = [min(pair[at][0] for pair in found) for at in (0, 1)]
            rate = [1e6 / min(pair[at][1] for pair in found) for at in (0, 1)]
            middle = median(now[0] / before[0] for before, now in found)
            ratio = f"{best[1] / best[0]:.3f} of the best, {middle:.3f} median of the rounds"
            for at, tree in enumerate(("other", "this")):
                print(f"| {series} series | {tree} | {best[at]:.0f} | {rate[at]:.0f} | {ratio if at else ''} |")
            other, what = commit(trees[0])[0][:8], f"20 records of {series} series"
            figures.append(lower(f"{what}: CPU", best[1], "µs/request", {other: best[0]}, bound=1.1))
            figures.append(higher(f"{what}: one client", rate[1], "requests/s", {other: rate[0]}))
    print(f"\nTarget: a ratio of at most {TARGET}. Load average {load():.1f}.")
    command = command_of("python benchmarks/ingest_pair.py", sys.argv[1:])
    keep(options.keep, describe(command, (), (loads, load()), monotonic() - began), figures)


if __name__ == "__main__":
    main()
