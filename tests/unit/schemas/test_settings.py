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
        ({"live_url": "http://me:two words#@h"}, r"live_url does not fit \(it is not http\(s\)://host:port"),
        ({"live_url": "http://[::1"}, "live_url does not fit"),
        ({"live_url": "h:99999"}, "live_url does not fit"),
        ({"mlflow_ui": "ftp://h:21"}, r"mlflow_ui does not fit \(it is not http\(s\)://host:port or auto or none"),
        ({"trackers": '["mlflow"'}, r"trackers does not fit \(it is no JSON list.*correct GATEWAY_TRACKERS$"),
        ({"trackers": '["mlflow", 3]'}, r"trackers does not fit \(entry 1: .*correct GATEWAY_TRACKERS$"),
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


@pytest.mark.parametrize("text", ["mlflow,tensorboard", " mlflow , tensorboard,", '["mlflow", "tensorboard"]'])
def test_a_list_is_written_with_commas_or_in_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TRACKERS", text)

    assert Settings.load().trackers == ["mlflow", "tensorboard"]


def test_an_ipv6_address_is_written_in_brackets() -> None:
    settings = Settings(live_host="::1", ingest_host="::1")

    assert (settings.api, settings.ingest) == ("http://[::1]:8700", "http://[::1]:8701")


def test_only_what_the_stack_gives_a_value_is_advised_to_come_from_it() -> None:
    for name, is_given in (("kafka", True), ("tensorboard_dir", False)):
        with pytest.raises(BadSettings, match=f"set GATEWAY_{name.upper()}") as raised:
            Settings().need(name)
        assert ("gateway up" in str(raised.value)) is is_given
