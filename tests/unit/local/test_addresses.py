"""Which addresses a stack serves itself, and which it only uses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.cli.doctor import masked
from gateway.local import addresses
from gateway.local.home import Home
from gateway.local.supervision.services import child_environment, declare
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

PORTS = {"kafka": 1, "kafka-controller": 2, "postgres": 3, "mlflow": 4, "live": 5, "ingest": 6, "mlflow-door": 7}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    found = Home(tmp_path / "home")
    found.create()
    return found


def plan(home: Home) -> addresses.Plan:
    return addresses.make_plan(home, addresses.given_settings(home.folder), PORTS)


def names(home: Home) -> list[str]:
    return [service.name for service in declare(plan(home))]


def test_everything_is_started_where_nothing_is_given(home: Home) -> None:
    assert names(home) == [
        "mlflow",
        "postgres",
        "kafka",
        "materialiser",
        "live",
        "ingest",
        "mlflow-door",
        "alerts",
        "delivery-mlflow",
        "delivery-wandb",
    ]
    assert plan(home).settings.kafka == "127.0.0.1:1"
    assert plan(home).settings.url == "kafka://127.0.0.1:1"


def test_a_given_address_is_used_and_not_started(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFKA", "broker:9092")
    Path("gateway.toml").write_text('postgres = "postgresql://u:p@db/x"\nmlflow_url = "https://mlflow"\n')

    assert names(home) == [
        "materialiser",
        "live",
        "ingest",
        "mlflow-door",
        "alerts",
        "delivery-mlflow",
        "delivery-wandb",
    ]
    assert plan(home).settings.url == "kafka://broker:9092"
    assert plan(home).settings.postgres.get_secret_value() == "postgresql://u:p@db/x"


def test_what_an_earlier_start_wrote_does_not_count_as_given(home: Home) -> None:
    written = addresses.stack_settings(plan(home).settings)
    home.write({"version": 1, "running": False, "settings": written, "ports": PORTS, "processes": {}})

    assert "kafka" in names(home)


def test_without_the_tracker_mlflow_no_server_is_started(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TRACKERS", '["wandb"]')

    assert names(home) == [
        "postgres", "kafka", "materialiser", "live", "ingest", "mlflow-door", "alerts", "delivery-wandb",
    ]  # fmt: skip


def test_the_mlflow_door_can_be_switched_off_and_has_the_port_that_is_given(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_MLFLOW_DOOR_PORT", "5999")
    assert addresses.addresses_of(plan(home).settings).mlflow_door == "http://127.0.0.1:5999"
    monkeypatch.setenv("GATEWAY_MLFLOW_DOORS", "0")
    assert "mlflow-door" not in names(home)
    assert addresses.addresses_of(plan(home).settings).mlflow_door == ""


def test_without_mlflow_the_door_is_left_out_and_the_rest_starts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else found(name))

    assert "mlflow-door" not in names(home)
    assert {"materialiser", "live", "ingest"} <= set(names(home))


def test_ports_are_remembered_requested_or_new(home: Home) -> None:
    first = addresses.choose_ports(home, {}, ["mlflow"], new=False)
    home.write({"version": 1, "running": False, "settings": {}, "ports": first, "processes": {}})
    again = addresses.choose_ports(home, {"live": 8765}, ["mlflow"], new=False)
    fresh = addresses.choose_ports(home, {}, ["mlflow"], new=True)

    assert again == {**first, "live": 8765}
    assert not set(fresh.values()) & set(first.values())


def test_an_unknown_port_name_is_refused(home: Home) -> None:
    with pytest.raises(BadSettings, match="kafak"):
        addresses.choose_ports(home, {"kafak": 1}, [], new=False)


def test_children_read_exactly_the_settings_of_the_stack(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PARTITIONS", "3")
    expected = plan(home).settings
    for name, value in child_environment(expected).items():
        monkeypatch.setenv(name, value)

    assert Settings.load() == expected


def test_addresses_are_shown_without_passwords() -> None:
    pair = "user:s3cret@127.0.0.1:1"
    found = addresses.Addresses("http://d", f"https://{pair}", "k:1", f"postgresql://{pair}/x", "/a[b", "http://i", "")

    assert "s3cret" not in str(found.shown)
    assert found.shown["mlflow"] == "https://user:***@127.0.0.1:1"
    assert found.shown["wandb_dir"] == "/a[b"


def test_secrets_reach_the_processes_of_a_stack_and_are_never_printed() -> None:
    settings = Settings(token=SecretStr("t1"), kafka_sasl_password=SecretStr("p1"))
    written = addresses.stack_settings(settings)

    assert (written["token"], written["kafka_sasl_password"]) == ("t1", "p1")
    assert addresses.running_settings(written).token == settings.token
    assert "t1" not in repr(settings)
    assert "p1" not in repr(settings)


def test_every_secret_reaches_the_processes_and_comes_back_from_the_file(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that is masked on the way is a wrong password there."""
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    for name in secrets:
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", f"postgresql://u:{name}-value@h/db")

    settings = plan(home).settings
    passed = child_environment(settings)
    back = addresses.running_settings(addresses.stack_settings(settings))

    assert {"postgres", "kafka_sasl_password", "token", "wandb_api_key"} <= set(secrets)
    for name in secrets:
        assert passed[f"GATEWAY_{name.upper()}"] == f"postgresql://u:{name}-value@h/db"
        assert getattr(back, name).get_secret_value() == f"postgresql://u:{name}-value@h/db"
        assert f"{name}-value" not in f"{settings!r} {settings} {masked(settings)}"
