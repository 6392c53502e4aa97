"""docker-compose.yml starts the system that the settings class, the entry points and the embedded stack describe."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.local.servers.kafka_jars import VERSION as KAFKA_VERSION
from schemas.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "python -m" in service.get("command", "")}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOLS = PYPROJECT["project"], PYPROJECT["tool"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_process_gets_settings_that_the_settings_class_accepts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = OURS[name]["environment"]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:\?[^}]*\}", "secret", value))

    settings = Settings.load()

    assert {f"GATEWAY_{field.upper()}" for field in settings.model_fields_set} == set(variables)
    assert settings.need("postgres") == "postgresql://gateway:secret@postgres:5432/gateway"


def test_addresses_name_services_of_the_file_and_ports_they_listen_on() -> None:
    variables = OURS["materialiser"]["environment"]
    named = re.findall(
        r"(?:@|//|^)([a-z]+):(\d+)", " ".join([variables["GATEWAY_KAFKA"], variables["GATEWAY_MLFLOW_URL"]])
    )

    assert dict(named) == {"kafka": "29092", "mlflow": "5000"}
    assert set(dict(named)) <= set(SERVICES)
    assert "INSIDE://kafka:29092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "--port 5000" in SERVICES["mlflow"]["command"]


def test_the_processes_of_the_embedded_stack_are_all_there() -> None:
    commands = {service["command"] for service in OURS.values()}
    trackers = Settings.load().trackers

    assert commands == {
        "python -m consumers.materialiser",
        "python -m consumers.live",
        "python -m consumers.alerts",
        "python -m gateway.server",
        "python -m gateway.server.mlflow",
        *(f"python -m consumers.delivery {tracker}" for tracker in trackers),
    }
    assert all(find_spec(command.split()[2]) for command in commands)
    assert set(PROJECT["entry-points"]["gateway.trackers"]) >= set(trackers)


def test_versions_are_those_that_the_embedded_stack_runs() -> None:
    built = {service["image"] for service in SERVICES.values() if "build" in service}

    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert built == {f"tracking-gateway:{PROJECT['version']}"}


def test_every_port_is_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(published) == 7
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_servers_that_listen_on_every_address_of_their_container_require_a_token() -> None:
    for name, setting in (("live", "LIVE"), ("ingest", "INGEST"), ("mlflow-door", "MLFLOW_DOOR")):
        variables = OURS[name]["environment"]
        assert variables[f"GATEWAY_{setting}_HOST"] == "0.0.0.0"
        assert variables["GATEWAY_TOKEN"].startswith("${GATEWAY_TOKEN:?")


def test_no_password_is_written_down() -> None:
    secrets = [
        SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"],
        OURS["live"]["environment"]["GATEWAY_POSTGRES"],
    ]

    assert all("${POSTGRES_PASSWORD:?" in secret for secret in secrets)


def test_the_image_copies_what_the_package_needs_and_nothing_that_is_not_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}

    packages = TOOLS["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sources == {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "dashboard", *packages}
    assert all((ROOT / source).exists() for source in sources)
