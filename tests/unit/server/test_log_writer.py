"""Both sides turn the settings into the same Kafka options."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from consumers.log.security import security_arguments
from gateway.client.errors import Unsent
from gateway.client.transports import kafka_transport as client_kafka
from gateway.server.log_writer import LogWriter, options_of
from schemas.errors import BadSettings, LogUnavailable
from schemas.runtime.settings import Settings

SASL = {"kafka_sasl_user": "u", "kafka_sasl_password": "p"}


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_both_sides_make_the_same_kafka_options(security: str, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"kafka_security": security, "kafka_ca": str(ca), **SASL}.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)
    settings = Settings.load()

    consumers, producers = security_arguments(settings), client_kafka.security_arguments(options_of(settings))
    contexts = [side.pop("ssl_context", None) for side in (consumers, producers)]
    assert consumers == producers
    assert consumers["security_protocol"] == security
    assert [isinstance(one, ssl.SSLContext) and one.check_hostname for one in contexts] == [
        security.endswith("SSL")
    ] * 2


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    missing = Settings(kafka_security="SSL", kafka_ca=tmp_path / "none.pem")
    damaged = Settings(kafka_security="SSL", kafka_cert=tmp_path / "no.pem", kafka_key=tmp_path / "no.pem")

    for settings, name in ((missing, r"none\.pem"), (damaged, r"no\.pem")):
        with pytest.raises(BadSettings, match=name):
            security_arguments(settings)
        with pytest.raises(Unsent, match=name):
            client_kafka.security_arguments(options_of(settings))


async def test_an_error_that_no_rule_foresees_is_named_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    writer = LogWriter(Settings(kafka="127.0.0.1:abc"))  # ValueError, deep inside the Kafka library
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(30):
        while "ValueError" not in writer.problem:  # noqa: ASYNC110  # the writer signals nothing
            await asyncio.sleep(0.01)
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:abc.*ValueError"):
        await writer.write([])
    still_running = not running.done()
    running.cancel()
    await asyncio.wait({running})

    assert still_running
    assert caplog.text.count("Traceback") >= 1
