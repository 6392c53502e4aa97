"""
Streams: 1,000 watchers of series at one API process while trainings emit 50,000 points/s; one watcher does not read.

    python benchmarks/watchers.py             # 130 s
    python benchmarks/watchers.py --quick     # 100 watchers, 10,000 points/s, 75 s

A Kafka and a PostgreSQL of its own. Trainings emit at the rate, first alone and then watched. Each watcher follows a
series of a run; one follows all series of a run and takes nothing until the API says in its log that it dropped a
stream; it then reads what the system kept for it, which must end with the reason. Memory is that of the API process
before, during and after; latency is from the time of the newest point of an event, which `emit` takes, to the arrival
of the event. The materialiser does not run: streams of series come from the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time, time_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

import psutil  # noqa: E402

from benchmarks.environments import Missing  # noqa: E402
from benchmarks.figures import percentile  # noqa: E402
from benchmarks.filled_log import Log, running_log  # noqa: E402
from benchmarks.history.figure import higher, lower  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe  # noqa: E402
from benchmarks.machine import load as load_average  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from consumers.store.migrations import migrate  # noqa: E402
from consumers.store.pool import open_database  # noqa: E402
from gateway.local.command import Command  # noqa: E402
from gateway.local.ports import HOST, free_ports  # noqa: E402
from gateway.local.supervision.process import end, spawn, wait_until  # noqa: E402

TRAININGS, SERIES = 10, 20  # processes, each with a run, and series of each
SAMPLED = 20  # watchers whose events are read for their latency
READY_S = 90.0
LAST_S = 20.0  # for the last event of a stream that was dropped
EMITTER = """
import json, sys, time
import gateway
number, calls_per_s, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
run = gateway.start_run(run_id=f"{sys.argv[4]}-{number}")
values = {f"m{at}": 0.123456789 + at for at in range(int(sys.argv[5]))}
began, calls = time.monotonic(), 0
while (now := time.monotonic()) < began + seconds:
    due = int((now - began) * calls_per_s)
    while calls < due:
        run.emit(values, step=calls)
        calls += 1
    time.sleep(0.005)
