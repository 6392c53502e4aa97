"""Training over HTTP: through servers that die in the middle, ask for a token, speak TLS, or refuse a record."""

from __future__ import annotations

import asyncio
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest
import trustme

from gateway.client import notices
from gateway.client.address import Address
from gateway.client.shipping.shipper import Shipper
from gateway.client.transports.http_transport import HttpTransport
from gateway.client.transports.transport import Refusal
from gateway.local.ports import HOST, free_ports
from gateway.local.supervision.process import kill_group, spawn, wait_until
from schemas.runtime.access.guard import STEP_401
from schemas.wire import decode, identify
from tests.support import services
from tests.support.client_harness import new_run, points, raw_log, read_log, train, training, wait_for
from tests.support.server_data import prepare_kafka
from tests.support.server_process import Server, note, serving
from tests.support.tcp_proxy import proxy_to

RUN = "run-1"


@pytest.fixture(autouse=True)
def fresh_notices() -> Iterator[None]:
    notices.reset()
    yield
    notices.reset()


@contextmanager
def shipping_to(url: str, **options: str) -> Iterator[Shipper]:
    shipper = Shipper(Address(url, "not-used", options=options))
    try:
        yield shipper
    finally:
        shipper.stop()


def test_a_script_trains_over_http(kafka: str, topic: str, tmp_path: Path) -> None:
    code = """
        import gateway
        with gateway.start_run(run_id="over-http", params={"lr": 0.1}) as run:
            for step in range(5_000):
                gateway.emit("loss", step / 7, step=step)
        print(run.report)
        """
    with serving(tmp_path, kafka, topic, token="right") as server:
        home = str(tmp_path / "home")
        done = train(code, {"GATEWAY_URL": server.url, "GATEWAY_TOKEN": "right", "GATEWAY_HOME": home})

    events = [envelope.event for envelope in read_log(kafka, topic)]
    assert (done.returncode, done.stderr) == (0, "")
    assert [(seen.step, seen.value) for seen in points(events)] == [(step, step / 7) for step in range(5_000)]
    assert events[-1].kind == "producer_closed"


