"""
A training process under faults: `python training_script.py SERIES COUNTER STOP`.

Joins the run of GATEWAY_RUN_ID and emits 0.5, 1.5, 2.5, ... into one series until the file STOP appears. COUNTER is a
file of 8 bytes with the number of emits that returned. It is memory-mapped, so it survives SIGKILL like the journal.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

import gateway

PAUSE_S = 0.004


def main(series: str, counter: Path, stop: Path) -> None:
    counter.write_bytes(bytes(8))
    with counter.open("r+b") as file, mmap.mmap(file.fileno(), 8) as counted, gateway.start_run() as run:
        step = 0
        while not stop.exists():
            run.emit(series, step + 0.5, step)
            step += 1
            struct.pack_into("<q", counted, 0, step)
            time.sleep(PAUSE_S)
        assert run.finish(timeout_s=60).unsent == 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
