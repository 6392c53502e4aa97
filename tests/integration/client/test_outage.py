"""Kafka dies while a process trains, or cannot be reached from the start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.shipping import shipper as shipping_module
from gateway.client.shipping.shipper import Shipper
from gateway.client.transports.kafka_transport import REQUEST_TIMEOUT_MS
from gateway.local.ports import HOST, free_ports
from schemas.wire import decode, identify
from tests.support import services
from tests.support.broker import Broker
from tests.support.client_harness import new_run, points, raw_log, train, training, wait_for

TOPIC = "events"


@pytest.fixture
def broker(session_folder: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    made = Broker(session_folder / f"broker-{abs(hash(request.node.nodeid))}")
    made.start()
    services.run(services.create_topic(made.address, TOPIC, partitions=2))
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@pytest.mark.stack
@pytest.mark.parametrize("send_timeout_s", [60.0, 2.0], ids=["same-producer", "new-producer"])
def test_a_killed_broker_loses_nothing_and_repeats_only_identical_records(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], send_timeout_s: float
) -> None:
    monkeypatch.setattr(shipping_module, "SEND_TIMEOUT_S", send_timeout_s)
    monkeypatch.setattr(shipping_module, "WARN_AFTER_S", 1.0)
    shipper = Shipper(Address(f"kafka://{broker.address}", TOPIC))
    run = new_run(shipper)
    with training(run) as steps:
        wait_for(lambda: run.health()["sent"] > 500)
        broker.kill()
        at_kill = len(steps)
        wait_for(lambda: not shipper.is_connected and len(steps) > at_kill + 2_000)
        broker.start()
        wait_for(lambda: shipper.is_connected, timeout_s=150)
    report = run.finish(timeout_s=60)
    shipper.stop()

    records = raw_log(broker.address, TOPIC)
    bytes_of: dict[int, set[bytes]] = {}
    for record in records:
        bytes_of.setdefault(identify(record.key, record.headers).seq, set()).add(
            record.value + repr(record.headers).encode()
        )
    assert list(bytes_of) == list(range(len(bytes_of)))
    assert {len(several) for several in bytes_of.values()} == {1}
    first = {identify(r.key, r.headers).seq: r for r in reversed(records)}
    events = [decode(r.key, r.value, r.headers).event for _, r in sorted(first.items())]
    assert [(seen.step, seen.value) for seen in points(events)] == [(step, 1 / (step + 1)) for step in steps]
    assert (report.sent, report.unsent, report.dropped) == (len(steps), 0, 0)
    said = re.findall("cannot be reached|is reached again", capsys.readouterr().err)
    assert said == ["cannot be reached", "is reached again"] * max(1, len(said) // 2)  # a busy machine has more outages


@pytest.mark.stack
def test_kafka_that_comes_late_gets_everything(session_folder: Path) -> None:
    late = Broker(session_folder / "late")
    shipper = Shipper(Address(f"kafka://{late.address}", TOPIC))
    run = new_run(shipper)
    for step in range(5_000):
        run.emit("loss", float(step), step)
    wait_for(lambda: "Unable to bootstrap" in shipper.last_error)
    late.start()
    try:
        services.run(services.create_topic(late.address, TOPIC, partitions=2))
        report = run.finish(timeout_s=60)
        shipper.stop()
        found = [decode(r.key, r.value, r.headers).event for r in raw_log(late.address, TOPIC)]
    finally:
        late.kill()

    assert report.sent == 5_000
    assert [seen.step for seen in points(found)] == list(range(5_000))


def test_without_kafka_training_runs_to_its_end_and_one_line_reports_what_waits_where() -> None:
    (port,) = free_ports(1)
    done = train(
        """
        import time, gateway
        begin = time.monotonic()
        with gateway.start_run(params={"lr": 0.1}) as run:
            for step in range(10_000):
                gateway.emit("loss", 0.5, step=step)
            print(time.monotonic() - begin)
            while not run.health()["last_error"] and time.monotonic() < begin + 60:
                time.sleep(0.01)
        """,
        {"GATEWAY_URL": f"kafka://{HOST}:{port}", "GATEWAY_FINISH_TIMEOUT_S": "0.5", "GATEWAY_CAPTURE": "none"},
    )

    assert done.returncode == 0
    assert float(done.stdout) < REQUEST_TIMEOUT_MS / 1000  # it never waited for the network
    reached, kept = done.stderr.splitlines()
    assert f"Kafka at {HOST}:{port} cannot be reached" in reached
    assert f"10,000 of 10,000 points are not in Kafka at {HOST}:{port}" in kept
    assert "`gateway up`" in reached
    assert "stay in /" in kept
    assert "`gateway sync`" in kept


def test_a_topic_that_is_not_there_is_named(
    kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gateway.client.transports import kafka_transport as client_kafka

    monkeypatch.setattr(client_kafka, "REQUEST_TIMEOUT_MS", 1_000)
    shipper = Shipper(Address(f"kafka://{kafka}", "no-such-topic"))
    run = new_run(shipper)
    run.emit("loss", 0.5)
    wait_for(lambda: "there is no topic no-such-topic" in shipper.last_error)
    report = run.finish(timeout_s=0.1)
    shipper.stop()
    warnings = capsys.readouterr().err

    assert report.unsent == 1
    assert f"Kafka at {kafka} does not take events (there is no topic no-such-topic)" in warnings
    assert "GATEWAY_TOPIC" in warnings
    assert "cannot be reached" not in warnings
