"""
The system under faults: a broker and a PostgreSQL server that can be killed, connections to both that can be disturbed,
workers that share the partitions, and training processes. The faults of a plan are its orders.

A process that ends without an order is restarted at once, as by a supervisor, and its last log line is kept.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tests.faults.plan import SESSION_S, Fault
from tests.support import services
from tests.support.broker import Broker
from tests.support.materialiser_process import Materialiser, environment
from tests.support.postgres_server import PostgresServer
from tests.support.process_tree import until
from tests.support.tcp_proxy import Proxy, proxy_to

TRAINEE = Path(__file__).with_name("training_script.py")
PARTITIONS = 6
TOPIC = "events"
EXPECTED = ("Fenced", "RecordsSkipped")  # reasons for which a worker may end by itself
SUPERVISOR_PAUSE_S = 0.3  # between a death and the next start


class Training:
    """The successive training processes of one rank, and the file in which each counts its emits."""

    def __init__(self, number: int, folder: Path, variables: dict[str, str]) -> None:
        self.run_id = f"train-{number % 2}"
        self.counters: dict[str, Path] = {}  # by series name
        self._number, self._folder = number, folder
        self._stop = folder / f"stop-{number}"
        self._variables = {**variables, "GATEWAY_RUN_ID": self.run_id, "GATEWAY_JOIN": self.run_id, "RANK": str(number)}
        self.is_over = False
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        name = f"loss-{self._number}-{len(self.counters)}"
        self.counters[name] = self._folder / name
        argv = [sys.executable, str(TRAINEE), name, str(self.counters[name]), str(self._stop)]
        with (self._folder / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(argv, env=self._variables, stdout=log, stderr=log)
        return self.process

    def output(self) -> str:
        return "\n".join(path.with_suffix(".log").read_text() for path in self.counters.values())

    def finish(self) -> int:
        """Let the process finish; return its exit status."""
        self.is_over = True
        self._stop.touch()
        return self.process.wait(120)

    def counts(self) -> dict[str, int]:
        """Return the number of emits that returned, by series."""
        return {
            name: int.from_bytes(path.read_bytes(), "little") if path.exists() else 0
            for name, path in self.counters.items()
        }


class System:
    """All processes, the faults of a plan, and the ends that no fault caused."""

    def __init__(
        self, folder: Path, journals: Path, broker: Broker, server: PostgresServer, lines: list[Proxy]
    ) -> None:
        self.broker, self.server = broker, server
        self.database = services.run(services.create_database(server.dsn))
        self.unordered: list[str] = []  # last log lines of workers that ended without a fault
        self._folder = folder
        self._lines = {"line to Kafka": lines[0], "line to PostgreSQL": lines[1]}
        self._workers: dict[str, Materialiser] = {}
        self._leaving: list[Materialiser] = []
        self._due: dict[str, float] = {}  # when a dead worker is restarted
        self._wanted = ["worker-0", "worker-1"]
        far_database = self.database.replace(f":{server.port}/", f":{lines[1].port}/")
        self._variables = environment(
            lines[0].address,
            TOPIC,
            far_database,
            batch_records="40",
            session_timeout_ms=str(int(SESSION_S * 1000)),
        )
        training = {
            name: value
            for name, value in self._variables.items()
            if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
        } | {
            "GATEWAY_URL": f"kafka://{lines[0].address}",
            "GATEWAY_TOPIC": TOPIC,
            "GATEWAY_JOURNAL_DIR": str(journals),
            "GATEWAY_CAPTURE": "none",
            "GATEWAY_HOME": str(folder),
        }
        self.training_variables = training
        self.trainings: list[Training] = []

    def start(self) -> None:
        """Start the workers, and when they read the log, the training processes."""
        for name in self._wanted:
            self._start_worker(name)
        for name in self._wanted:
            self._workers[name].until_ready()
        for number in range(3):
            self.trainings.append(Training(number, self._folder, self.training_variables))

    def begin(self, fault: Fault) -> None:
        """Start a fault."""
        match fault.kind.split(" ", 1)[0], fault.target:
            case "worker", target:
                self._hit_worker(fault, target)
            case "training", target:
                process = self._training(target).process
                process.send_signal(signal.SIGKILL if fault.kind == "training killed" else signal.SIGSTOP)
            case _, "Kafka":
                self.broker.kill()
            case _, "PostgreSQL":
                self.server.kill()
            case _, target:
                _spoil(self._lines[target], fault.kind.rpartition(" ")[2])

    def end(self, fault: Fault) -> None:
        """End a fault."""
        match fault.kind.split(" ", 1)[0], fault.target:
            case "worker", target if "paused" in fault.kind:
                self._workers[target].process.send_signal(signal.SIGCONT)
            case "worker", target if "joins" in fault.kind:
                self._wanted.remove(target)
                self._leaving.append(self._workers.pop(target))
                self._leaving[-1].process.send_signal(signal.SIGTERM)
            case "training", target if "paused" in fault.kind:
                self._training(target).process.send_signal(signal.SIGCONT)
            case _, "Kafka":
                self.broker.begin()
            case _, "PostgreSQL":
                self.server.begin()
            case _, target if target in self._lines:
                self._lines[target].heal()

    def supervise(self) -> None:
        """Restart dead processes after a short pause."""
        now = time.monotonic()
        for name in self._wanted:
            status = self._workers[name].process.poll() if name in self._workers else -9
            if status is not None and name not in self._due:
                self._due[name] = now + SUPERVISOR_PAUSE_S
                if status != -signal.SIGKILL:
                    last = self._workers[name].text().strip().splitlines()[-1:] or ["(silent)"]
                    self.unordered.append(f"{name} ended with {status}: {last[0]}")
            elif self._due.get(name, now + 1) <= now:
                del self._due[name]
                self._start_worker(name)
        for training in self.trainings:
            if training.process.poll() is not None and not training.is_over:
                training.start()

    def until_shared(self) -> None:
        """Wait until every worker has partitions again, so that none runs without work."""
        group, wanted = f"materialiser.{TOPIC}", len(self._wanted)

        def is_shared() -> bool:
            self.supervise()  # a worker that was fenced may end only now
            return len(services.run(shares(self.broker.address, group))) == wanted

        until(is_shared, "each worker has its share")

    def settle(self) -> None:
        """Wait until the servers serve."""
        until(lambda: services.answers(self.broker.address), "Kafka serves")
        until(self.server.answers, "PostgreSQL serves")

    def close(self) -> None:
        """End every process."""
        for worker in [*self._workers.values(), *self._leaving]:
            worker.kill()
        for training in self.trainings:
            training.process.kill()
            training.process.wait()

    def stop(self) -> None:
        """Ask the workers to end and wait for them, and for those that left before."""
        workers = [*self._workers.values(), *self._leaving]
        statuses = [(one.kill(signal.SIGTERM), one.ready.exists()) for one in workers]
        assert set(statuses) <= {(0, True), (0, False), (-signal.SIGTERM, False)}, (
            statuses
        )  # False: it was still starting

    def unexpected(self) -> list[str]:
        """Return the ends that no fault and no fencing explains."""
        return [last for last in self.unordered if not any(kind in last for kind in EXPECTED)]

    def texts(self) -> str:
        """Return the logs of all workers."""
        return "\n".join(path.read_text(errors="replace") for path in self._folder.glob("materialiser-*.log"))

    def _start_worker(self, name: str) -> None:
        variables = {**self._variables, "GATEWAY_WORKER": name.rpartition("-")[2]}
        self._workers[name] = Materialiser(self._folder, variables)

    def _hit_worker(self, fault: Fault, target: str) -> None:
        if "joins" in fault.kind:
            self._wanted.append(target)
            self._start_worker(target)
            return
        process = self._workers[target].process
        process.send_signal(signal.SIGKILL if "killed" in fault.kind else signal.SIGSTOP)

    def _training(self, target: str) -> Training:
        return self.trainings[int(target.rpartition("-")[2])]


async def shares(bootstrap: str, group: str) -> list[list[int]]:
    """Return the partitions of each member of a consumer group; empty during a rebalance."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        ((_, _, state, _, _, members),) = answer.groups
        if state != "Stable":
            return []
        found = [ConsumerProtocolMemberAssignment.decode(member[4]).partitions() for member in members if member[4]]
        return [[part.partition for part in parts] for parts in found if parts]
    finally:
        await admin.close()


def _spoil(line: Proxy, how: str) -> None:
    match how:
        case "cut":
            line.cut()
        case "dropped":
            line.drop()
        case "delayed":
            line.delay(0.15)
        case "stalled":
            line.stall()
        case "half-closed":
            line.half_close()
        case "limited":
            line.limit(2)
        case _:
            raise AssertionError(f"a line cannot be {how}")


@contextmanager
def running_system(folder: Path, scratch: Path, journals: Path) -> Iterator[System]:
    """Yield a running system. `folder`: readable by the user of PostgreSQL; `scratch`: for logs."""
    broker, server = Broker(folder / "kafka"), PostgresServer(folder / "postgres")
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(proxy_to(broker.far_port)), stack.enter_context(proxy_to(server.port))]
        broker.advertised_port = lines[0].port
        stack.callback(server.kill)
        stack.callback(broker.kill)
        server.start()
        broker.start()
        services.run(services.create_topic(broker.address, TOPIC, partitions=PARTITIONS))
        system = System(scratch, journals, broker, server, lines)
        stack.callback(system.close)
        system.start()
        yield system
