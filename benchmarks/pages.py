"""
The dashboard in Chromium on the real system: Kafka, PostgreSQL, materialiser, API and a training, all on this machine.

    python benchmarks/pages.py            # about 3 minutes; --quick: 90 s

- Runs table: time from navigation to its first rows, among 100,000 runs.
- Run page: time from navigation to its first chart, of a run with 10,000 series, and memory of the API's process.
- Workspace: 20 runs of 50 charts, of each series 10 points/s: times between frames, the page's processor time, bytes,
  and how long a point takes from emit() to the frame that shows it, as the page itself says.

Chromium draws without a GPU. Build the dashboard first (`npx vite build` in dashboard/).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep, time
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

RUNS, CHARTS, POINTS_A_SECOND = 20, 50, 10
HISTORY = 500  # points of each of these series before
SERIES, SERIES_POINTS = 10_000, 10  # of the run page's run
FIRST_ROWS = ".grid-row[data-run]"
FIRST_CHART = '.chart-host[data-lines]:not([data-lines="0"])'
# Pages allow no eval, so what waits for a condition is a script of the browser, run before those of the page.
WATCH = """(function look() {
    if (!document.querySelector(SHOWN)) return requestAnimationFrame(look);
    document.documentElement.dataset.first = performance.now();
})()"""

# Times between frames, and how long the scripts of a frame took, as the page itself sees them.
OBSERVE = """() => {
    window.frames_ms = []; window.tasks_ms = [];
    let before = performance.now();
    const step = (now) => { frames_ms.push(now - before); before = now; requestAnimationFrame(step); };
    requestAnimationFrame(step);
    new PerformanceObserver((list) => list.getEntries().forEach((one) => tasks_ms.push(one.duration)))
        .observe({ entryTypes: ["longtask"] });
}"""


def emit(url: str, seconds: float, wide: bool) -> None:
    """Be the training: emit what the pages show, then steadily until `seconds` are over."""
    import gateway

    if wide:
        with gateway.start_run("wide", run_id="wide", url=url, capture=False) as run:
            for step in range(SERIES_POINTS):
                run.emit({f"layer{number}/norm": random.random() for number in range(SERIES)}, step=step)
        return
    runs = [gateway.start_run(f"sweep {at}", run_id=f"sweep-{at}", url=url, capture=False) for at in range(RUNS)]
    names = [f"group{chart % 5}/metric{chart}" for chart in range(CHARTS)]
    began, step = 0.0, 0
    while not began or time() < began + seconds:
        for at, run in enumerate(runs):
            run.emit({name: math.exp(-step / 800) + at / 10 + 0.1 * random.random() for name in names}, step=step)
        step += 1
        if step == HISTORY:
            began = time()
        elif began:
            sleep(max(0.0, began + (step - HISTORY) / POINTS_A_SECOND - time()))
    for run in runs:
        run.finish(timeout_s=60)


@contextmanager
def training(system: Any, folder: Path, seconds: float, *, wide: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run `emit` in a process of its own."""
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--emit", f"kafka://{system.kafka}"]
    command += ["--seconds", str(seconds), *(["--wide"] if wide else [])]
    variables = {"GATEWAY_HOME": str(folder / "home"), "GATEWAY_JOURNAL_DIR": str(folder / "journal")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    with (folder / "training.log").open("ab") as log:
        process = subprocess.Popen(command, env={**inherited, **variables}, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def serving(system: Any, folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the address and the process of an API."""
    from benchmarks.environments import Missing
    from benchmarks.system import TOPIC
    from gateway.local.command import Command
    from gateway.local.ports import HOST, free_ports
    from gateway.local.supervision.process import end, spawn, wait_until

    (port,) = free_ports(1)
    ready = folder / "live-ready"
    mine = {"KAFKA": system.kafka, "TOPIC": TOPIC, "POSTGRES": system.store, "READY_FILE": str(ready)}
    mine |= {"HOME": str(folder / "live"), "LIVE_PORT": str(port)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    variables = {**inherited, **{f"GATEWAY_{name}": value for name, value in mine.items()}, "PYTHONPATH": str(ROOT)}
    with (folder / "live.log").open("ab") as log:
        command = Command([sys.executable, "-P", "-m", "consumers.live"], {}, folder=folder)
        child = spawn(command, log, environment=variables)
        try:
            if not wait_until(ready.exists, child, 90):
                raise Missing(f"the API did not start: {(folder / 'live.log').read_text()[-300:]}")
            yield f"http://{HOST}:{port}", child.pid
        finally:
            end(child, timeout_s=10)


async def until_stored(dsn: str, points: int, like: str) -> None:
    """Return when these runs have so many points in PostgreSQL."""
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        statement = "SELECT coalesce(sum(points), 0) FROM runs WHERE run_id LIKE $1"
        while await connection.fetchval(statement, like) < points:  # noqa: ASYNC110 -- PostgreSQL does not say when
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def fill(dsn: str, runs: int) -> None:
    """Store many finished runs."""
    import asyncpg

    from benchmarks.search import LOAD

    connection = await asyncpg.connect(dsn)
    try:
        for statement in LOAD.split(";\n"):
            await connection.execute(statement.replace("$1", str(int(runs))), timeout=900)
    finally:
        await connection.close()


async def first(browser: Any, url: str, shown: str, times: int) -> list[float]:
    """Return the ms from navigation to the frame that has this element, each in a new page without cache."""
    found = []
    for _ in range(times):
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        await page.add_init_script(WATCH.replace("SHOWN", json.dumps(shown)))
        await page.goto(url)
        await page.wait_for_selector(shown, timeout=120_000)
        await page.wait_for_selector("html[data-first]", state="attached", timeout=120_000)
        found.append(float(await page.evaluate("document.documentElement.dataset.first")))
        await context.close()
    return found


async def workspace(browser: Any, url: str, seconds: float, query: str) -> dict[str, Any]:
    """Print how the workspace draws while points arrive, and return that."""
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    page.on("pageerror", lambda error: print("page error:", error))
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.dataReceived", lambda event: sizes.append(event["dataLength"]))
    await page.goto(f"{url}/workspace?where=run_id%20like%20'sweep-%25'{query}")
    await page.wait_for_selector(FIRST_CHART, timeout=120_000)
    await asyncio.sleep(4)  # let the first drawing end
    loaded, before = sum(sizes), await metrics(session)
    await page.evaluate(OBSERVE)
    await asyncio.sleep(seconds)
    after = await metrics(session)
    frames, tasks = await page.evaluate("frames_ms"), await page.evaluate("tasks_ms")
    delay = await page.evaluate("({...(document.querySelector('#delay')?.dataset ?? {})})")
    busy = {name: (after[name] - before[name]) / seconds * 100 for name in ("TaskDuration", "ScriptDuration")}
    print(f"workspace, {RUNS} runs x {CHARTS} charts x {POINTS_A_SECOND} points/s, {seconds:.0f} s:")
    print(f"  frames {len(frames)}: p50 {quantile(frames, 0.5):.1f} ms, p95 {quantile(frames, 0.95):.1f} ms,", end=" ")
    print(
        f"p99 {quantile(frames, 0.99):.1f} ms, longest {max(frames):.0f} ms, over 34 ms: {over(frames, 34)},", end=" "
    )
    print(f"tasks over 50 ms: {len(tasks)} (target p95: one frame of 60 a second, 16.7 ms)")
    print(f"  page CPU {busy['TaskDuration']:.0f} % of a core, of it scripts {busy['ScriptDuration']:.0f} %;", end=" ")
    print(f"heap {after['JSHeapUsedSize'] / 1e6:.0f} MB;", end=" ")
    print(f"{loaded / 1e6:.2f} MB to load, then {(sum(sizes) - loaded) / seconds / 1e6:.3f} MB/s")
    if delay:
        print(f"  emit to pixel, last {delay['count']} charts drawn: p50 {float(delay['p50']):.0f} ms,", end=" ")
        print(f"p99 {float(delay['p99']):.0f} ms")
    else:
        print("  emit to pixel: the page does not say")
    await page.close()
    return {"frames": frames, "tasks": len(tasks), "cpu": busy["TaskDuration"], "loaded": loaded, "delay": delay}


def workspace_figures(found: dict[str, Any]) -> list[Any]:
    """Return what the workspace needed, for the history."""
    from benchmarks.history.figure import lower

    frame, delay = {"a frame of 60 a second": 1_000 / 60}, found["delay"]
    return [
        lower("workspace: frame, p50", quantile(found["frames"], 0.5), "ms", frame),
        lower("workspace: frame, p95", quantile(found["frames"], 0.95), "ms", frame, bound=1.5),
        lower("workspace: frame, p99", quantile(found["frames"], 0.99), "ms"),
        lower("workspace: tasks over 50 ms", found["tasks"], "tasks"),
        lower("workspace: CPU of the page", found["cpu"], "% of a core"),
        lower("workspace: to load", found["loaded"] / 1e6, "MB"),
        *(lower(f"workspace: emit to pixel, {part}", float(delay[part]), "ms") for part in ("p50", "p99") if delay),
    ]


def quantile(values: list[float], part: float) -> float:
    """Return the value below which `part` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def metrics(session: Any) -> dict[str, float]:
    """Return Chromium's counters of the page: seconds and bytes by name."""
    found = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in found["metrics"]}


def over(frames: list[float], ms: float) -> int:
    """Return how many frames took longer."""
    return sum(one > ms for one in frames)


def memory_mib(process: int) -> tuple[float, float]:
    """Return the resident memory of a process, and its peak."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1_024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found["VmRSS"], found["VmHWM"]


async def show(url: str, api: int, system: Any, folder: Path, options: argparse.Namespace) -> list[Any]:
    """Open the pages and print what they need; returns the figures for the history."""
    from playwright.async_api import async_playwright

    from benchmarks.history.figure import lower

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    times, figures = 3 if options.quick else 7, []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if options.only in ("", "workspace"):
            with training(system, folder, 3_600):  # until it is stopped
                await until_stored(system.store, RUNS * CHARTS * HISTORY, "sweep-%")
                figures += workspace_figures(await workspace(browser, url, options.seconds, options.query))
        if options.only in ("", "run"):
            found = await run_page(browser, url, api, system, folder, times)
            figures.append(lower(f"run page with {SERIES:,} series: first chart", median(found), "ms"))
        if options.only in ("", "table"):
            await fill(system.store, options.runs)
            found = await first(browser, url, FIRST_ROWS, times)
            print(f"runs table with {options.runs:,} runs, first rows: {spread(found)} (target 1,000 ms);", end=" ")
            print(f"API memory {memory_mib(api)[0]:.0f} MiB", flush=True)
            figures.append(lower(f"table of {options.runs:,} runs: first rows", median(found), "ms"))
        await browser.close()
    return figures


async def run_page(browser: Any, url: str, api: int, system: Any, folder: Path, times: int) -> list[float]:
    """Print how soon the page of a run with many series shows a chart; returns these times, ms."""
    with training(system, folder, 0, wide=True):
        await until_stored(system.store, SERIES * SERIES_POINTS, "wide")
    before = memory_mib(api)[0]
    found = await first(browser, f"{url}/runs/wide", FIRST_CHART, times)
    resident, peak = memory_mib(api)
    print(f"run page with {SERIES:,} series, first chart: {spread(found)} (target 1,000 ms);", end=" ")
    print(f"API memory {before:.0f} MiB before, {resident:.0f} after, peak {peak:.0f}", flush=True)
    return found


def spread(found: list[float]) -> str:
    """Return best, median and slowest."""
    return f"best {min(found):.0f}, median {median(found):.0f}, slowest {max(found):.0f} ms"


def main() -> None:
    """Read the options and measure; or emit, as a child of this program."""
    from benchmarks.history.keeping import add_keep, keep

    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.0, help="of the workspace")
    parser.add_argument("--query", default="", help='added to the address of the workspace, such as "&smooth=ema:0.6"')
    parser.add_argument("--runs", type=int, default=100_000, help="in the runs table")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("", "workspace", "run", "table"), default="", help="one of the pages")
    parser.add_argument("--emit", help=argparse.SUPPRESS)
    parser.add_argument("--wide", action="store_true", help=argparse.SUPPRESS)
    add_keep(parser)
    options = parser.parse_args()
    if options.emit:
        emit(options.emit, options.seconds, options.wide)
        return
    from benchmarks.machine import caption, command_of, describe, load
    from benchmarks.processes import scratch
    from benchmarks.system import running_system

    options.seconds = options.seconds or (12.0 if options.quick else 30.0)
    started, before = perf_counter(), load()
    with scratch() as name, running_system(Path(name)) as system, serving(system, Path(name)) as (url, api):
        figures = asyncio.run(show(url, api, system, Path(name), options))
    command = command_of("python benchmarks/pages.py", sys.argv[1:])
    facts = describe(command, [], (before, load()), perf_counter() - started)
    print(f"\n{caption(facts)}")
    keep(options.keep, facts, figures)


if __name__ == "__main__":
    main()
