"""
Run one measurement in this process, with the Python of the tool that is measured: the same work for every tool.

Needs only the standard library and one file of adapters/ (the training task also needs numpy). The first argument is
the request as JSON; the answer is JSON in the file that the request names, because tools print to stdout.

An adapter has these functions:

- `load()` imports the tool.
- `start(workspace)` starts a run and returns `(one, many, finish)`, called as `one(name, value, step=i)`,
  `many({name: value}, step=i)` and `finish()`, which returns how many points the tool reports as lost.
- `read(workspace)` returns the steps of "loss" that can be read back.
- `count(workspace, names)`, for bulk work, returns how many points of these names the tool's own reader finds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from array import array
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time, sleep, thread_time, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

HERE = Path(__file__).parent
WARM_UP = 20  # untimed calls at the start: first use loads code and opens files
MOST_CALLS = 300_000
NAMES = tuple(f"train/metric_{number}" for number in range(10))


class Workspace:
    """The folder that a tool works in, and the address of its server."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.folder = Path(request["folder"])
        self.address: str = request["address"]
        self.mode: str = request["peer"]


def load_file(path: Path) -> ModuleType:
    """Import a file without putting its folder on the path, where it could hide a module of the tool."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure_calls(adapter: ModuleType, workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """Time every call of a run with 1 scalar per call, then with 10; each run from the first call until finished."""
    found: dict[str, Any] = {"timer_ns": timer_ns()}
    begin = perf_counter()
    adapter.load()
    found["import_ms"] = (perf_counter() - begin) * 1e3
    for scalars in (1, 10):
        begin = perf_counter()
        one, many, finish = adapter.start(workspace)
        found.setdefault("start_ms", (perf_counter() - begin) * 1e3)
        found[f"scalars_{scalars}"] = _measure_run(one if scalars == 1 else many, finish, scalars, request)
    return found


def _measure_run(
    call: Callable[..., object], finish: Callable[[], int], scalars: int, request: dict[str, Any]
) -> dict[str, Any]:
    used, begin = cpu_s(), perf_counter()
    times = array("q")
    loop = _time_single if scalars == 1 else _time_many
    loop(call, times, range(WARM_UP), 0.0, 60.0, WARM_UP)
    del times[:]
    loop(call, times, range(WARM_UP, MOST_CALLS), request["least_s"], request["most_s"], request["calls"])
    logged = perf_counter()
    lost = finish() or 0
    wall = perf_counter() - begin
    return {
        "times_ns": times.tolist() if len(times) <= 5_000 else _thinned(times),
        "calls": len(times),
        "max_ns": max(times),
        "points": (len(times) + WARM_UP) * scalars - lost,
        "lost": lost,
        "finish_s": perf_counter() - logged,
        "wall_s": wall,
        "cpu_s": cpu_s() - used,
    }


def _thinned(times: array[int]) -> list[int]:
    """Return every n-th of the sorted times, which keeps the percentiles and makes the answer small."""
    ordered = sorted(times)
    return [ordered[(2 * at + 1) * len(ordered) // 10_000] for at in range(5_000)]


def _time_single(
    call: Callable[..., object], times: array[int], steps: range, least_s: float, most_s: float, calls: int
) -> None:
    clock, keep, begin = perf_counter_ns, times.append, perf_counter_ns()
    least_at, most_at = begin + int(least_s * 1e9), begin + int(most_s * 1e9)
    for step in steps:
        value = 1.0 / (step + 1)
        before = clock()
        call("loss", value, step=step)
        after = clock()
        keep(after - before)
        if after > least_at and (len(times) >= calls or after > most_at):
            break


def _time_many(
    call: Callable[..., object], times: array[int], steps: range, least_s: float, most_s: float, calls: int
) -> None:
    clock, keep, begin = perf_counter_ns, times.append, perf_counter_ns()
    least_at, most_at = begin + int(least_s * 1e9), begin + int(most_s * 1e9)
    for step in steps:
        values = dict.fromkeys(NAMES, 1.0 / (step + 1))
        before = clock()
        call(values, step=step)
        after = clock()
        keep(after - before)
        if after > least_at and (len(times) >= calls or after > most_at):
            break


def timer_ns() -> int:
    """Return the cost of reading the clock twice, ns: the median of many."""
    clock = perf_counter_ns
    pairs = []
    for _ in range(10_001):
        before = clock()
        pairs.append(clock() - before)
    return sorted(pairs)[5_000]


def cpu_s() -> float:
    """Return user and system time of this process and all it started, seconds; children count in ticks of 10 ms."""
    ticks, children = 0, _children()
    waiting = list(children.get(os.getpid(), ()))
    while waiting:
        pid, used = waiting.pop()
        ticks += used
        waiting += children.get(pid, ())
    ended = os.times()
    return process_time() + ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _children() -> dict[int, list[tuple[int, int]]]:
    """Return by parent each child process and the ticks that it and its finished children have used."""
    found: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            found.setdefault(int(fields[1]), []).append((int(entry.name), sum(map(int, fields[11:15]))))
    return found


def measure_training(adapter: ModuleType, workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """Train a small network in blocks of steps, alternately without and with the tool; 3 scalars per step."""
    training = load_file(HERE / "training.py")
    adapter.load()
    _, many, finish = adapter.start(workspace)
    network, spent, pairs, thread_pairs, step = training.Network(), [], [], [], 0
    for _ in range(100):
        network.step()
    for pair in range(request["pairs"]):
        block, thread = {}, {}
        for logs in (False, True) if pair % 2 else (True, False):  # neither side always has the warmer machine
            sleep(request["rest_s"])  # otherwise background work of the tool would slow the block without it
            begin, used = perf_counter(), thread_time()
            for _ in range(request["steps"]):
                facts = network.step()
                if logs:
                    before = perf_counter_ns()
                    many(facts, step=step)
                    spent.append(perf_counter_ns() - before)
                    step += 1
            block[logs], thread[logs] = perf_counter() - begin, thread_time() - used
        pairs.append([block[False], block[True]])
        thread_pairs.append([thread[False], thread[True]])
    finish()
    return {"pairs_s": pairs, "thread_pairs_s": thread_pairs, "times_ns": spent, "timer_ns": timer_ns()}


def log_and_end(adapter: ModuleType, workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """Log rows, at full speed or at a pace; then finish, or die by SIGKILL once the last call has returned."""
    adapter.load()
    one, _, finish = adapter.start(workspace)
    begin, pause = time(), request["pause_s"]
    for step in range(request["rows"]):
        one("loss", 1.0 / (step + 1), step=step)
        if pause:
            sleep(max(0.0, begin + (step + 1) * pause - time()))
    if not request["kill"]:
        finish()
        return {"returned": request["rows"]}
    answer = os.open(request["answer"], os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(answer, json.dumps({"returned": request["rows"]}).encode())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


def read_back(adapter: ModuleType, workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """Count the rows of a killed process that the tool can still read."""
    return {"kept": len(set(adapter.read(workspace)))}


def log_until_queryable(adapter: ModuleType, workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """Log 10 scalars per call until all points are logged or time is over; then poll until all can be read."""
    adapter.load()
    _, many, finish = adapter.start(workspace)
    begin, step = perf_counter(), 0
    while step * len(NAMES) < request["points"] and perf_counter() - begin < request["most_s"]:
        many(dict.fromkeys(NAMES, 1.0 / (step + 1)), step=step)
        step += 1
    finish()
    finished, points, asked = perf_counter() - begin, step * len(NAMES), 0.0
    while perf_counter() - begin < finished + request["wait_s"]:
        asked = perf_counter() - begin  # points in an answer were there when it was requested
        if adapter.count(workspace, NAMES) == points:
            return {"points": points, "finished_s": finished, "queryable_s": asked}
        sleep(0.05)
    raise SystemExit(f"not all of {points} points could be read {request['wait_s']} s after finish()")


TASKS = {
    "ingest": log_until_queryable,
    "calls": measure_calls,
    "train": measure_training,
    "rows": log_and_end,
    "read": read_back,
}


def main() -> None:
    request = json.loads(sys.argv[1])
    workspace = Workspace(request)
    os.chdir(workspace.folder)
    adapter = load_file(HERE / "adapters" / f"{request['adapter']}.py")
    found = TASKS[request["task"]](adapter, workspace, request)
    Path(request["answer"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
