"""The client of this project: to Kafka, or without a network."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from typing import Any

TOPIC = "tracking.events"

gateway: Any = None  # the module, once loaded


def load() -> None:
    global gateway
    gateway = importlib.import_module("gateway")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    run = gateway.start_run(name="benchmark", url=_url(workspace), capture=False)
    (workspace.folder / "run-id").write_text(run.id)

    def finish() -> int:
        report = run.finish(timeout_s=60)
        return int(report.emitted - report.sent) if _url(workspace) != "none:" else int(report.dropped)

    return gateway.emit, gateway.emit, finish


def _url(workspace: Any) -> str:
    return "none:" if workspace.mode.endswith("-offline") else f"kafka://{workspace.address}"


def read(workspace: Any) -> list[int]:
    """Send what the killed process left, with the command that users run, and read the log as every consumer does."""
    command = [sys.executable, "-m", "gateway.cli", "sync"]
    environment = {**os.environ, "GATEWAY_URL": f"kafka://{workspace.address}"}
    shipped = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if shipped.returncode:
        raise RuntimeError(f"gateway sync: {shipped.stderr.strip()[-200:]}")
    return asyncio.run(_read_log(workspace.address, (workspace.folder / "run-id").read_text()))


async def _read_log(address: str, run_id: str) -> list[int]:
    from consumers.log.reader import LogReader
    from schemas.wire import decode_run

    reader, steps = LogReader(address, TOPIC), []
    await reader.open()
    try:
        await reader.assign(dict.fromkeys(await reader.partitions(), 0))
        while records := await reader.fetch(timeout_ms=2_000, max_records=500):
            for record in (record for record in records if record.key == run_id.encode()):
                for series in getattr(decode_run(record.key, record.value, record.headers).event, "series", ()):
                    steps += [step for step in series.steps if series.name == "loss"]
    finally:
        await reader.close()
    return steps
