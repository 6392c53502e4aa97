"""
Training processes that only emit: forked from a process that has loaded the client, ten scalars per call.

Run as a file with one argument, the request as JSON. Each process has a run of its own. It emits at a fixed rate, or as
fast as its points become queryable: at most `window` points are in flight, so that no journal fills up.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from random import random
from time import process_time, sleep, time_ns

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks import board as at  # noqa: E402
from benchmarks.board import Board  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES = tuple(f"train/metric_{number}" for number in range(10))
BURST_CALLS = 100  # between two reads of the board, at full speed
LOOK_CALLS = 10  # the same at a fixed rate
MADE = 1_000  # different calls at a fixed rate: as many as a chunk has points, otherwise they would compress


def main() -> None:
    """Fork the producers and wait for them; exits with 1 when one of them failed."""
    request = json.loads(sys.argv[1])
    import aiokafka  # noqa: F401  # otherwise the client would load it in its first thread, in each process

    import gateway.client.run.current  # noqa: F401

    children = []
    for number in range(request["processes"]):
        child = os.fork()
        if child == 0:
            os._exit(_guarded(number, request))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(1 if any(codes) else 0)


def _guarded(number: int, request: dict[str, Any]) -> int:
    try:
        _produce(number, request)
    except BaseException:  # noqa: BLE001  # the edge of a forked process: the parent's stack is below
        traceback.print_exc()
        return 1
    return 0


def _produce(number: int, request: dict[str, Any]) -> None:
    import gateway

    board = Board(Path(request["board"]), request["processes"])
    run = gateway.start_run("benchmark", run_id=f"{request['name']}-{number}", url=request["url"], capture=False)
    gateway.flush(30)
    made = [_values() for _ in range(MADE)] if request["rate"] else []  # beforehand, so as not to count as the client's
    board.set(number, at.READY, 1)
    while not (start := board.head(at.START)):
        sleep(0.005)
    begin = start + (number * request["stagger_ns"])
    sleep(max(0.0, (begin - time_ns()) / 1e9))
    used = process_time()
    board.set(number, at.BEGAN, time_ns())
    if request["rate"]:
        _at_a_pace(board, number, request, begin, made)
    else:
        _as_fast_as_possible(board, number, request, begin)
    report = run.finish(timeout_s=60)
    board.set(number, at.SENT, report.sent)
    board.set(number, at.DROPPED, report.dropped)
    board.set(number, at.CPU_US, int((process_time() - used) * 1e6))


def _values() -> dict[str, float]:
    return {name: random() for name in NAMES}  # noise, which compresses as badly as measured values


def _at_a_pace(board: Board, number: int, request: dict[str, Any], begin: int, made: list[dict[str, float]]) -> None:
    import gateway

    interval = int(1e9 * len(NAMES) / request["rate"])
    calls = int(request["seconds"] * 1e9 / interval)
    for step in range(calls):
        wait = begin + step * interval - time_ns()
        if wait > 0:
            sleep(wait / 1e9)
        gateway.emit(made[step % MADE], step=step)
        if step % LOOK_CALLS == 0:
            board.set(number, at.EMITTED, (step + 1) * len(NAMES))
            if board.head(at.STOP):
                break
    board.set(number, at.EMITTED, (step + 1) * len(NAMES))


def _as_fast_as_possible(board: Board, number: int, request: dict[str, Any], begin: int) -> None:
    import gateway

    end, most, window = begin + int(request["seconds"] * 1e9), request["points"], request["window"]
    step = 0
    while time_ns() < end and step * len(NAMES) < most and not board.head(at.STOP):
        if step * len(NAMES) - board.get(number, at.VISIBLE) >= window:
            sleep(0.002)
            continue
        for _ in range(BURST_CALLS):
            gateway.emit(_values(), step=step)
            step += 1
        board.set(number, at.EMITTED, step * len(NAMES))


if __name__ == "__main__":
    main()
