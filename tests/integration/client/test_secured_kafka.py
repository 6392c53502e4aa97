"""A broker behind TLS and SASL: training, the ingest server, every reader of the log, and the messages of a refusal."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.security import security_arguments
from consumers.log.topics import ensure_topics
from gateway.client import notices
from gateway.client.address import OPTIONS, Address
from gateway.client.shipping.shipper import Shipper
from gateway.local.connectivity import check_kafka
from schemas.errors import BadSettings, LogUnavailable
from schemas.runtime.settings import Settings
from tests.support import services
from tests.support.client_harness import new_run, points, read_log, train, wait_for
from tests.support.materialiser_process import environment, materialiser, reading, until_folded
from tests.support.secured_kafka import MECHANISMS, SecuredKafka, running_secured_kafka
from tests.support.server_process import serving

WAYS = [
    ("SSL", "SCRAM-SHA-512"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    *(("SASL_SSL", mechanism) for mechanism in MECHANISMS.split(",")),
]
TRAIN = """
    import gateway
    with gateway.start_run(run_id="secured", params={"lr": 0.1}) as run:
        for step in range(2_000):
            gateway.emit("loss", step / 7, step=step)
    """


@pytest.fixture(scope="module")
def broker(session_folder: Path) -> Iterator[SecuredKafka]:
    with running_secured_kafka(session_folder / "secured") as found:
        yield found


@pytest.fixture
def log_topic(broker: SecuredKafka) -> str:
    name = f"test-{uuid.uuid4().hex}"
    services.run(services.create_topic(broker.addresses["PLAIN"], name, partitions=2))
    return name


def settings_of(named: dict[str, str], topic: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {**named, "topic": topic}.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)
    return Settings.load()


@pytest.mark.stack
@pytest.mark.parametrize(("security", "mechanism"), WAYS)
def test_both_sides_speak_to_it(
    broker: SecuredKafka, log_topic: str, security: str, mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = broker.settings(security, mechanism)
    variables = {f"GATEWAY_{name.upper()}": value for name, value in named.items()}
    done = train(TRAIN, {**variables, "GATEWAY_TOPIC": log_topic, "GATEWAY_HOME": str(tmp_path / "home")})
    settings = settings_of(named, log_topic, monkeypatch)

    async def read() -> list[bytes | None]:
        await ensure_topics(settings)
        reader = LogReader(settings.kafka, log_topic, security_arguments(settings))
        try:
            await reader.open()
            await reader.assign({0: 0, 1: 0})
            ends = sum((await reader.end_offsets()).values())
            found: list[Record] = []
            async with asyncio.timeout(30):
                while len(found) < ends:
                    found += await reader.fetch(timeout_ms=1_000, max_records=100)
            return [record.value for record in found]
        finally:
            await reader.close()

    check_kafka(settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(services.run(read())) == len(read_log(broker.addresses["PLAIN"], log_topic)) >= 5


@pytest.mark.parametrize("security", ["SSL", "SASL_SSL"])
async def test_training_reaches_postgresql_through_it(
    broker: SecuredKafka, log_topic: str, database: str, security: str, tmp_path: Path
) -> None:
    named = broker.settings(security)
    client = {f"GATEWAY_{name.upper()}": value for name, value in named.items()}
    plain_kafka = named.pop("kafka")
    with materialiser(tmp_path, environment(plain_kafka, log_topic, database, **named)):
        done = await asyncio.to_thread(
            train, TRAIN, {**client, "GATEWAY_TOPIC": log_topic, "GATEWAY_HOME": str(tmp_path / "client")}
        )
        records = len(await asyncio.to_thread(read_log, broker.addresses["PLAIN"], log_topic))
        await until_folded(database, log_topic, records)

    async with reading(database) as store:
        found = [point async for point in store.points("secured")]
    assert done.stderr == ""
    assert [(one.step, one.value) for one in found] == [(step, step / 7) for step in range(2_000)]


@pytest.mark.stack
def test_the_ingest_server_writes_through_it(broker: SecuredKafka, log_topic: str, tmp_path: Path) -> None:
    named = broker.settings("SASL_SSL")
    with serving(tmp_path, named.pop("kafka"), log_topic, **named) as server:
        done = train(TRAIN, {"GATEWAY_URL": server.url, "GATEWAY_HOME": str(tmp_path / "home")})

    envelopes = read_log(broker.addresses["PLAIN"], log_topic)
    assert done.stderr == ""
    assert len(points([envelope.event for envelope in envelopes])) == 2_000


@pytest.mark.stack
@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"kafka_sasl_password": "wrong"}, "refused the user and password .*: correct GATEWAY_KAFKA_SASL_USER and"),
        ({"kafka_ca": ""}, "certificate.*: correct GATEWAY_KAFKA_CA"),
        ({"kafka_ca": "/none.pem"}, r"GATEWAY_KAFKA_CA /none\.pem .*: name a PEM file"),
    ],
)
def test_a_client_that_is_refused_reports_why_once_and_keeps_its_events(
    broker: SecuredKafka, log_topic: str, spoilt: dict[str, str], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = try_to_train({**broker.settings("SASL_SSL"), **spoilt}, log_topic)

    lines = [line for line in capfd.readouterr().err.splitlines() if "events wait in the journal" in line]
    assert (sent, len(lines)) == (0, 1)
    assert re.search(expected, lines[0]), lines[0]
    assert "not-a-real-secret" not in lines[0]
    assert "gateway up" not in lines[0]


@pytest.mark.stack
def test_it_reports_why_also_if_the_training_captures_the_log_of_aiokafka(
    broker: SecuredKafka, log_topic: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("aiokafka"), "handlers", [logging.NullHandler()])

    try_to_train({**broker.settings("SASL_SSL"), "kafka_sasl_password": "wrong"}, log_topic)

    assert "refused the user and password" in capfd.readouterr().err


def try_to_train(named: dict[str, str], log_topic: str) -> int:
    """Emit, wait until the client fails to send, and return how many envelopes it sent."""
    notices.reset()
    options = {name: named[name] for name in OPTIONS if named.get(name)}
    shipper = Shipper(Address(f"kafka://{named['kafka']}", log_topic, options=options))
    run = new_run(shipper)
    run.emit("loss", 0.5, 0)
    wait_for(lambda: bool(shipper.last_error))
    report = run.finish(timeout_s=0.5)
    shipper.stop()
    return report.sent


@pytest.mark.stack
def test_doctor_reports_the_cause(broker: SecuredKafka, log_topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(broker.settings("SASL_SSL"), log_topic, monkeypatch)

    with pytest.raises(LogUnavailable, match="GATEWAY_KAFKA_CA"):
        check_kafka(settings.model_copy(update={"kafka_ca": None}))
    with pytest.raises(BadSettings, match="kafka_ca"):
        check_kafka(settings.model_copy(update={"kafka_ca": Path("/none.pem")}))
