"""
The demo's sweep: start several training processes, read their progress, and collect what they emitted.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.local.command import Command
from gateway.local.demo.training import Spec
from gateway.local.supervision.process import end, spawn
from schemas.facts import Facts

Progress = Callable[[dict[str, Any]], None]
FINISH_TIMEOUT_S = "120"  # a worker waits this long for its last events to be acknowledged


def plan_sweep(group: str, folder: Path, *, pace_ms: float = 0.0, clock: int | None = None) -> list[Spec]:
    """Return the runs of one sweep: three that learn, and one whose learning rate makes it fail."""
    chosen = [("slow", 0.01, 16, 10), ("steady", 0.05, 32, 10), ("eager", 0.2, 64, 10), ("reckless", 1e9, 32, 10)]
    return [
        Spec(f"{group}-{name}", f"digits-{name}", group, str(folder / f"{name}.json"), rate, hidden, epochs, number,
             pace_ms, clock)
        for number, (name, rate, hidden, epochs) in enumerate(chosen)
    ]  # fmt: skip


class Sweep:
    """Training processes. Leaving the context ends all of them."""

    def __init__(self, specs: list[Spec], home: Path, progress: Progress) -> None:
        self._specs, self._home, self._progress = specs, home, progress
        self._workers: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Sweep:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        variables |= {"GATEWAY_HOME": str(self._home), "GATEWAY_FINISH_TIMEOUT_S": FINISH_TIMEOUT_S}
        # One thread each, or numpy's pools fight for the cores.
        variables |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        for spec in self._specs:
            argv = [sys.executable, "-m", "gateway.local.demo.training", json.dumps(spec._asdict())]
            worker = spawn(Command(argv, {}), subprocess.PIPE, environment=variables)
            self._workers.append(worker)
            reader = threading.Thread(target=self._read, args=(worker,), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, *_: object) -> None:
        for worker, reader in zip(self._workers, self._readers, strict=True):
            if worker.poll() is None:
                end(worker, timeout_s=5)
            reader.join()
            if worker.stdout is not None:
                worker.stdout.close()

    def pids(self) -> set[int]:
        """Return the process ids of the workers that still train."""
        return {worker.pid for worker in self._workers if worker.poll() is None}

    def wait(self) -> Facts:
        """Wait until every worker has ended, and return what they emitted."""
        for worker, reader in zip(self._workers, self._readers, strict=True):
            worker.wait()
            reader.join()
        facts = Facts()
        for spec in self._specs:
            with contextlib.suppress(FileNotFoundError):  # a worker that never trained emitted nothing
                facts.add(Facts.from_json(json.loads(Path(spec.ledger).read_text(encoding="utf-8"))))
        return facts

    def _read(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdout is not None
        for line in worker.stdout:
            try:
                self._progress(json.loads(line))
            except ValueError:
                self._progress({"output": line.decode(errors="replace").rstrip()})
