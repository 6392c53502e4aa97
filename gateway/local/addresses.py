"""
Which addresses a stack serves itself, and which it only uses.

An address that the user gave (environment or gateway.toml) means: use that server, start none. The rest is filled in
with the stack's own servers, on ports that are chosen once and remembered.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from gateway.local.home import SUPERVISOR, Home
from gateway.local.ports import HOST, free_ports, holder, is_free
from gateway.local.servers import postgres
from schemas.errors import BadSettings, StackError
from schemas.runtime.settings import Settings
from schemas.runtime.text import mask_password

SECRETS = tuple(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr)
PORTS = ("kafka", "kafka-controller", "postgres", "mlflow", "live", "ingest", "mlflow-door")
METRICS = "-metrics"  # suffix of the name of the port on which our processes answer /metrics, /healthz and /readyz


class Addresses(NamedTuple):
    """The addresses of a stack. `postgres` and `mlflow` may hold a password: print `shown` instead."""

    dashboard: str
    mlflow: str
    kafka: str
    postgres: str
    wandb_dir: str
    ingest: str
    mlflow_door: str  # "" where none is started

    @property
    def shown(self) -> dict[str, str]:
        """All addresses by name, without passwords."""
        return {
            name: mask_password(address) if "://" in address else address for name, address in self._asdict().items()
        }


class Plan(NamedTuple):
    """What will run: settings for every process, ports of our servers, and the servers that run elsewhere."""

    home: Home
    settings: Settings
    ports: dict[str, int]
    external: frozenset[str]  # of kafka, postgres and mlflow


def addresses_of(settings: Settings) -> Addresses:
    """Return the addresses in these settings."""
    return Addresses(
        settings.api,
        settings.mlflow_url,
        settings.kafka,
        settings.postgres.get_secret_value(),
        str(settings.wandb_dir),
        settings.ingest,
        settings.mlflow_door if has_door(settings) else "",
    )


def has_door(settings: Settings) -> bool:
    """Tell whether a stack starts a MLflow door: it is wanted, and MLflow's client is installed."""
    return settings.mlflow_doors > 0 and importlib.util.find_spec("mlflow") is not None


def running_settings(written: dict[str, Any]) -> Settings:
    """Return the settings in stack.json, regardless of the environment."""
    known = {name: value for name, value in written.items() if name in Settings.model_fields}
    return Settings.model_construct(**_with_secret({**known, "postgres": known.get("postgres", "")}))


def given_settings(home: Path) -> Settings:
    """Return the settings that the user gave, without those of an earlier stack of this home. Raises BadSettings."""
    settings = Settings.load(home / "no-stack")  # a folder without stack.json adds nothing
    return settings.model_copy(update={"home": home})


def changed_settings(given: Settings, written: dict[str, Any]) -> list[str]:
    """Return the names of settings that the user gave here and that a stack, by its stack.json, runs without."""
    ours = stack_settings(given)
    named = given.model_fields_set & ours.keys() & written.keys()
    return sorted(name for name in named if ours[name] != written[name])


def port_names(trackers: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the ports of a stack with these trackers."""
    ours = (
        SUPERVISOR,
        "materialiser",
        "live",
        "ingest",
        "mlflow-door",
        "alerts",
        *(f"delivery-{tracker}" for tracker in trackers),
    )
    return (*PORTS, *(name + METRICS for name in ours))


def choose_ports(home: Home, requested: dict[str, int], trackers: Iterable[str], *, new: bool) -> dict[str, int]:
    """Return a port for each server: requested, else remembered (unless `new`), else free. Raises BadSettings."""
    names = port_names(trackers)
    if unknown := sorted(set(requested) - set(names)):
        raise BadSettings(f"unknown port name {', '.join(unknown)}: use {', '.join(names)}")
    written = home.read()["ports"]
    remembered = {} if new else {name: written.get(name) for name in names}
    fresh = iter(free_ports(len(names)))
    return {name: requested.get(name) or remembered.get(name) or next(fresh) for name in names}


def metrics_url(port: int | None) -> str | None:
    """Return the metrics URL of one of our processes; None for a vendor's server, which has no such port."""
    return f"http://{HOST}:{port}/metrics" if port else None


def refuse_taken(plan: Plan, services: Iterable[str]) -> None:
    """Raise StackError when another process listens on a port that one of these services needs."""
    for service in services:
        for name in {"kafka": ("kafka", "kafka-controller")}.get(service, (service, service + METRICS)):
            port = plan.ports.get(name)
            if port and not is_free(port):
                raise StackError(
                    f"port {port} for {name} is taken by {holder(port)}: end that process, "
                    f"or run `gateway up --new-ports`, or choose one with `--port {name}=N`"
                )


def make_plan(home: Home, given: Settings, ports: dict[str, int]) -> Plan:
    """Return the plan, with what the user did not give filled in. Raises BadSettings and StackError."""
    external = {name for name in ("kafka", "postgres", "mlflow_url") if _given(given, name)}
    if given.kafka_security != "PLAINTEXT" and "kafka" not in external:
        raise BadSettings(
            f"kafka_security {given.kafka_security} is for a Kafka that runs elsewhere, and none is named: "
            "set GATEWAY_KAFKA, or unset GATEWAY_KAFKA_SECURITY"
        )
    if "live_port" in given.model_fields_set:
        ports = {**ports, "live": given.live_port}
    if "ingest_port" in given.model_fields_set:
        ports = {**ports, "ingest": given.ingest_port}
    if "mlflow_door_port" in given.model_fields_set:
        ports = {**ports, "mlflow-door": given.mlflow_door_port}
    bootstrap = given.kafka or f"{HOST}:{ports['kafka']}"
    update: dict[str, Any] = {
        "home": home.folder,
        "kafka": bootstrap,
        "url": given.url or f"kafka://{bootstrap}",
        "live_port": ports["live"],
        "ingest_port": ports["ingest"],
        "mlflow_door_port": ports["mlflow-door"],
        "mlflow_url": given.mlflow_url or f"http://{HOST}:{ports['mlflow']}",
        "wandb_dir": given.wandb_dir or home.folder / "wandb",
        "artifacts": given.artifacts or (home.folder / "artifacts").as_uri(),
    }
    if "postgres" not in external:
        update["postgres"] = postgres.dsn(home.folder / "postgres", ports["postgres"])
    values = {**given.model_dump(exclude={"ready_file"}), **update}
    return Plan(home, Settings.model_construct(**_with_secret(values)), ports, frozenset(_services(external)))


def _given(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    return bool(value.get_secret_value() if name == "postgres" else value)


def _with_secret(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: SecretStr(value) if name in SECRETS and isinstance(value, str) else value
        for name, value in values.items()
    }


def _services(external: set[str]) -> set[str]:
    return {"mlflow" if name == "mlflow_url" else name for name in external}


def stack_settings(settings: Settings) -> dict[str, Any]:
    """Return every setting as stack.json stores it for clients and commands: as JSON, secrets included."""
    values = settings.model_dump(mode="json", exclude={"home", "ready_file"})
    return {**values, **{name: getattr(settings, name).get_secret_value() for name in SECRETS}}
