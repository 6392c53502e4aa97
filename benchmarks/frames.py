"""
How smoothly a browser draws a workspace of many runs while points arrive: times of frames, CPU, memory, bytes.

A server of this file answers as the query API does and streams made-up points, so that only the page is measured: the
stack that produces points has its own benchmarks. Chromium draws without a GPU. Run `python benchmarks/frames.py` after
the dashboard was built; `--help` lists the options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, StreamingResponse
from playwright.async_api import async_playwright
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parents[1] / "consumers" / "live" / "dashboard" / "static"
PORT = 8_797
# Times between frames, and how long the scripts of a frame took, as the page itself sees them.
OBSERVE = """() => {
    window.frames_ms = []; window.tasks_ms = [];
    let before = performance.now();
    const step = (now) => { frames_ms.push(now - before); before = now; requestAnimationFrame(step); };
    requestAnimationFrame(step);
    new PerformanceObserver((list) => list.getEntries().forEach((one) => tasks_ms.push(one.duration)))
        .observe({ entryTypes: ["longtask"] });
}"""


@dataclass(frozen=True)
class Load:
    """What is shown and how much comes."""

    runs: int = 20
    charts: int = 50
    points_a_second: int = 10  # of each series
    history: int = 20_000  # points of each series before


def value(run: int, chart: int, step: int) -> float:
    """Return a falling, noisy loss."""
    return math.exp(-step / 8_000) * (1 + run / 10) + 0.1 * random.random() + chart / 50


def application(load: Load) -> FastAPI:
    """Return the server: the built pages, the routes that a workspace asks, and a stream."""
    app = FastAPI()
    began = time.time_ns() // 1_000 - load.history * 100_000  # µs
    names = [f"group{chart % 5}/metric{chart}" for chart in range(load.charts)]
    runs = [f"run-{number}" for number in range(load.runs)]
    sent = {"step": load.history}

    def columns(run: int, chart: int, buckets: int) -> dict[str, Any]:
        every = max(1, load.history // (4 * buckets))
        steps = list(range(0, load.history, every))
        return {
            "steps": steps,
            "times": [began + step * 100_000 for step in steps],
            "values": [value(run, chart, step) for step in steps],
        }

    @app.get("/v1/me")
    async def me() -> dict[str, Any]:
        return {"name": "", "scopes": ["read", "write", "admin"], "experiments": None, "csrf": ""}

    @app.get("/v1/runs")
    async def list_runs() -> dict[str, Any]:
        rows = [
            {
                "run_id": run,
                "name": f"sweep {run}",
                "state": "running",
                "created": began,
                "started": began,
                "params": {},
            }
            for run in runs
        ]
        return {"runs": rows, "next_page_token": None, "as_of": "0:0"}

    @app.post("/v1/series/index")
    async def index() -> dict[str, Any]:
        pairs = [(run, name) for run in runs for name in names]
        found = {"run_id": [run for run, _ in pairs], "series": [name for _, name in pairs]}
        return {"as_of": "0:0", **found, "total": len(pairs), "next_page_token": None}

    @app.post("/v1/series")
    async def series(request: Request) -> dict[str, Any]:
        body = await request.json()
        found = [
            {
                "run_id": run,
                "series": name,
                "count": load.history,
                "in_range": load.history,
                "exact": False,
                "columns": columns(number, names.index(name), body["buckets"]),
                "marks": [],
            }
            for number, run in enumerate(runs)
            for name in body["names"]
        ]
        return {"as_of": "0:0", "series": found, "total": len(found), "next_page_token": None}

    async def events() -> AsyncIterator[str]:
        offset = 0
        yield "retry: 1000\nid: 0:0\n\n"
        while True:
            step = sent["step"]
            sent["step"] += load.points_a_second // 5
            now = time.time_ns() // 1_000
            steps = range(step, sent["step"])
            for number, run in enumerate(runs):
                parts = [
                    {
                        "series": name,
                        "name": name,
                        "labels": {},
                        "count": len(steps),
                        "points": [[at, now, value(number, chart, at)] for at in steps],
                    }
                    for chart, name in enumerate(names)
                ]
                event = {
                    "run_id": run,
                    "kind": "metrics",
                    "partition": 0,
                    "offset": offset,
                    "producer": run,
                    "seq": step,
                }
                offset += 1
                yield f"id: 0:{offset}\ndata: {json.dumps(event | {'time': now, 'attempt': 1, 'series': parts})}\n\n"
            await asyncio.sleep(0.2)

    @app.get("/v1/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    app.mount("/static", StaticFiles(directory=STATIC))

    @app.get("/{path:path}")
    async def page(path: str) -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app


def quantile(values: list[float], part: float) -> float:
    """Return the value below which `part` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def measure(load: Load, seconds: float, query: str, picture: str | None) -> None:
    """Open a workspace, let points arrive, and print what the browser saw."""
    server = uvicorn.Server(uvicorn.Config(application(load), port=PORT, log_level="error"))
    serving = asyncio.create_task(server.serve())
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: print("page error:", error))
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")
        await session.send("Network.enable")
        sizes: list[int] = []
        session.on("Network.dataReceived", lambda event: sizes.append(event["dataLength"]))
        began = time.perf_counter()
        await page.goto(f"http://127.0.0.1:{PORT}/workspace{query}")
        await page.wait_for_selector('.chart-host[data-lines]:not([data-lines="0"])', timeout=60_000)
        first_s = time.perf_counter() - began
        await asyncio.sleep(3)  # let the first drawing end
        loaded = sum(sizes)
        before = await metrics(session)
        await page.evaluate(OBSERVE)
        await asyncio.sleep(seconds)
        after = await metrics(session)
        frames: list[float] = await page.evaluate("frames_ms")
        tasks: list[float] = await page.evaluate("tasks_ms")
        if picture:
            await page.screenshot(path=picture)
        await browser.close()
    server.should_exit = True
    await serving
    busy = {name: (after[name] - before[name]) / seconds * 100 for name in ("TaskDuration", "ScriptDuration")}
    print(f"{load.runs} runs x {load.charts} charts x {load.points_a_second} points/s, {seconds:.0f} s")
    print(f"first chart {first_s:.2f} s; frames {len(frames)}: p50 {quantile(frames, 0.5):.1f} ms,", end=" ")
    print(f"p95 {quantile(frames, 0.95):.1f} ms, p99 {quantile(frames, 0.99):.1f} ms, longest {max(frames):.0f} ms")
    print(f"page CPU {busy['TaskDuration']:.0f} %, of it scripts {busy['ScriptDuration']:.0f} %;", end=" ")
    print(f"tasks over 50 ms: {len(tasks)}; heap {after['JSHeapUsedSize'] / 1e6:.0f} MB;", end=" ")
    print(f"{loaded / 1e6:.1f} MB to load, then {(sum(sizes) - loaded) / seconds / 1e6:.2f} MB/s")


async def metrics(session: Any) -> dict[str, float]:
    """Return Chromium's counters of the page: seconds and bytes by name."""
    found = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in found["metrics"]}


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--charts", type=int, default=50)
    parser.add_argument("--points", type=int, default=10, help="a second, of each series")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--query", default="", help='of the workspace, such as "?smooth=ema:0.6"')
    parser.add_argument("--picture", help="write a screenshot here")
    options = parser.parse_args()
    load = Load(options.runs, options.charts, options.points)
    asyncio.run(measure(load, options.seconds, options.query, options.picture))


if __name__ == "__main__":
    main()
