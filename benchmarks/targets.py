"""
Empty targets for trackers to write to: folders, MLflow's databases, and a real MLflow server that can be killed and
started again.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path

import asyncpg
import psutil

from benchmarks.environments import Missing
from benchmarks.services import Server
from benchmarks.system import running_postgres
from benchmarks.watched import peak_mib
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import mlflow_server
from gateway.local.supervision.process import end, kill_group, spawn, wait_until

# In the order of measuring. The last two are the tracker mlflow too, with the address of a database.
TRACKERS = ("parquet", "tensorboard", "wandb", "trackio", "mlflow", "mlflow-sqlite", "mlflow-postgresql")
FOLDERS = {"parquet": "PARQUET_DIR", "tensorboard": "TENSORBOARD_DIR", "wandb": "WANDB_DIR", "trackio": "TRACKIO_DIR"}
START_TIMEOUT_S = 90


class Target:
    """The folder or server that one tracker writes to."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.server: MlflowServer | None = None
        self.database: Server | None = None  # PostgreSQL
        self.url = ""  # of MLflow

    def variables(self) -> dict[str, str]:
        """Return the settings of a process that delivers to it or reads it back."""
        if self.name == "mlflow":
            return {"GATEWAY_MLFLOW_URL": self.url}
        if self.url:  # a name of its own, because each name has its own position in the log
            defined = self.folder / "trackers.yaml"
            defined.write_text(f"{self.name}: {{type: mlflow, config: {{url: '{self.url}'}}}}\n")
            return {"GATEWAY_TRACKERS_FILE": str(defined)}
        return {f"GATEWAY_{FOLDERS[self.name]}": str(self.folder / "held")}

    def bytes(self) -> int:
        """Return its size on disk, bytes."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def cpu_s(self) -> float:
        """Return the user and system time of its server, seconds."""
        running = self.server or self.database
        return running.cpu_s() if running else 0.0


class MlflowServer:
    """The server that `gateway up` starts, with a database of its own and the same address after each start."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._cpu_s = self._peak_mib = 0.0  # of the processes before this one

    def start(self) -> None:
        """Start it and wait until it answers. Raises Missing."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it. Call this in the main thread: the server ends with the thread that started it."""
        command = mlflow_server.prepare(self._folder, port=self.port)
        with (self._folder / "mlflow.log").open("ab") as log:
            self._child = spawn(command, log)

    def wait(self) -> None:
        """Return once it answers. Raises Missing."""
        assert self._child is not None
        if not wait_until(self.serves, self._child, START_TIMEOUT_S):
            raise Missing(f"MLflow's server did not start within {START_TIMEOUT_S} s: see {self._folder}/mlflow.log")

    def serves(self) -> bool:
        """Return True if it answers."""
        return mlflow_server.serves(HOST, self.port, timeout_s=1.0)

    def stop(self) -> None:
        """Ask it to end."""
        if self._child is not None:
            self._count()
            end(self._child, timeout_s=10)
            self._child = None

    def kill(self) -> None:
        """Send SIGKILL to it."""
        if self._child is not None:
            self._count()
            kill_group(self._child.pid)
            self._child.wait()
            self._child = None

    def cpu_s(self) -> float:
        """Return the user and system time that it has used, seconds."""
        return self._cpu_s + (_cpu_s(self._child.pid) if self._child is not None else 0.0)

    def peak_mib(self) -> float:
        """Return its peak resident memory, MiB."""
        return max(self._peak_mib, peak_mib(self._child.pid) if self._child is not None else 0.0)

    def _count(self) -> None:
        self._peak_mib, self._cpu_s = self.peak_mib(), self.cpu_s()


@contextmanager
def empty_target(name: str, folder: Path) -> Iterator[Target]:
    """Yield an empty target for a tracker; it is removed at the end of the block. Raises Missing."""
    if name.partition("-")[0] not in {entry.name for entry in entry_points(group="gateway.trackers")}:
        raise Missing("this tree has no such tracker")
    target = Target(name, folder)
    (folder / "held").mkdir(parents=True)
    try:
        if name == "mlflow":
            target.server = MlflowServer(folder / "held")
            target.server.start()
            target.url = target.server.url
        elif name == "mlflow-sqlite":
            target.url = f"sqlite:///{folder}/held/mlflow.db"
        if name == "mlflow-postgresql":
            with running_postgres(folder / "held") as target.database:
                target.url = asyncio.run(_new_database(target.database.address))
                yield target
        else:
            yield target
    finally:
        if target.server is not None:
            target.server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _new_database(dsn: str) -> str:
    """Create a database at a server; return its address."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE DATABASE mlflow")
    finally:
        await connection.close()
    return dsn.rpartition("/")[0] + "/mlflow"


def _cpu_s(pid: int) -> float:
    with suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0