def test_a_server_killed_in_the_middle_of_answers_loses_nothing_and_repeats_only_identical_records(
    kafka: str, topic: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    with serving(tmp_path, kafka, topic) as server, shipping_to(server.url) as shipper:
        run = new_run(shipper)
        with training(run) as steps:
            for _ in range(6):
                before = run.health()["sent"]
                wait_for(lambda before=before: run.health()["sent"] > before)  # type: ignore[misc]
                threading.Event().wait(chance.random() * 0.2)  # at any moment of a request
                server.end()
                server.start()
                server.until()
        report = run.finish(timeout_s=60)

    records = raw_log(kafka, topic)
    bytes_of: dict[int, set[bytes]] = {}
    for record in records:
        seq = identify(record.key, record.headers).seq
        bytes_of.setdefault(seq, set()).add(record.value + repr(record.headers).encode())
    first = {identify(r.key, r.headers).seq: r for r in reversed(records)}
    events = [decode(r.key, r.value, r.headers).event for _, r in sorted(first.items())]
    assert sorted(bytes_of) == list(range(len(bytes_of)))
    assert {len(several) for several in bytes_of.values()} == {1}
    assert [(seen.step, seen.value) for seen in points(events)] == [(step, 1 / (step + 1)) for step in steps]
    assert (report.sent, report.unsent, report.dropped) == (len(steps), 0, 0)


def test_a_lost_answer_is_followed_by_the_same_bytes(kafka: str, topic: str, tmp_path: Path) -> None:
    async def through_a_line_that_ends(server: Server) -> int:
        losses = 0
        with proxy_to(server.port) as line:
            for seq in range(20):
                transport = HttpTransport(f"http://127.0.0.1:{line.port}")
                await transport.open()
                sending = asyncio.ensure_future(transport.send([note(RUN, seq)]))
                await asyncio.wait({sending}, timeout=0.001 * (seq % 7))
                line.cut()
                await asyncio.wait({sending})
                losses += sending.exception() is not None
                await transport.close()
                line.heal()
            again = HttpTransport(f"http://127.0.0.1:{line.port}")
            await again.open()
            assert await again.send([note(RUN, seq) for seq in range(20)]) == []
            await again.close()
        return losses

    with serving(tmp_path, kafka, topic) as server:
        assert asyncio.run(through_a_line_that_ends(server)) > 0

    found = {(r.key, r.value, r.headers) for r in raw_log(kafka, topic)}
    assert found == {(r.key, r.value, r.headers) for r in (note(RUN, seq) for seq in range(20))}


def test_with_a_wrong_token_events_wait_and_one_line_says_why(
    kafka: str, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        serving(tmp_path, kafka, topic, token="right") as server,
        shipping_to(server.url, token="not-this-one") as shipper,
    ):
        run = new_run(shipper)
        run.emit("loss", 0.5, 0)
        wait_for(lambda: "401" in shipper.last_error)
        warnings = capsys.readouterr().err
        assert run.finish(timeout_s=0.5).sent == 0

    assert f"the gateway server at {server.url} refused the token (HTTP 401" in warnings
    assert STEP_401 in warnings
    assert "cannot be reached" not in warnings
    assert "gateway up" not in warnings
    assert len([line for line in warnings.splitlines() if "401" in line]) == 1
    assert "not-this-one" not in warnings
    assert raw_log(kafka, topic) == []


def test_without_a_server_events_wait_until_there_is_one(kafka: str, topic: str, tmp_path: Path) -> None:
    server = Server(tmp_path, {"GATEWAY_KAFKA": kafka, "GATEWAY_TOPIC": topic})
    with shipping_to(server.url) as shipper:
        run = new_run(shipper)
        for step in range(3_000):
            run.emit("loss", float(step), step)
        wait_for(lambda: "refused" in shipper.last_error)
        try:
            server.start()
            report = run.finish(timeout_s=60)
        finally:
            server.end()

    assert (report.sent, report.unsent) == (3_000, 0)
    assert [seen.step for seen in points([envelope.event for envelope in read_log(kafka, topic)])] == list(range(3_000))


@pytest.mark.stack
def test_a_killed_kafka_is_waited_for_and_what_was_emitted_meanwhile_arrives(
    session_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ports = session_folder / "killed-kafka", free_ports(2)
    address = f"{HOST}:{ports[0]}"

    def start(log: IO[bytes]) -> subprocess.Popen[bytes]:
        child = spawn(prepare_kafka(folder, port=ports[0], controller_port=ports[1]), log)
        assert wait_until(lambda: services.answers(address), child, 60)
        return child

    def kill(child: subprocess.Popen[bytes]) -> None:
        if child.poll() is None:
            kill_group(child.pid)
            child.wait()

    folder.mkdir()
    with (folder / "kafka.log").open("ab") as log, ExitStack() as ending:
        broker = start(log)
        ending.callback(kill, broker)
        services.run(services.create_topic(address, "events", partitions=2))
        with serving(tmp_path, address, "events") as server, shipping_to(server.url) as shipper:
            run = new_run(shipper)
            with training(run) as steps:
                wait_for(lambda: run.health()["sent"] > 200)
                kill(broker)
                wait_for(lambda: "HTTP 503" in shipper.last_error and len(steps) > 1_000)
                again = start(log)
                ending.callback(kill, again)
                wait_for(lambda: shipper.is_connected, timeout_s=150)
            report = run.finish(timeout_s=60)
            warnings = capsys.readouterr().err
        records = {(r.key, r.headers): r for r in reversed(raw_log(address, "events"))}

    events = [decode(r.key, r.value, r.headers) for r in records.values()]
    found = points([envelope.event for envelope in sorted(events, key=lambda envelope: envelope.seq)])
    assert [(seen.step, seen.value) for seen in found] == [(step, 1 / (step + 1)) for step in steps]
    assert (report.sent, report.unsent, report.dropped) == (len(steps), 0, 0)
    assert (warnings.count("does not take events now"), warnings.count("is reached again")) == (1, 1)


def test_a_record_refused_for_good_does_not_hold_up_the_others(kafka: str, topic: str, tmp_path: Path) -> None:
    records = [note(RUN, seq) for seq in range(6)]
    records[1].headers = records[1].headers[:-1]
    records[3].value = b'"' + b"x" * 1_100_000 + b'"'

    async def send(url: str) -> list[Refusal]:
        transport = HttpTransport(url)
        await transport.open()
        try:
            return await transport.send(records)
        finally:
            await transport.close()

    with serving(tmp_path, kafka, topic) as server:
        refusals = asyncio.run(send(server.url))

    assert [refusal.number for refusal in refusals] == [1, 3]
    assert ["no header 'schema'" in refusals[0].reason, "1,040,000 bytes" in refusals[1].reason] == [True, True]
    assert [r.value for r in raw_log(kafka, topic)] == [records[number].value for number in (0, 2, 4, 5)]


def test_more_than_a_request_may_hold_goes_in_halves(kafka: str, topic: str, tmp_path: Path) -> None:
    records = [note(RUN, seq, "x" * 900_000) for seq in range(40)]

    async def send(url: str) -> list[Refusal]:
        transport = HttpTransport(url)
        await transport.open()
        try:
            return await transport.send(records)
        finally:
            await transport.close()

    with serving(tmp_path, kafka, topic) as server:
        assert asyncio.run(send(server.url)) == []

    assert [r.headers for r in raw_log(kafka, topic)] == [record.headers for record in records]


def test_over_tls_the_servers_certificate_is_checked(kafka: str, topic: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    pem = str(tmp_path / "server.pem")
    server = Server(
        tmp_path,
        {"GATEWAY_KAFKA": kafka, "GATEWAY_TOPIC": topic, "GATEWAY_INGEST_CERT": pem, "GATEWAY_INGEST_KEY": pem},
    ).start()
    url = server.url.replace("http:", "https:")
    try:
        wait_for(lambda: "ready on https://" in server.text())
        with shipping_to(url) as doubtful:
            run = new_run(doubtful, "doubtful")
            run.emit("loss", 0.5, 0)
            wait_for(lambda: "name its authority in GATEWAY_TLS_CA" in doubtful.last_error)
        with shipping_to(url, tls_ca=str(tmp_path / "ca.pem")) as trusting:
            trusted = new_run(trusting, "trusted")
            trusted.emit("loss", 0.5, 0)
            assert trusted.finish(timeout_s=30).sent == 1
    finally:
        server.end()

    assert {envelope.run_id for envelope in read_log(kafka, topic)} == {"trusted"}
