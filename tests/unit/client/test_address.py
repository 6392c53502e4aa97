from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.client.address import find_address
from gateway.client.errors import ClientError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"GATEWAY_HOME": str(folder / "home"), **more}


def write_stack(folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    settings = {"url": "kafka://127.0.0.1:4444", "topic": "of-stack", "kafka": "127.0.0.1:4444"}
    (home / "stack.json").write_text(json.dumps({"version": 1, "settings": settings}))


def test_the_first_place_that_names_an_address_wins(folder: Path) -> None:
    write_stack(folder)
    of_stack = find_address(None, environment(folder))
    (folder / "gateway.toml").write_text('url = "kafka://toml:3333"\ntopic = "of-toml"\n')
    of_toml = find_address(None, environment(folder))
    of_variable = find_address(None, environment(folder, GATEWAY_URL="kafka://env:2222", GATEWAY_TOPIC="of-env"))
    of_argument = find_address("kafka://arg:1111", environment(folder, GATEWAY_URL="kafka://env:2222"))

    found = [(one.url, one.topic) for one in (of_stack, of_toml, of_variable, of_argument)]
    assert found == [
        ("kafka://127.0.0.1:4444", "of-stack"),
        ("kafka://toml:3333", "of-toml"),
        ("kafka://env:2222", "of-env"),
        ("kafka://arg:1111", "of-toml"),
    ]


def test_without_any_address_events_go_nowhere(folder: Path) -> None:
    address = find_address(None, environment(folder))

    assert (address.url, address.topic, address.is_configured) == ("none:", "tracking.events", False)


def test_the_platforms_kafka_setting_is_an_address_too(folder: Path) -> None:
    assert find_address(None, environment(folder, GATEWAY_KAFKA="a:1,b:2")).servers == ["a:1", "b:2"]


def test_a_config_file_can_be_named(folder: Path) -> None:
    (folder / "other.toml").write_text('url = "kafka://other:9092"')

    found = find_address(None, environment(folder, GATEWAY_CONFIG=str(folder / "other.toml")))
    assert found.servers == ["other:9092"]


@pytest.mark.parametrize("url", ["kafka://h:1", "kafka://h:1,i:2", "kafka://[::1]:9092", "kafka://h:1/", "none:"])
def test_addresses_that_can_be_used(folder: Path, url: str) -> None:
    assert find_address(url, environment(folder)).url == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["kafka://", "kafka://h", "kafka://h:x", "kafka://h:99999", "kafka://u:p@h:1", "h:1", "none"]
)
def test_addresses_that_cannot_be_used_say_how_to_write_one(folder: Path, url: str) -> None:
    with pytest.raises(ClientError, match=r"write kafka://host:port"):
        find_address(url, environment(folder))


@pytest.mark.parametrize("url", ["http://h:1", "https://h", "http://[::1]:8701", "https://h:1/behind/a/proxy"])
def test_a_gateway_server_is_an_address(folder: Path, url: str) -> None:
    address = find_address(f"{url}/", environment(folder))

    assert (address.url, address.is_http, address.keeps, address.servers) == (url, True, True, [])


@pytest.mark.parametrize(
    "url", ["http://", "https://h:x", "http://h/v1/events", "http://h/?a=b", "http://u:secret@h:1"]
)
def test_a_server_that_cannot_be_one_says_how_to_write_it(folder: Path, url: str) -> None:
    with pytest.raises(ClientError, match=r"write https?://host:port") as raised:
        find_address(url, environment(folder))

    assert "secret" not in str(raised.value)


def test_each_option_comes_from_the_first_place_that_has_it(folder: Path) -> None:
    (folder / "gateway.toml").write_text('url = "https://h"\ntoken = "of-toml"\ntls_ca = "ca.pem"\n')

    chosen = {"GATEWAY_CONFIG": str(folder / "gateway.toml"), "GATEWAY_TOKEN": "of-env"}
    assert find_address(None, environment(folder, **chosen)).options == {"token": "of-env", "tls_ca": "ca.pem"}


def test_a_file_in_the_working_directory_does_not_get_the_secrets_of_the_environment(folder: Path) -> None:
    """A repository of somebody else may contain a gateway.toml that names their server."""
    toml = folder / "gateway.toml"
    toml.write_text('url = "https://h"\n')
    token = {"GATEWAY_TOKEN": "of-env"}
    with pytest.raises(ClientError, match=r"GATEWAY_TOKEN is not sent to https://h, .*GATEWAY_CONFIG=gateway\.toml"):
        find_address(None, environment(folder, **token))
    assert find_address(None, environment(folder, **token, GATEWAY_URL="https://mine")).options == token_of("of-env")
    assert find_address("https://mine", environment(folder, **token)).options == token_of("of-env")

    toml.write_text('url = "https://h"\ntoken = "of-toml"\n')
    assert find_address(None, environment(folder, **token)).options == token_of("of-toml")

    toml.write_text('kafka = "h:9092"\nkafka_security = "SASL_SSL"\nkafka_sasl_user = "u"\n')
    with pytest.raises(ClientError, match="GATEWAY_KAFKA_SASL_PASSWORD is not sent"):
        find_address(None, environment(folder, GATEWAY_KAFKA_SASL_PASSWORD="secret"))


@pytest.mark.parametrize("variables", [{"GATEWAY_CONFIG": "nowhere.toml"}, {"GATEWAY_KAFKA_SECURITY": "TLS"}, {}])
def test_nowhere_can_always_be_given(folder: Path, variables: dict[str, str]) -> None:
    """Dialects keep events in the journal by it, until the settings are mended."""
    (folder / "gateway.toml").write_text("no = = toml")

    found = find_address("none:", environment(folder, **variables))
    assert (found.url, found.topic, found.options) == ("none:", "tracking.events", {})


def token_of(text: str) -> dict[str, str]:
    return {"token": text}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"GATEWAY_KAFKA_SECURITY": "TLS"}, "SASL_PLAINTEXT, SASL_SSL"),
        ({"GATEWAY_KAFKA_SASL_MECHANISM": "GSSAPI"}, "SCRAM-SHA-512"),
        ({"GATEWAY_KAFKA_SECURITY": "SASL_SSL", "GATEWAY_KAFKA_SASL_USER": "u"}, "GATEWAY_KAFKA_SASL_PASSWORD"),
        ({"GATEWAY_TOKEN": "two words"}, "printable ASCII without spaces"),
    ],
)
def test_options_that_cannot_be_used_are_named(folder: Path, variables: dict[str, str], named: str) -> None:
    with pytest.raises(ClientError, match=named) as raised:
        find_address("kafka://h:1", environment(folder, **variables))

    assert "two words" not in str(raised.value)


def test_a_config_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "gateway.toml").write_text("url = ")

    with pytest.raises(ClientError, match=r"gateway\.toml cannot be read as TOML"):
        find_address(None, environment(folder))


def test_a_config_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ClientError, match=r"GATEWAY_CONFIG names .*nowhere"):
        find_address(None, environment(folder, GATEWAY_CONFIG=str(folder / "nowhere.toml")))
