"""Where the server may listen, and how both sides turn settings into a way to speak to Kafka."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from consumers.log.security import security_arguments
from gateway.client.errors import Unsent
from gateway.client.transports import kafka_transport as client_kafka
from gateway.local import addresses
from gateway.server.log_writer import options_of
from gateway.server.serve import require_token
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

SASL = {"kafka_sasl_user": "u", "kafka_sasl_password": "p"}


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_without_a_token_it_listens_on_loopback(host: str) -> None:
    require_token(Settings(ingest_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.example.com", ""])
def test_without_a_token_it_listens_nowhere_else(host: str) -> None:
    with pytest.raises(BadSettings, match="GATEWAY_TOKEN"):
        require_token(Settings(ingest_host=host))
    require_token(Settings(ingest_host=host, token=SecretStr("t")))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"kafka_security": "TLS"}, "kafka_security does not fit"),
        ({"kafka_security": "SASL_SSL"}, "GATEWAY_KAFKA_SASL_USER and GATEWAY_KAFKA_SASL_PASSWORD"),
        ({"kafka_cert": "c.pem"}, "kafka_cert and kafka_key belong together"),
        ({"ingest_key": "k.pem"}, "ingest_cert and ingest_key belong together"),
        ({"token": "two words"}, "printable ASCII"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)

    with pytest.raises(BadSettings, match=said) as raised:
        Settings.load()
    assert "two words" not in str(raised.value)


@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_both_sides_speak_to_kafka_in_the_same_way(security: str, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_secrets_reach_the_processes_of_a_stack_and_nobody_who_prints_settings() -> None:
    settings = Settings(token=SecretStr("t1"), kafka_sasl_password=SecretStr("p1"))
    written = addresses.stack_settings(settings)

    assert (written["token"], written["kafka_sasl_password"]) == ("t1", "p1")
    assert addresses.running_settings(written).token == settings.token
    assert "t1" not in repr(settings)
    assert "p1" not in repr(settings)
