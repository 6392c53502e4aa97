"""The client writes to a real broker from every kind of process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway
from consumers.log.reader import LogReader
from gateway.client.encoding.wire import Record
from gateway.client.run import registry
from gateway.client.transports.kafka_transport import KafkaTransport
from schemas import events as ev
from schemas.wire import Envelope, encode
from tests.support import services
from tests.support.client_harness import points, read_log, train
from tests.support.log_author import Author


@pytest.fixture
def address(kafka: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings for a training process, also set in this one."""
    settings = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_CAPTURE": "none",  # tests of this file count every event
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield settings
    registry.stop_shippers()


@pytest.fixture
def log(kafka: str, topic: str, address: dict[str, str]) -> Log:
    return Log(kafka, topic)


class Log:
    """The current contents of the topic of a test."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._where = (kafka, topic)

    def envelopes(self) -> list[Envelope]:
        return read_log(*self._where)

    def runs(self) -> dict[str, list[Any]]:
        """Return the events of each run."""
        found: dict[str, list[Any]] = {}
        for envelope in self.envelopes():
            found.setdefault(envelope.run_id, []).append(envelope.event)
        return found

    def only_run(self) -> tuple[str, list[Any]]:
        (found,) = self.runs().items()
        return found


def kinds(events: list[Any]) -> list[str]:
    return [event.kind for event in events]


def numbers(envelopes: list[Envelope]) -> dict[tuple[str, str], list[int]]:
    """Return the sequence numbers of each producer in the order of the log."""
    found: dict[tuple[str, str], list[int]] = {}
    for envelope in envelopes:
        found.setdefault((envelope.run_id, envelope.producer), []).append(envelope.seq)
    return found


def test_every_point_is_in_kafka_once_and_in_order(log: Log) -> None:
    with gateway.start_run(name="one", params={"lr": 0.1}, tags={"a": "b"}, tag="exp", group="sweep") as run:
        for step in range(100_000):
            gateway.emit("loss", step / 7, step=step)
            if step % 1_000 == 0:
                gateway.emit({"acc": step, "text": f"at {step}"}, step=step)

    envelopes = log.envelopes()
    events: list[Any] = [envelope.event for envelope in envelopes]
    losses = [(seen.step, seen.value) for seen in points(events) if seen.name == "loss"]
    assert losses == [(step, step / 7) for step in range(100_000)]
    assert [envelope.seq for envelope in envelopes] == list(range(len(envelopes)))
    assert kinds(events)[:3] == ["run_started", "params", "tags"]
    assert kinds(events)[-2:] == ["run_finished", "producer_closed"]
    assert (events[-1].batches, events[-1].points, events[-1].dropped) == (len(envelopes), 100_100, 0)
    assert run.report is not None
    assert (run.report.sent, run.report.unsent) == (100_200, 0)


def test_a_process_may_have_several_runs_one_after_the_other_and_nested(log: Log) -> None:
    with gateway.start_run(run_id="outer"):
        gateway.emit("x", 1.0)
        with gateway.start_run(run_id="inner", parent="outer"):
            gateway.emit("x", 2.0)
        gateway.emit("x", 3.0)
    with gateway.start_run(run_id="next"):
        gateway.emit("x", 4.0)

    found = {run_id: [seen.value for seen in points(events)] for run_id, events in log.runs().items()}
    assert found == {"outer": [1.0, 3.0], "inner": [2.0], "next": [4.0]}
    assert log.runs()["inner"][0].parent_run_id == "outer"


def test_a_resumed_run_is_its_next_attempt(log: Log) -> None:
    with gateway.start_run(run_id="r", name="first"):
        gateway.emit("loss", 1.0)
    with gateway.start_run(run_id="r", resume=True):
        gateway.emit("loss", 0.5)
    with gateway.start_run(run_id="r", resume=True, attempt=3):
        gateway.emit("loss", 0.25)

    _, events = log.only_run()
    opened = [
        (event.kind, event.attempt, event.name) for event in events if event.kind in ("run_started", "run_resumed")
    ]
    assert opened == [("run_started", 1, "first"), ("run_resumed", 2, ""), ("run_resumed", 3, "")]
    assert [event.attempt for event in events if isinstance(event, ev.Points)] == [1, 2, 3]


def test_a_script_that_only_emits_is_a_run_named_after_it(log: Log, address: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my_train.py").write_text("import gateway\nfor i in range(10): gateway.emit('loss', i / 2)\n")
    done = train(
        "import runpy, sys; sys.argv = ['my_train.py']; runpy.run_path('my_train.py')", address, folder=tmp_path
    )

    _, events = log.only_run()
    assert (done.returncode, done.stderr) == (0, "")
    assert kinds(events) == ["run_started", "metrics", "run_finished", "producer_closed"]
    assert events[0].name == "my_train"
    assert [seen.step for seen in points(events)] == list(range(10))


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("raise ValueError('bad luck')", "run_failed", "ValueError: bad luck"),
        ("raise KeyboardInterrupt", "run_killed", "KeyboardInterrupt"),
        ("raise SystemExit(0)", "run_finished", ""),
        ("raise SystemExit(3)", "run_finished", ""),  # Python notifies no code: docs/client.md
    ],
)
def test_how_the_interpreter_ends_decides_how_an_open_run_ends(
    log: Log, address: dict[str, str], code: str, kind: str, message: str
) -> None:
    train(f"import gateway\ngateway.start_run(run_id='r')\ngateway.emit('loss', 0.5)\n{code}", address)

    _, events = log.only_run()
    assert kinds(events) == ["run_started", "metrics", kind, "producer_closed"]
    assert events[-2].message == message


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("3", "run_failed", "SystemExit: 3"),
        ("'no data'", "run_failed", "SystemExit: no data"),
        ("0", "run_finished", ""),
    ],
)
def test_sys_exit_inside_the_block_decides_how_the_run_ends(
    log: Log, address: dict[str, str], given: str, kind: str, message: str
) -> None:
    done = train(f"import gateway, sys\nwith gateway.start_run(run_id='r'):\n  sys.exit({given})", address)

    _, events = log.only_run()
    assert done.returncode == (0 if kind == "run_finished" else 3 if given == "3" else 1)
    assert (events[-2].kind, events[-2].message) == (kind, message)


def test_processes_with_a_run_id_in_their_environment_join_that_run(log: Log, address: dict[str, str]) -> None:
    joining = {**address, "GATEWAY_RUN_ID": "shared", "GATEWAY_JOIN": "shared"}
    with gateway.start_run(run_id="shared"):
        gateway.emit("loss", 0.0, labels={"rank": 0})
        for rank in (1, 2):
            code = f"import gateway; gateway.emit('loss', {rank}, labels={{'rank': {rank}}})"
            train(code, joining)
        train("import gateway\nwith gateway.start_run(): gateway.emit('loss', 3)", joining)

    run_id, events = log.only_run()
    assert run_id == "shared"
    assert Counter(kinds(events)) == {"run_started": 1, "metrics": 4, "producer_closed": 4, "run_finished": 1}
    assert sorted(seen.value for seen in points(events)) == [0, 1, 2, 3]


FORKS = {
    "os.fork": """
        children = []
        for rank in range(3):
            child = os.fork()
            if not child:
                work(rank)
                sys.exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        """,
    "multiprocessing": """
        import multiprocessing
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(rank,)) for rank in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        """,
}


@pytest.mark.parametrize("how", FORKS)
def test_a_forked_child_is_a_producer_of_its_own_in_the_same_run(log: Log, address: dict[str, str], how: str) -> None:
    import textwrap

    code = """
        import os, sys, gateway
        run = gateway.start_run(run_id="forked")
        def work(rank):
            for step in range(500):
                gateway.emit("loss", float(step), step, labels={"rank": rank})
        for step in range(500):
            gateway.emit("loss", float(step), step)
        """
    code = textwrap.dedent(code) + textwrap.dedent(FORKS[how]) + "work(3)\nrun.finish()\nprint(run.report)\n"
    done = train(code, address)

    envelopes = log.envelopes()
    assert done.stderr == ""
    assert done.stdout.startswith("Report(emitted=1000, sent=1000,")
    assert {run_id for run_id, _ in numbers(envelopes)} == {"forked"}
    assert len(numbers(envelopes)) == 4
    assert all(found == list(range(len(found))) for found in numbers(envelopes).values())
    assert Counter(kinds([envelope.event for envelope in envelopes]))["run_finished"] == 1
    assert Counter(kinds([envelope.event for envelope in envelopes]))["producer_closed"] == 4
    assert len(points([envelope.event for envelope in envelopes])) == 5 * 500


def test_a_forked_child_that_records_nothing_sends_nothing(log: Log, address: dict[str, str]) -> None:
    train(
        """
        import os, sys, gateway
        run = gateway.start_run(run_id="quiet")
        child = os.fork()
        if not child:
            sys.exit(0)
        os.waitpid(child, 0)
        run.finish()
        """,
        address,
    )

    assert kinds(log.only_run()[1]) == ["run_started", "run_finished", "producer_closed"]


def test_a_spawned_child_finishes_its_own_run(log: Log, address: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        "import gateway\n\n\ndef work(number):\n"
        "    gateway.start_run(run_id=f'worker-{number}', group='sweep')\n"
        "    for step in range(100):\n        gateway.emit('loss', float(step))\n"
    )
    done = train(
        """
        import multiprocessing, worker
        for method in ("spawn", "forkserver", "fork"):
            child = multiprocessing.get_context(method).Process(target=worker.work, args=(method,))
            child.start()
            child.join()
        """,
        {**address, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(gateway.__file__).parent.parent)])},
        folder=tmp_path,
    )

    ended = {run_id: (len(points(events)), kinds(events)[-2:]) for run_id, events in log.runs().items()}
    end = (100, ["run_finished", "producer_closed"])
    assert done.stderr == ""
    assert ended == {"worker-spawn": end, "worker-forkserver": end, "worker-fork": end}


def test_a_hundred_runs_in_one_process_all_arrive(log: Log) -> None:
    for number in range(100):
        with gateway.start_run(run_id=f"run-{number}"):
            gateway.emit("loss", float(number))

    found = {run_id: [seen.value for seen in points(events)] for run_id, events in log.runs().items()}
    assert found == {f"run-{number}": [float(number)] for number in range(100)}


def as_record(envelope: Envelope) -> Record:
    made = encode(envelope)
    return Record(made.key, made.value, tuple(made.headers), envelope.time)


async def test_keys_stay_in_their_partition_when_the_topic_grows_and_new_keys_use_all(kafka: str, topic: str) -> None:
    runs = [Author(f"run-{number}") for number in range(12)]
    transport = KafkaTransport([kafka], topic)
    await transport.open()
    try:
        assert await transport.send([as_record(author.start()) for author in runs]) == []
        await services.add_partitions(kafka, topic, 6)
        await transport._producer.client.force_metadata_update()
        later = [Author(f"later-{number}") for number in range(12)]
        both = [author.metrics("loss", [1.0]) for author in runs] + [author.start() for author in later]
        assert await transport.send([as_record(envelope) for envelope in both]) == []
    finally:
        await transport.close()

    found: dict[str, set[int]] = {}
    reader = LogReader(kafka, topic)
    try:
        await reader.open()
        await reader.assign(dict.fromkeys(range(6), 0))
        left = 36
        while left:
            for record in await reader.fetch(timeout_ms=1_000, max_records=100):
                found.setdefault((record.key or b"").decode(), set()).add(record.partition)
                left -= 1
    finally:
        await reader.close()
    assert all(len(found[author.run_id]) == 1 and found[author.run_id] <= {0, 1} for author in runs)
    assert set().union(*(found[author.run_id] for author in later)) - {0, 1}
