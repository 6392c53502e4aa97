"""Invalid settings are reported by name."""

from __future__ import annotations

import pytest

from schemas.errors import BadSettings
from schemas.runtime.settings import Settings


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"kafka_security": "TLS"}, "kafka_security does not fit"),
        ({"kafka_security": "SASL_SSL"}, "GATEWAY_KAFKA_SASL_USER and GATEWAY_KAFKA_SASL_PASSWORD"),
        ({"kafka_cert": "c.pem"}, "kafka_cert and kafka_key belong together"),
        ({"ingest_key": "k.pem"}, "ingest_cert and ingest_key belong together"),
        ({"token": "two words"}, "printable ASCII"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)

    with pytest.raises(BadSettings, match=message) as raised:
        Settings.load()
    assert "two words" not in str(raised.value)
