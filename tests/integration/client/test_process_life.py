"""What the log contains after processes end in unusual ways, and after processes join a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import events as ev
from tests.support.client_harness import ROOT, points, read_log, train, wait_for
from tests.support.gateway_command import gateway_with


@pytest.fixture
def address(kafka: str, topic: str, tmp_path: Path) -> dict[str, str]:
    """Settings for a training process."""
    return {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_CAPTURE": "none",
    }


class Log:
    """The current contents of the topic of a test."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._where = (kafka, topic)

    def events(self, run_id: str) -> list[Any]:
        return [envelope.event for envelope in read_log(*self._where) if envelope.run_id == run_id]

    def kinds(self, run_id: str) -> list[str]:
        return [event.kind for event in self.events(run_id)]

    def values(self, run_id: str) -> list[float]:
        return sorted(seen.value for seen in points(self.events(run_id)))

    def run_ids(self) -> set[str]:
        return {envelope.run_id for envelope in read_log(*self._where)}


@pytest.fixture
def log(kafka: str, topic: str) -> Log:
    return Log(kafka, topic)


@pytest.fixture
def started(address: dict[str, str]) -> Iterator[Any]:
    """Start training scripts that keep running; they are ended with the test."""
    children: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        env = {
            name: value
            for name, value in os.environ.items()
            if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
        }
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**env, **address},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_sigterm_ends_a_run_as_killed_and_the_process_by_the_signal(started: Any, log: Log) -> None:
    child = started("""
        import gateway, time
        gateway.start_run(run_id="r")
        for step in range(1_000):
            gateway.emit("loss", float(step), step)
        print("ready", flush=True)
        time.sleep(60)
        """)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)

    assert child.wait(90) == -signal.SIGTERM
    ended = log.events("r")[-2]
    assert (ended.kind, ended.message) == ("run_killed", "SIGTERM")
    assert log.values("r") == [float(step) for step in range(1_000)]


def test_sigterm_in_the_middle_of_emit_is_not_stuck(started: Any, log: Log, address: dict[str, str]) -> None:
    child = started("""
        import gateway, itertools, os
        os.environ["GATEWAY_FINISH_TIMEOUT_S"] = "1"
        gateway.start_run(run_id="r")
        for number in itertools.count():
            gateway.emit("loss", 0.5)
            gateway.emit({"text": "x"})
            if number == 5_000:
                print("ready", flush=True)
        """)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)

    assert child.wait(90) == -signal.SIGTERM
    # A loop without a pause gets ahead of the shipper, on a slow machine further than SIGTERM's bound: the rest waits.
    assert gateway_with(address, "sync", "--json").returncode == 0
    assert "run_killed" in log.kinds("r")


def test_a_handler_of_the_program_decides_what_sigterm_does(started: Any, log: Log) -> None:
    child = started("""
        import gateway, signal, sys, time
        def leave(number, frame):
            raise RuntimeError("asked to leave")
        signal.signal(signal.SIGTERM, leave)
        gateway.start_run(run_id="r")
        assert signal.getsignal(signal.SIGTERM) is leave
        print("ready", flush=True)
        time.sleep(60)
        """)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)

    assert child.wait(90) == 1
    ended = log.events("r")[-2]
    assert (ended.kind, ended.message) == ("run_failed", "RuntimeError: asked to leave")


def test_ctrl_c_ends_a_run_as_killed(started: Any, log: Log) -> None:
    child = started("""
        import gateway, time
        with gateway.start_run(run_id="r"):
            gateway.emit("loss", 0.5)
            print("ready", flush=True)
            time.sleep(60)
        """)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)

    assert child.wait(90) == -signal.SIGINT
    assert log.kinds("r")[-2:] == ["run_killed", "producer_closed"]