spent = time.monotonic() - began
run.finish()
print(json.dumps({"points": calls * len(values), "seconds": spent}))
"""


def main() -> None:
    """Measure and print; exit status 1 if the watcher that never reads was not dropped with a reason."""
    asked = _options().parse_args()
    watchers, rate, seconds = (100, 10_000, 75.0) if asked.quick else (asked.watchers, asked.rate, asked.seconds)
    began, before = monotonic(), load_average()
    with scratch() as name, running_log(Path(name)) as log, _running_api(log, Path(name) / "api") as api:
        report("emitting without watchers")
        alone = _finish(_emit(log, Path(name), "alone", rate, seconds / 3))
        memory = [_mib(api.pid)]
        found = asyncio.run(_watched(log, Path(name), api, watchers=watchers, rate=rate, seconds=seconds))
        sleep(2)
        memory += [max(found["memory"]), _mib(api.pid)]
    latency = sorted(found["latency_ms"])
    command = command_of("python benchmarks/watchers.py", sys.argv[1:])
    facts = describe(command, (), (before, load_average()), monotonic() - began)
    print(caption(facts), end="\n\n")
    print(f"emitted without watchers   {alone:>9,.0f} points/s")
    print(f"emitted with {watchers:>5,}         {found['rate']:>9,.0f} points/s")
    print(f"memory of the API          {memory[0]:>9.0f} MiB before, {memory[1]:.0f} at most, {memory[2]:.0f} after")
    print(f"processor of the API       {found['cpu']:>9.0%} of a core")
    print(f"events to the watchers     {found['events_per_s']:>9,.0f} a second, {found['bytes'] / 1e6:,.0f} MB in all")
    print(f"from emit to watcher       {percentile(latency, 50):>9.0f} ms p50, {percentile(latency, 99):.0f} ms p99")
    print(f"points of sampled watchers {found['points']:>9,} of {found['wanted']:,}, {found['left_out']:,} coalesced")
    print(f"the one that never reads   {found['dropped'] or 'was NOT dropped'}")
    figures = [
        higher("emitted with watchers", found["rate"], "points/s", {"without watchers": alone}),
        lower("memory of the API, at most", memory[1], "MiB", {"before": memory[0]}),
        lower("CPU of the API", found["cpu"] * 100, "% of a core"),
        lower("from emit to watcher, p50", percentile(latency, 50), "ms"),
        lower("from emit to watcher, p99", percentile(latency, 99), "ms"),
        lower("coalesced", found["left_out"], "points"),
    ]
    keep(asked.keep, facts, figures)
    sys.exit(0 if "took nothing" in found["dropped"] else 1)


async def _watched(log: Log, folder: Path, api: _Api, *, watchers: int, rate: float, seconds: float) -> dict[str, Any]:
    report(f"opening {watchers:,} watchers")
    silent = _never_reads(api.port)
    sampled = [_Watcher(number, is_sampled=number < SAMPLED) for number in range(watchers - 1)]
    tasks = [asyncio.create_task(one.watch(api.port)) for one in sampled]
    for one, task in zip(sampled, tasks, strict=True):
        opened = asyncio.create_task(one.opened.wait())
        await asyncio.wait({task, opened}, return_when=asyncio.FIRST_COMPLETED)
    if broken := [task for task in tasks if task.done()]:
        raise Missing(f"a watcher could not begin: {broken[0].exception()}")
    report("emitting with them")
    dropped = asyncio.create_task(_until_dropped(silent, folder / "api" / "api.log"))
    process, memory, began = psutil.Process(api.pid), [_mib(api.pid)], monotonic()
    cpu = sum(process.cpu_times()[:2])
    children = _emit(log, folder, "watched", rate, seconds)
    while monotonic() < began + seconds:
        await asyncio.sleep(0.5)
        memory.append(_mib(api.pid))
    spent = monotonic() - began
    cpu = sum(process.cpu_times()[:2]) - cpu
    points = await asyncio.to_thread(_finish, children)
    await asyncio.sleep(3)
    for task in tasks:
        task.cancel()
    dropped.cancel()
    ends, *_ = await asyncio.gather(dropped, *tasks, return_exceptions=True)
    seen = sampled[:SAMPLED]
    each = points * seconds / TRAININGS / SERIES
    return {
        "rate": points, "memory": memory, "cpu": cpu / spent, "dropped": ends if isinstance(ends, str) else "",
        "events_per_s": sum(one.events for one in sampled) / spent, "bytes": sum(one.bytes for one in sampled),
        "latency_ms": [value for one in seen for value in one.latency_ms] or [0.0],
        "points": sum(one.points for one in seen), "left_out": sum(one.left_out for one in seen),
        "wanted": round(each * len(seen)),
    }  # fmt: skip


class _Watcher:
    """One watcher of a series of a run. Only a sampled one reads its events; the others count them."""

    def __init__(self, number: int, *, is_sampled: bool) -> None:
        name = f"m{number // TRAININGS % SERIES}"
        self._path = f"/v1/stream/series?run_id=watched-{number % TRAININGS}&name={name}"
        self._is_sampled = is_sampled
        self.opened = asyncio.Event()
        self.events = self.bytes = self.points = self.left_out = 0
        self.latency_ms: list[float] = []

    async def watch(self, port: int) -> None:
        """Follow the stream until it is cancelled."""
        reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 24)
        try:
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:20]:
                raise Missing(head.decode())
            while True:
                if not self._is_sampled:
                    piece = await reader.read(1 << 16)
                    self.opened.set()
                    self.events, self.bytes = self.events + piece.count(b"event: series"), self.bytes + len(piece)
                    continue
                line = await reader.readline()
                self.opened.set()
                self.bytes += len(line)
                if line.startswith(b'data: {"as_of"'):
                    self._read(json.loads(line[6:]))
        finally:
            writer.close()

    def _read(self, event: dict[str, Any]) -> None:
        now_ms = time_ns() / 1e6
        self.events += 1
        self.latency_ms.append(now_ms - max(row["columns"]["times"][-1] for row in event["series"]) / 1e3)
        self.points += sum(row["count"] for row in event["series"])
        self.left_out += sum(row.get("left_out", 0) for row in event["series"])


def _never_reads(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    found.connect((HOST, port))
    found.sendall(f"GET /v1/stream/series?run_id=watched-0 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return found


async def _until_dropped(silent: socket.socket, log: Path) -> str:
    """Return after how long a watcher was dropped, and the reason that it was given."""
    began = monotonic()
    while b"a stream was dropped" not in log.read_bytes():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.5)
    spent = monotonic() - began
    return f"dropped after {spent:.0f} s: {await asyncio.to_thread(_last_event, silent)}"


def _last_event(connection: socket.socket) -> str:
    """Return the reason with which a stream ended; "" if it has not."""
    connection.settimeout(LAST_S)
    text, deadline = bytearray(), monotonic() + LAST_S
    try:
        while monotonic() < deadline and (piece := connection.recv(1 << 20)):
            text += piece
    except OSError as error:
        return f"was cut off ({error}) after {len(text):,} bytes"
    _, _, last = bytes(text).rpartition(b"event: dropped\ndata: ")
    return str(json.loads(last.split(b"\n")[0])["reason"]) if last.startswith(b"{") else ""


class _Api:
    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid


@contextmanager
def _running_api(log: Log, folder: Path) -> Iterator[_Api]:
    folder.mkdir()
    asyncio.run(_prepare(log))
    (port,) = free_ports(1)
    ready = folder / "ready"
    own = {"GATEWAY_LIVE_PORT": str(port), "GATEWAY_READY_FILE": str(ready), "PYTHONPATH": str(ROOT)}
    with (folder / "api.log").open("ab") as out:
        child = spawn(Command([sys.executable, "-m", "consumers.live"], {**log.variables(folder), **own}), out)
        try:
            if not wait_until(ready.exists, child, READY_S):
                raise Missing(f"the API did not start: {(folder / 'api.log').read_text()[-300:]}")
            yield _Api(port, child.pid)
        finally:
            end(child, timeout_s=10)


async def _prepare(log: Log) -> None:
    database = await open_database(log.store.address)
    try:
        await migrate(database)
    finally:
        await database.close()


def _emit(log: Log, folder: Path, name: str, rate: float, seconds: float) -> list[subprocess.Popen[str]]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
    variables |= {"GATEWAY_URL": f"kafka://{log.kafka.address}", "PYTHONPATH": str(ROOT)}
    started = []
    for number in range(TRAININGS):
        home = folder / f"{name}-{number}"
        home.mkdir()
        asked = [str(number), str(rate / TRAININGS / SERIES), str(seconds), name, str(SERIES)]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", EMITTER, *asked],
                env=variables | {"GATEWAY_HOME": str(home)},
                cwd=home,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    return started


def _finish(children: list[subprocess.Popen[str]]) -> float:
    """Return the points a second of trainings, once they have ended."""
    answers = [json.loads(child.communicate()[0].strip().split("\n")[-1]) for child in children]
    return float(sum(one["points"] / one["seconds"] for one in answers))


def _mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 2**20)


def report(text: str) -> None:
    """Print what is measured now."""
    print(f"# {time() % 86_400:.0f} {text}", file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100 watchers, 10,000 points/s, 75 s")
    parser.add_argument("--watchers", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=50_000, help="points a second of all trainings")
    parser.add_argument("--seconds", type=float, default=130.0)
    add_keep(parser)
    return parser


if __name__ == "__main__":
    main()
