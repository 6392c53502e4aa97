"""
Run one measurement in a process of its own: the harness, with the tool's Python, in a new folder.

The process does not inherit the caller's settings and does not write to the caller's home; processes that it leaves
running are ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.catalogue import Peer
from benchmarks.environments import Missing
from gateway.local.supervision.process import group_members, kill_group

HARNESS = Path(__file__).with_name("harness.py")
KEPT = ("PATH", "LANG", "LC_ALL", "JAVA_HOME", "TMPDIR")
SETTLE_S = 5.0  # for processes that survive the killed one, such as wandb-core, to write what they hold


def environment(peer: Peer, folder: Path) -> dict[str, str]:
    """Return the variables of a measured process: one thread for numpy, no network, a home of its own."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    own = {"HOME": str(folder), "GATEWAY_HOME": str(folder / "gateway"), "TRACKIO_DIR": str(folder / "trackio")}
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    if not peer.environment:
        own["PYTHONPATH"] = str(HARNESS.parents[1])  # measure the tree this file belongs to, whatever is installed
    loopback = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return {**kept, **threads, **closed, **loopback, **own, **dict(peer.variables), "PYTHONHASHSEED": "0"}


def measure(
    peer: Peer, python: Path, task: str, *, folder: Path, address: str, timeout_s: float, **request: Any
) -> dict[str, Any]:
    """Run one task of the harness in `folder` and return its answer. Raises Missing when there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    answer, output = folder / f"answer-{task}.json", folder / f"output-{task}.txt"
    asked = {"task": task, "peer": peer.name, "adapter": peer.adapter, "folder": str(folder), "address": address}
    argv = [str(python), "-P", str(HARNESS), json.dumps({**asked, "answer": str(answer), **request})]
    with output.open("wb") as log:
        child = subprocess.Popen(
            argv,
            env=environment(peer, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Missing(f"{task}: no answer after {timeout_s:.0f} s") from error
        finally:
            if request.get("kill"):
                _settle(child.pid)
            kill_group(child.pid)
            child.wait()
    if not answer.exists() or not answer.stat().st_size:
        raise Missing(f"{task}: {_last_words(output) or f'ended with code {child.returncode}'}")
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _settle(group: int) -> None:
    deadline = monotonic() + SETTLE_S
    while group_members([group]) and monotonic() < deadline:
        sleep(0.05)


def _last_words(output: Path) -> str:
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for one benchmark, on the disk of the temporary folder."""
    return tempfile.TemporaryDirectory(prefix="gateway-benchmark-", ignore_cleanup_errors=True)


if sys.platform != "linux":  # the CPU time of children is read from /proc
    raise SystemExit("gateway: the benchmarks need Linux: run them there")
