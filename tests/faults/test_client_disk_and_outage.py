"""A disk that is really full, and a broker that is away for minutes: training ends well, and every point is counted."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from schemas import events as ev
from tests.support import services
from tests.support.broker import Broker
from tests.support.client_harness import points, read_log
from tests.support.gateway_command import environment

pytestmark = [pytest.mark.slow, pytest.mark.stack]

OUTAGE_S = 150.0
# A tmpfs of this process tree alone: a namespace needs no right to mount anywhere else.
ON_SMALL_DISK = 'mount -t tmpfs -o size=2m tmpfs "$1" && head -c "$2" /dev/zero > "$1/taken" && exec "$3" -c "$4"'

FLOOD = """
import json, gateway
with gateway.start_run(run_id="flood", capture=False) as run:
    for step in range(200_000):  # 8 MB of points, faster than they can be sent
        gateway.emit("loss", float(step), step)
    run.log_params({"kept": "for certain"})
report = run.finish()
print(json.dumps({"emitted": report.emitted, "unsent": report.unsent, "dropped": report.dropped}))
"""

LONG = """
import json, sys, time, gateway
end, step = time.monotonic() + float(sys.argv[1]), 0
with gateway.start_run(run_id="long", capture=False) as run:
    while time.monotonic() < end:
        gateway.emit("loss", float(step), step)
        step += 1
        time.sleep(0.0005)
report = run.finish()
print(json.dumps({"emitted": report.emitted, "unsent": report.unsent, "dropped": report.dropped}))
"""


@pytest.mark.parametrize("taken_bytes", [0, 1_990_000], ids=["fills-up", "full-from-the-start"])
def test_a_full_disk_never_stops_training_and_what_it_cost_is_told(
    kafka: str, topic: str, tmp_path: Path, taken_bytes: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    variables = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_JOURNAL_DIR": str(disk / "journal"),
    }
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_SMALL_DISK, "sh", str(disk), str(taken_bytes)]

    done = subprocess.run(
        [*command, sys.executable, textwrap.dedent(FLOOD)],
        capture_output=True, text=True, timeout=120, env=environment(**variables), check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    events = [batch.event for batch in read_log(kafka, topic)]
    closed = next(event for event in events if isinstance(event, ev.ProducerClosed))
    found = [seen.step for seen in points(events)]
    assert (report["emitted"], report["unsent"]) == (200_000, 0)
    assert (len(found), closed.points, closed.dropped) == (200_000 - report["dropped"], len(found), report["dropped"])
    assert found == sorted(set(found))
    assert any(isinstance(event, ev.Params) for event in events)
    assert report["dropped"] == 0 or "dropped" in done.stderr


@pytest.fixture
def broker(session_folder: Path) -> Iterator[Broker]:
    made = Broker(session_folder / "broker-away")
    made.start()
    yield made
    made.kill()


@pytest.mark.timeout(600)
def test_a_broker_that_is_away_for_minutes_loses_nothing(broker: Broker, tmp_path: Path) -> None:
    topic = "away"
    services.run(services.create_topic(broker.address, topic, partitions=2))
    variables = {
        "GATEWAY_URL": f"kafka://{broker.address}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_JOURNAL_DIR": str(tmp_path / "journal"),
        "GATEWAY_FINISH_TIMEOUT_S": "120",
    }
    training = subprocess.Popen(
        [sys.executable, "-c", LONG, str(OUTAGE_S + 20)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables),
    )  # fmt: skip
    deadline = monotonic() + 30
    while not read_log(broker.address, topic):
        assert monotonic() < deadline, "the first records arrive"
    broker.kill()
    back_at = monotonic() + OUTAGE_S
    while monotonic() < back_at:  # the outage itself: its length is what is tested
        assert training.poll() is None, "training continues without the broker"
        sleep(0.5)
    broker.start()
    said, complaints = training.communicate(timeout=240)

    report: dict[str, Any] = json.loads(said)
    found = [seen.step for seen in points([batch.event for batch in once(broker.address, topic)])]
    assert training.returncode == 0, complaints
    assert report == {"emitted": report["emitted"], "unsent": 0, "dropped": 0}
    assert found == list(range(report["emitted"]))


def once(address: str, topic: str) -> list[Any]:
    """Return the batches of the log, each identity once."""
    seen = {(batch.producer, batch.seq): batch for batch in read_log(address, topic)}
    return list(seen.values())
