"""Journals that wait: no broker, no network, another machine, no disk. `gateway sync` sends them to a real broker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client.journal.folder import find_journals
from gateway.local.ports import HOST, free_ports
from schemas import events as ev
from tests.support.client_harness import ROOT, points, read_log, train
from tests.support.gateway_command import environment as gateway_environment
from tests.support.gateway_command import gateway_with
from tests.support.materialiser_process import environment, materialiser, reading, until, until_complete

TRAINING = """
    import gateway
    with gateway.start_run(run_id="offline", name="far", params={"lr": 0.1}) as run:
        for step in range(3_000):
            gateway.emit("loss", step / 7, step, time=1_700_000_000 + step)
        with run.step("evaluate"):
            gateway.emit({"accuracy": 0.9, "remark": "fine"})
    """


@pytest.fixture
def settings(kafka: str, topic: str, tmp_path: Path, journal_home: Path) -> dict[str, str]:
    """Settings for a process that can reach the broker."""
    return {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_JOURNAL_DIR": str(journal_home),
        "GATEWAY_CAPTURE": "none",  # these tests count every event
    }


def sync(settings: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = gateway_with(settings, "sync", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def events(kafka: str, topic: str) -> list[Any]:
    """Return the events of the log; fail if one of them is in it twice."""
    envelopes = read_log(kafka, topic)
    assert len({envelope[:3] for envelope in envelopes}) == len(envelopes)
    return [envelope.event for envelope in envelopes]


def each_once(kafka: str, topic: str) -> dict[tuple[str, str, int], Any]:
    """
    Return the events of the log by run, producer and number.

    A record that was on its way when its process died is in the log twice, under one number, and folded once.
    """
    return {envelope[:3]: envelope.event for envelope in read_log(kafka, topic)}


@pytest.mark.parametrize("url", ["none:", f"kafka://{HOST}:1"], ids=["no-network", "broker-down"])
async def test_a_journal_carried_elsewhere_becomes_a_whole_run_with_its_own_times(
    settings: dict[str, str], kafka: str, topic: str, database: str, tmp_path: Path, journal_home: Path, url: str
) -> None:
    done = train(TRAINING, {**settings, "GATEWAY_URL": url, "GATEWAY_FINISH_TIMEOUT_S": "0.2"})
    carried = shutil.copytree(journal_home, tmp_path / "carried")
    shutil.rmtree(journal_home)
    facts = sync(settings, str(carried))
    with materialiser(tmp_path, environment(kafka, topic, database)):
        async with reading(database) as store:

            async def is_finished() -> bool:
                return [run.state for run in await store.runs()] == ["finished"]

            await until(is_finished, "the run is finished")
            await until_complete(store, ["offline"])
            stored = [point async for point in store.points("offline")]
            log = await store.run_log("offline")

    assert "`gateway sync`" in done.stderr
    assert (facts["journals"], facts["points"], facts["runs"]) == (1, 3_002, ["offline"])
    losses = [point for point in stored if point.series == "loss"]
    assert [(p.step, p.value, p.time_ms) for p in losses] == [
        (step, step / 7, (1_700_000_000 + step) * 1_000) for step in range(3_000)
    ]
    assert log is not None
    assert log.parameters == {"lr": 0.1}
    assert set(log.steps) == {"main", "evaluate"}
    assert [(part.missing, part.received == part.expected) for part in log.completeness] == [([], True)]
    assert not list(carried.rglob("*.seg"))


def test_sync_twice_and_sync_of_nothing_change_nothing(settings: dict[str, str], kafka: str, topic: str) -> None:
    train(TRAINING, {**settings, "GATEWAY_URL": "none:"})
    first, second = sync(settings), sync(settings)

    assert (first["journals"], second["journals"]) == (1, 0)
    assert len(points(events(kafka, topic))) == 3_001


def test_a_copy_of_a_journal_gives_the_same_records(
    settings: dict[str, str], kafka: str, topic: str, tmp_path: Path, journal_home: Path
) -> None:
    train(TRAINING, {**settings, "GATEWAY_URL": "none:"})
    copy = shutil.copytree(journal_home, tmp_path / "copy")
    sync(settings)
    sync(settings, str(copy))

    bytes_of: dict[Any, set[Any]] = {}
    for envelope in read_log(kafka, topic):
        bytes_of.setdefault(envelope[:3], set()).add(envelope.event.model_dump_json())
    assert {len(several) for several in bytes_of.values()} == {1}


@pytest.fixture
def living(settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that trains offline and keeps running."""
    code = (
        "import gateway, sys; gateway.start_run(run_id='alive', url='none:'); gateway.emit('loss', 1.0); "
        "print('on', flush=True); sys.stdin.read()"
    )
    variables = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    } | settings
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=variables, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    yield process
    process.kill()
    process.communicate()


def test_the_journal_of_a_living_process_is_left_alone(
    settings: dict[str, str], living: subprocess.Popen[str], kafka: str, topic: str
) -> None:
    while_alive = sync(settings)
    living.kill()
    living.wait()
    afterwards = sync(settings)

    assert (while_alive["journals"], len(while_alive["held"])) == (0, 1)
    assert (afterwards["journals"], afterwards["held"]) == (1, [])
    assert [event.kind for event in events(kafka, topic)] == ["run_started", "metrics", "run_killed", "producer_closed"]