def test_hooks_of_the_program_are_left_alone(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import gateway, signal, sys, threading
        before = (sys.excepthook, threading.excepthook, signal.getsignal(signal.SIGINT))
        gateway.start_run(run_id="r")
        def work():
            raise ValueError("in a thread")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        gateway.emit("loss", 0.5)
        assert before == (sys.excepthook, threading.excepthook, signal.getsignal(signal.SIGINT))
        """,
        address,
    )

    assert "in a thread" in done.stderr
    assert log.kinds("r")[-2:] == ["run_finished", "producer_closed"]


def test_a_daemon_that_forked_twice_continues_to_record(address: dict[str, str], log: Log) -> None:
    train(
        """
        import gateway, os
        gateway.start_run(run_id="r")
        gateway.emit("loss", 1.0)
        gateway.flush()
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        gateway.emit("loss", 2.0)
        """,
        address,
    )

    wait_for(lambda: log.kinds("r").count("producer_closed") == 1)
    assert log.values("r") == [1.0, 2.0]
    assert "run_finished" not in log.kinds("r")


WORKERS = """
    import multiprocessing, os, time, gateway
    def work(number, done):
        for step in range(200):
            gateway.emit("loss", float(number), step)
        done.put(number)
        if number:
            return
        time.sleep(60)
    if __name__ == "__main__":
        context = multiprocessing.get_context("HOW")
        with gateway.start_run(run_id="r"):
            done = context.Queue()
            workers = [context.Process(target=work, args=(n, done), daemon=True) for n in range(3)]
            for worker in workers:
                worker.start()
            for _ in workers:
                done.get()
            workers[0].terminate()  # as a data loader ends its workers
            for worker in workers:
                worker.join()
        print(workers[0].exitcode)
    """


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_daemonic_workers_join_and_lose_nothing(address: dict[str, str], log: Log, tmp_path: Path, how: str) -> None:
    (tmp_path / "workers.py").write_text(textwrap.dedent(WORKERS).replace("HOW", how))
    done = train(
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {str(tmp_path / 'workers.py')!r}]))",
        {**address, "PYTHONPATH": str(ROOT)},
    )

    assert (done.returncode, done.stdout.strip()) == (0, str(-signal.SIGTERM)), done.stderr
    assert Counter(log.values("r")) == {0.0: 200, 1.0: 200, 2.0: 200}
    assert log.run_ids() == {"r"}
    assert Counter(log.kinds("r"))["producer_closed"] == 4


def test_children_started_from_a_run_join_it_with_their_rank_and_attempt(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import gateway, os, subprocess, sys
        child = "import gateway; r = gateway.start_run(); gateway.emit('loss', 0.5); print(r.id, r.attempt)"
        with gateway.start_run(run_id="r", resume=True, attempt=4):
            for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
                env = {**os.environ, name: "3"}
                subprocess.run([sys.executable, "-c", child], env=env, check=True)
            env = {**os.environ, "RANK": "3", "TORCHELASTIC_RESTART_COUNT": "2"}
            subprocess.run([sys.executable, "-c", child], env=env, check=True)
        print({name for name in os.environ if name.startswith("GATEWAY_")} & {"GATEWAY_RUN_ID", "GATEWAY_JOIN"})
        """,
        address,
    )

    assert done.stdout.splitlines() == ["r 4", "r 4", "r 4", "r 6", "set()"], done.stderr
    metrics = [event for event in log.events("r") if isinstance(event, ev.Points)]
    assert [(event.attempt, event.series[0].labels) for event in metrics] == [
        (4, {"rank": "3"}),
        (4, {"rank": "3"}),
        (4, {"rank": "3"}),
        (6, {"rank": "3"}),
    ]


def test_shutdown_is_quiet_whoever_emits_in_it(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import atexit, gateway
        class Late:
            def __del__(self):
                gateway.emit("late", 1.0)
        late = Late()
        atexit.register(lambda: gateway.emit("after", 1.0))  # runs after the client's own
        gateway.start_run(run_id="r")
        atexit.register(lambda: gateway.emit("before", 1.0))
        gateway.emit("loss", 0.5)
        """,
        address,
    )

    assert (done.returncode, "Traceback" in done.stderr, "Exception ignored" in done.stderr) == (0, False, False)
    assert {"loss", "before"} <= {seen.name for seen in points(log.events("r"))}


def test_tasks_and_threads_have_runs_of_their_own(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import asyncio, threading, gateway
        async def trial(number, both):
            with gateway.start_run(run_id=f"task-{number}"):
                await both.wait()
                gateway.emit("x", float(number))
                await both.wait()
        async def main():
            both = asyncio.Barrier(2)
            await asyncio.gather(trial(1, both), trial(2, both))
        def in_thread(number, both):
            with gateway.start_run(run_id=f"thread-{number}"):
                both.wait()
                gateway.emit("x", float(number))
                both.wait()
        with gateway.start_run(run_id="sweep", group="g"):
            asyncio.run(main())
            both = threading.Barrier(3)
            threads = [threading.Thread(target=in_thread, args=(n, both)) for n in (1, 2)]
            for thread in threads:
                thread.start()
            both.wait()
            gateway.emit("x", 9.0)
            both.wait()
            for thread in threads:
                thread.join()
            gateway.emit("x", 10.0)
        """,
        address,
    )

    assert done.stderr == ""
    runs = {"task-1": [1.0], "task-2": [2.0], "thread-1": [1.0], "thread-2": [2.0], "sweep": [9.0, 10.0]}
    assert {run_id: log.values(run_id) for run_id in log.run_ids()} == runs
    opened = {run_id: log.events(run_id)[0] for run_id in runs}
    parents = {run_id: (event.parent_run_id, event.group) for run_id, event in opened.items() if run_id != "sweep"}
    in_block, in_thread = ("sweep", "g"), ("", "")
    assert parents == {"task-1": in_block, "task-2": in_block, "thread-1": in_thread, "thread-2": in_thread}


def test_a_fork_in_the_middle_of_emits_is_safe(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import gateway, os, threading
        gateway.start_run(run_id="r")
        stop = threading.Event()
        count = [0] * 4
        def work(number):
            while not stop.wait(0.001):
                for _ in range(20):
                    gateway.emit("loss", 1.0)
                    gateway.emit({"text": "x"})
                count[number] += 20
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            child = os.fork()
            if not child:
                gateway.emit("child", 1.0)
                gateway.current_run().finish()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        print(sum(count))
        """,
        address,
    )

    assert done.returncode == 0, done.stderr
    names = Counter(seen.name for seen in points(log.events("r")))
    assert names == {"loss": int(done.stdout), "child": 10}


def test_late_metrics_of_a_finished_run_arrive_when_the_process_ends(address: dict[str, str], log: Log) -> None:
    done = train(
        """
        import gateway
        with gateway.start_run(run_id="r") as run:
            gateway.emit("loss", 1.0)
        run.emit("uncertainty", 0.4)
        """,
        address,
    )

    assert done.stderr.count("is finished") == 1
    assert log.values("r") == [0.4, 1.0]
    assert Counter(log.kinds("r")) == {"run_started": 1, "metrics": 2, "run_finished": 1, "producer_closed": 2}
