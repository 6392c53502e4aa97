"""
The services of a stack: how each is started, what it waits for, when it is ready, how it ends.

The list is built from the plan: a server that the user runs elsewhere is not in it, and each tracker of the settings
adds one delivery.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.local.addresses import METRICS, Plan, has_door, stack_settings
from gateway.local.command import Command
from gateway.local.ports import HOST
from gateway.local.servers import kafka, mlflow_server, postgres
from schemas.errors import LogUnavailable
from schemas.runtime.settings import PREFIX, Settings

VENDORS = ("mlflow", "postgres", "kafka")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of a stack: a process that the supervisor keeps running."""

    name: str
    prepare: Callable[[], Command]
    is_ready: Callable[[], bool]
    needs: tuple[str, ...] = ()  # names of services that must be ready before it starts
    stage: int = 0  # of the shutdown; the lowest stage ends first
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 10.0
    death_signal: int = signal.SIGKILL  # sent by the kernel when the supervisor dies
    ready_timeout_s: float | None = None  # None: no limit, because it waits for others
    drop_variables: tuple[str, ...] = ()  # prefixes of the user's environment variables that must not reach it


def declare(plan: Plan) -> list[Service]:
    """Return the services of a plan, in the order in which they start."""
    own = [make(plan) for name, make in _VENDORS.items() if _is_embedded(name, plan)]
    return [*own, *_processes(plan)]


def _is_embedded(name: str, plan: Plan) -> bool:
    return name not in plan.external and (name != "mlflow" or "mlflow" in plan.settings.trackers)


def _mlflow(plan: Plan) -> Service:
    port = plan.ports["mlflow"]
    return Service(
        name="mlflow",
        prepare=lambda: mlflow_server.prepare(plan.home.folder / "mlflow", port=port),
        is_ready=lambda: mlflow_server.serves(HOST, port),
        stage=2,
        ready_timeout_s=180,
        drop_variables=("MLFLOW_", "_MLFLOW_"),
    )


def _postgres(plan: Plan) -> Service:
    port = plan.ports["postgres"]
    return Service(
        name="postgres",
        prepare=lambda: postgres.prepare(plan.home.folder / "postgres", port=port),
        is_ready=lambda: postgres.accepts(port),
        stage=3,
        stop_signal=signal.SIGINT,  # "fast" shutdown: closes connections; SIGTERM would wait for clients
        stop_timeout_s=30,
        death_signal=signal.SIGQUIT,
        ready_timeout_s=600,  # replaying the write-ahead log after a SIGKILL
        drop_variables=("PG",),  # PGDATA, PGPORT, ...
    )


def _kafka(plan: Plan) -> Service:
    port, controller_port = plan.ports["kafka"], plan.ports["kafka-controller"]

    def is_ready() -> bool:
        try:
            kafka.probe(f"{HOST}:{port}", timeout_s=0.5)
        except LogUnavailable:
            return False
        return True

    return Service(
        name="kafka",
        prepare=lambda: kafka.prepare(plan.home.folder / "kafka", port=port, controller_port=controller_port),
        is_ready=is_ready,
        stage=3,
        stop_timeout_s=30,
        ready_timeout_s=600,  # recovering segments after a SIGKILL
    )


_VENDORS: dict[str, Callable[[Plan], Service]] = {"mlflow": _mlflow, "postgres": _postgres, "kafka": _kafka}


def _processes(plan: Plan) -> list[Service]:
    # As ingest, it answers the requests under way before it ends; then MLflow's server behind it ends.
    door = _process("mlflow-door", ["gateway.server.mlflow"], plan, needs=("materialiser",), stop_timeout_s=25)
    stores = tuple(name for name in ("postgres", "kafka") if name not in plan.external)
    mlflow = ("mlflow",) if _is_embedded("mlflow", plan) else ()
    deliveries = [
        _process(
            f"delivery-{tracker}",
            ["consumers.delivery", tracker],
            plan,
            needs=("materialiser", *(mlflow if tracker == "mlflow" else ())),
        )
        for tracker in plan.settings.trackers
    ]
    return [
        _process("materialiser", ["consumers.materialiser"], plan, needs=stores, stage=1),
        _process("live", ["consumers.live"], plan, needs=("materialiser",), stop_timeout_s=5),
        # Ingest answers the requests under way before it ends, and Kafka ends after it.
        _process("ingest", ["gateway.server"], plan, needs=("materialiser",), stop_timeout_s=20),
        *([door] if has_door(plan.settings) else []),
        _process("alerts", ["consumers.alerts"], plan, needs=("materialiser",)),
        *deliveries,
    ]


def _process(name: str, module: list[str], plan: Plan, **options: Any) -> Service:
    ready_file = plan.home.ready_file(name)

    def prepare() -> Command:
        ready_file.unlink(missing_ok=True)
        # -P: the user's working directory may contain another `schemas/`.
        argv = [sys.executable, "-P", "-m", *module]
        port = plan.ports.get(name + METRICS, 0)
        return Command(argv, {PREFIX + "READY_FILE": str(ready_file), PREFIX + "METRICS_PORT": str(port)})

    return Service(name=name, prepare=prepare, is_ready=ready_file.exists, **options)


def child_environment(settings: Settings, drop: tuple[str, ...] = ()) -> dict[str, str]:
    """
    Return the environment that gives a child exactly these settings, without variables whose name starts as in `drop`.

    Every setting is passed explicitly, so that no gateway.toml or stack.json can change one for a child alone.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, *drop))}
    variables[PREFIX + "HOME"] = str(settings.home)
    variables["PYTHONUNBUFFERED"] = "1"  # the last output of a process that dies must be in its log
    for name, value in stack_settings(settings).items():
        if value is not None:
            variables[PREFIX + name.upper()] = value if isinstance(value, str) else json.dumps(value)
    return variables
