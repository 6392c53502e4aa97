"""
One run of several processes, standard library only: four workers join the run that their parent started.

First start a stack with `gateway up`, or set GATEWAY_URL=kafka://host:port. Then: python examples/train_processes.py
The series of each worker is labelled with its rank, because RANK is set for it, as torchrun and srun do.
"""

from __future__ import annotations

import os
import subprocess
import sys

import gateway


def work() -> None:
    gateway.start_run()  # joins: GATEWAY_RUN_ID names the run
    for step in range(100):
        gateway.emit("loss", 1 / (step + 1 + int(os.environ["RANK"])), step=step)


def main() -> None:
    with gateway.start_run(tag="examples", params={"workers": 4}) as run:
        command = [sys.executable, __file__]
        workers = [subprocess.Popen(command, env={**os.environ, "RANK": str(rank)}) for rank in range(4)]
        for worker in workers:
            worker.wait()
        gateway.emit("gradients", gateway.histogram([0.1, 0.2, 0.2, 0.7], bins=4), step=100)
        run.log_artifact(__file__)
    print(run.id, run.report)


if __name__ == "__main__":
    work() if "RANK" in os.environ else main()
