"""Records that a broker refuses delay no others and are not retried for ever."""

from __future__ import annotations

import random
import string
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.shipping.shipper import Shipper
from schemas import events as ev
from schemas.wire import identify
from tests.support import services
from tests.support.client_harness import new_run, points, raw_log, read_log, train, values
from tests.support.gateway_command import gateway_with
from tests.support.server_process import serving

LIMIT = 20_000  # bytes of a compressed batch; the client's own bound is 1,040,000


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@pytest.fixture
def narrow(kafka: str) -> str:
    """Name of a topic that takes small batches only."""
    name = f"test-{uuid.uuid4().hex}"
    services.run(services.create_topic(kafka, name, 2, max_message_bytes=str(LIMIT)))
    return name


@contextmanager
def shipping_to(url: str, topic: str = "not-used") -> Iterator[Shipper]:
    shipper = Shipper(Address(url, topic))
    try:
        yield shipper
    finally:
        shipper.stop()


def noise(size: int, seed: int = 0) -> str:
    """Return text that hardly compresses."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=size))


def test_records_that_fit_one_by_one_all_arrive_in_order_though_many_together_are_too_large(
    kafka: str, narrow: str
) -> None:
    with shipping_to(f"kafka://{kafka}", narrow) as shipper:
        run = new_run(shipper)
        for number in range(60):
            run.note(noise(8_000, number))  # one event each
        report = run.finish(timeout_s=30)

    envelopes = read_log(kafka, narrow)
    notes = [envelope.event.text for envelope in envelopes if isinstance(envelope.event, ev.Note)]
    assert notes == [noise(8_000, number) for number in range(60)]
    assert [envelope.seq for envelope in envelopes] == list(range(len(envelopes)))
    assert (report.unsent, report.dropped) == (0, 0)
    assert run.health()["notices"] == {}


def test_a_record_that_can_never_fit_is_counted_with_its_reason_and_the_others_arrive(
    kafka: str, narrow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with shipping_to(f"kafka://{kafka}", narrow) as shipper:
        run = new_run(shipper)
        for step in range(50):
            run.emit("loss", step / 7, step)
            run.note(f"note {step}")
            if step in (20, 30):
                run.emit("sample", noise(60_000, step), step)
                run.note(f"after {step}")
        report = run.finish(timeout_s=30)

    envelopes = read_log(kafka, narrow)
    found = [envelope.event for envelope in envelopes]
    notes = [event.text for event in found if isinstance(event, ev.Note)]
    (closed,) = [event for event in found if isinstance(event, ev.ProducerClosed)]
    warnings = capsys.readouterr().err
    assert [(seen.step, seen.value) for seen in points(found)] == [(step, step / 7) for step in range(50)]
    assert len(notes) == 52
    assert values(found) == []
    assert (report.emitted, report.sent, report.unsent, report.dropped) == (52, 50, 0, 2)
    assert closed.batches == len(envelopes) + 2  # the run log shows that two are missing
    assert run.health()["notices"] == {"refused": 2}
    assert "max.message.bytes" in run.health()["last_error"]
    assert warnings.count("counted as lost") == 1
    assert "raise max.message.bytes" in warnings
    assert "cannot be reached" not in warnings


def test_a_left_journal_with_such_a_record_is_sent_to_its_end(kafka: str, narrow: str, journal_home: Path) -> None:
    settings = {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": narrow,
        "GATEWAY_CAPTURE": "none",
        "GATEWAY_JOURNAL_DIR": str(journal_home),
    }
    train(
        f"""
        import gateway
        with gateway.start_run(run_id="left", url="none:") as run:
            gateway.emit("loss", 0.5)
            gateway.emit("sample", {noise(60_000)!r})
            run.note("after it")
            gateway.emit("loss", 0.25)
        """,
        settings,
    )
    done = gateway_with(settings, "sync", "--timeout-s", "20", "--json")

    found = [envelope.event for envelope in read_log(kafka, narrow)]
    assert done.returncode == 0, done.stderr
    assert "counted as lost" in done.stderr
    assert [seen.value for seen in points(found)] == [0.5, 0.25]
    assert found[-1].kind == "producer_closed"


def test_the_ingest_server_passes_a_refusal_on(kafka: str, narrow: str, tmp_path: Path) -> None:
    with serving(tmp_path, kafka, narrow) as server, shipping_to(server.url) as shipper:
        run = new_run(shipper)
        for step in range(50):
            run.emit("loss", step / 7, step)
            if step in (20, 30):
                run.emit("sample", noise(60_000, step), step)
        report = run.finish(timeout_s=30)

    found = {
        envelope.seq: envelope.event for envelope in read_log(kafka, narrow)
    }  # records sent together with a refused one arrive twice
    assert [(seen.step, seen.value) for seen in points([found[seq] for seq in sorted(found)])] == [
        (step, step / 7) for step in range(50)
    ]
    assert (report.emitted, report.sent, report.unsent, report.dropped) == (52, 50, 0, 2)
    assert "max.message.bytes" in run.health()["last_error"]


def test_a_clock_far_ahead_of_the_brokers_holds_up_nothing(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka 4 refuses timestamps more than an hour ahead: the client omits them, and the events keep their times."""
    ahead = time.time_ns() + 86_400 * 1_000_000_000
    monkeypatch.setattr("gateway.client.shipping.producer.now", lambda: ahead // 1_000)
    with shipping_to(f"kafka://{kafka}", topic) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5, 0, time=ahead / 1e9)
        report = run.finish(timeout_s=20)

    (record,) = [one for one in raw_log(kafka, topic) if b'"loss"' in one.value]
    assert (report.sent, report.unsent, report.dropped) == (1, 0, 0)
    assert identify(record.key, record.headers).time == ahead // 1_000