def test_the_next_process_of_the_host_ships_what_a_killed_one_left(
    settings: dict[str, str], kafka: str, topic: str
) -> None:
    killed = f"""
        import os, gateway
        gateway.start_run(run_id="first", url="kafka://{kafka}")
        for step in range(500): gateway.emit("loss", 0.5, step)
        os.kill(os.getpid(), 9)
        """
    train(killed, settings)
    train(
        """
        import os, time, gateway
        with gateway.start_run(run_id="second") as run:
            gateway.emit("loss", 0.5)
            end = time.monotonic() + 90
            while "first" in os.listdir(os.environ["GATEWAY_JOURNAL_DIR"]) and time.monotonic() < end:
                time.sleep(0.02)
        """,
        settings,
    )

    first = [event for (run_id, *_), event in each_once(kafka, topic).items() if run_id == "first"]
    assert len(points(first)) == 500
    assert [event.kind for event in first][-2:] == ["run_killed", "producer_closed"]
    assert sync(settings)["journals"] == 0


def test_all_journals_of_dead_processes_are_sent_and_counted(
    settings: dict[str, str], kafka: str, topic: str, journal_home: Path
) -> None:
    train(
        """
        import os, gateway
        runs = [gateway.start_run(run_id=f"dead-{number}") for number in range(12)]
        for run in runs:
            for step in range(2_000): run.emit("loss", 0.5, step)
        os.kill(os.getpid(), 9)
        """,
        settings,
    )
    waiting = len(list(find_journals(str(journal_home))))
    facts = sync(settings)

    assert waiting > 1
    assert (facts["journals"], facts["held"], facts["unsent"]) == (waiting, [], [])
    assert list(find_journals(str(journal_home))) == []
    assert len(points(list(each_once(kafka, topic).values()))) == 24_000


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "does not exist: name the folder of journals"),
        ("file", "is not a folder: name the folder of journals"),
        ("closed", "cannot be read (Permission denied): run this as the user who trained"),
        ("closed inside", "Permission denied"),
    ],
)
def test_a_folder_that_cannot_be_synced_is_reported_in_one_line(tmp_path: Path, kind: str, expected: str) -> None:
    folder = tmp_path / "journals"
    if kind == "file":
        folder.write_text("x")
    elif kind != "missing":
        (folder / "run").mkdir(parents=True)
        (folder if kind == "closed" else folder / "run").chmod(0)
    command = [sys.executable, "-m", "gateway.cli", "sync", str(folder)]
    if os.geteuid() == 0:  # file modes do not stop root, unless it gives up these capabilities
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]

    done = subprocess.run(
        command,
        env=gateway_environment(GATEWAY_URL=f"kafka://{HOST}:1", GATEWAY_HOME=str(tmp_path)),
        cwd=sys.prefix, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    for closed in (folder, folder / "run"):
        if closed.is_dir():
            closed.chmod(0o700)
    assert done.returncode == 2
    assert expected in done.stderr.splitlines()[-1]
    assert str(folder) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_log_that_is_away_leaves_the_journals_and_says_what_to_do(settings: dict[str, str]) -> None:
    (port,) = free_ports(1)
    train(TRAINING, {**settings, "GATEWAY_URL": "none:"})
    done = gateway_with({**settings, "GATEWAY_URL": f"kafka://{HOST}:{port}"}, "sync", "--timeout-s", "0.5")

    assert done.returncode == 2
    assert "run `gateway sync` again" in done.stderr
    assert sync(settings)["points"] == 3_002


def test_a_full_disk_drops_points_only_and_counts_them(settings: dict[str, str], kafka: str, topic: str) -> None:
    done = train(
        """
        import resource, signal, gateway
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with gateway.start_run(run_id="full", url="none:") as run:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # no second segment
            for step in range(20_000):
                gateway.emit("loss", float(step), step)
                if step % 1_000 == 0:
                    run.log_params({f"p{step}": step})
        print(run.report.dropped, run.report.emitted)
        """,
        settings,
    )
    dropped, emitted = map(int, done.stdout.split())
    facts = sync(settings)
    found = events(kafka, topic)
    closed = next(event for event in found if event.kind == "producer_closed")

    assert done.returncode == 0
    assert done.stderr.count("new metric points are dropped") == 1
    assert emitted == 20_000
    assert facts["points"] == 20_000 - dropped
    assert [seen.step for seen in points(found)] == list(range(20_000 - dropped))
    assert sum(isinstance(event, ev.Params) for event in found) == 20
    assert (closed.points, closed.dropped) == (20_000 - dropped, dropped)


def test_a_folder_that_cannot_be_written_keeps_events_in_memory_and_says_so(
    settings: dict[str, str], kafka: str, topic: str
) -> None:
    done = train(TRAINING, {**settings, "GATEWAY_JOURNAL_DIR": "/dev/null/journal"})

    assert done.returncode == 0
    assert "the journal folder /dev/null/journal cannot be used" in done.stderr
    assert len(points(events(kafka, topic))) == 3_001


def test_a_forked_child_that_lives_on_does_not_hold_the_journal_of_its_dead_parent(
    settings: dict[str, str], kafka: str, topic: str
) -> None:
    train(
        """
        import os, signal, gateway
        gateway.start_run(run_id="parent", url="none:")
        gateway.emit("loss", 1.0)
        reader, writer = os.pipe()
        if not os.fork():
            os.write(writer, b"on")
            os.closerange(0, 3)
            signal.alarm(30)
            signal.pause()
        os.read(reader, 2)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        settings,
    )

    assert sync(settings)["journals"] == 1
    assert [event.kind for event in events(kafka, topic)][-2:] == ["run_killed", "producer_closed"]
