"""
`gateway status`: each process, the lag of each consumer, dead letters, and the trackers.

Everything is asked with a time limit. What cannot be known is shown as unknown, with the reason, and never as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gateway.console import HomeOption, JsonOption, console, print_json, print_notice, with_home
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.local.stack import Stack

API_TIMEOUT_S = 8.0  # the API itself answers within 3 s what PostgreSQL and Kafka answer
PROBE_TIMEOUT_S = 2.0
UNKNOWN = "?"


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(status)


def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show each process, the lag of each consumer, dead letters, and the trackers.

    Examples: `gateway status`, `gateway status --json`
    """
    facts = full_status(_stack(home))
    named = str(home) if home else None
    for problem in facts["problems"]:
        print_notice(f"gateway: {with_home(mask_unprintable(problem), named)}")
    if as_json:
        print_json(facts)
        return
    print_services(facts, named)
    print_addresses(facts["addresses"])
    print_consumers(facts)


def full_status(stack: Stack) -> dict[str, Any]:
    """
    Return the state of the processes, and what the API knows of the consumers: None for what is unknown.

    "problems" says what is unknown, and why.
    """
    facts = stack.status()
    consumers: dict[str, Any] = {"lag": None, "dead_letters": None, "newest_dead_letter": None, "deliveries": None}
    problems: list[str] = []
    if facts["running"]:
        facts["services"] = dict(_all_probed(facts["services"]))
        found = _ask_api(stack, facts["addresses"]["dashboard"])
        if isinstance(found, str):
            problems.append(found)
        else:
            consumers = {name: found.get(name) for name in consumers}
            problems += found.get("problems") or []
        problems += stack.changed_settings()
    return facts | consumers | {"problems": problems}


def _ask_api(stack: Stack, api: str) -> dict[str, Any] | str:
    """Return the status that the API gives, or why there is none."""
    from gateway.client.errors import ClientError
    from gateway.client.query import api_at, ask

    try:
        code, found = ask(api_at(api, str(stack.home.folder)), "/v1/status", API_TIMEOUT_S)
    except ClientError as error:
        return f"lag, dead letters and trackers are unknown: {error}"
    if code == 200:
        return found
    why = found.get("error") or f"the API at {api} answers {code}"
    return f"lag, dead letters and trackers are unknown: {why}"


def _all_probed(services: dict[str, Any]) -> list[tuple[str, Any]]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(services) or 1) as threads:
        return list(zip(services, threads.map(_probe, services.values()), strict=True))


def _probe(service: dict[str, Any]) -> dict[str, Any]:
    """
    Return the facts of a process, corrected by what it says of itself.

    The supervisor knows that it has started and lives; whether it does its work now, only the process itself knows.
    """
    from gateway.client.query import ApiUnavailable, ask

    if service["state"] != "ready" or not service["metrics"]:
        return service
    base = service["metrics"].removesuffix("/metrics")
    try:
        for path, state in (("/healthz", "stuck"), ("/readyz", "waiting")):
            code, found = ask(base, path, PROBE_TIMEOUT_S)
            if code == 503:
                return service | {"state": state, "error": str(found.get("why", ""))}
    except ApiUnavailable:
        why = f"it does not answer at {base} within {PROBE_TIMEOUT_S:g} s"
        return service | {"state": "stuck", "error": why}
    return service


def _stack(home: Path | None) -> Stack:
    from gateway.local.stack import Stack

    return Stack(home)


def print_addresses(addresses: dict[str, Any]) -> None:
    """Print the addresses of a stack, one a line."""
    if not addresses:
        return
    names = {
        "dashboard": "dashboard",
        "mlflow": "MLflow",
        "kafka": "Kafka",
        "postgres": "PostgreSQL",
        "wandb_dir": "W&B files",
        "ingest": "HTTP ingest",
        "mlflow_door": "MLflow door",
    }
    for key, name in names.items():
        if addresses[key]:
            console().print(f"{name:<11} {addresses[key]}")


def print_services(facts: dict[str, Any], home: str | None = None) -> None:
    """Print the processes as a table."""
    from rich.table import Table

    idle = with_home("not running; start it with `gateway up`", home)
    console().print(f"{facts['home']}: {'running' if facts['running'] else idle}")
    if not facts["services"]:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("process", "state", "pid", "restarts", "up for", "last error"):
        table.add_column(title, overflow="fold")
    for name, service in facts["services"].items():
        uptime = service["uptime_s"]
        row = (service["state"], service["pid"] or "", service["restarts"], f"{uptime:.0f} s" if uptime else "")
        table.add_row(name, *map(str, row), service["error"])
    console().print(table)


def print_consumers(facts: dict[str, Any]) -> None:
    """Print the lag of each consumer, the dead letters, and each tracker."""
    if facts["running"] and facts["lag"] is None:
        console().print(f"consumers: {UNKNOWN}")
    for consumer, lag in lag_by_consumer(facts["lag"] or []).items():
        console().print(f"{consumer}: {UNKNOWN if lag is None else lag} records behind")
    if facts["running"]:
        count = UNKNOWN if facts["dead_letters"] is None else facts["dead_letters"]
        console().print(f"dead letters: {count}{_newest(facts['newest_dead_letter'])}")
    for delivery in facts["deliveries"] or []:
        see = f": see `gateway trackers show {delivery['tracker']}`"
        error = f", last error: {mask_unprintable(delivery['last_error'])}{see}" if delivery.get("last_error") else ""
        rereading = f", {delivery['behind']} rereading" if delivery.get("behind") else ""
        state = delivery.get("state", "running")
        line = f"{delivery['tracker']}: {state}, {delivery['runs']} runs, {delivery['parked']} parked{rereading}{error}"
        console().print(f"tracker {line}")


def lag_by_consumer(parts: list[dict[str, Any]]) -> dict[str, int | None]:
    """Return the records that each consumer is behind; None while that of any partition is unknown."""
    lags: dict[str, int | None] = {}
    for part in parts:
        name, lag = part["consumer"], part["lag"]
        before = lags.get(name, 0)
        lags[name] = None if lag is None or before is None else before + lag
    return lags


def _newest(letter: dict[str, Any] | None) -> str:
    """Describe the newest dead letter. Its reason may quote any bytes: unprintable characters are masked."""
    if letter is None:
        return ""
    reason = mask_unprintable(letter["reason"][:200])
    return f", newest {letter['id']} ({letter['kind']}: {reason}): see `gateway dead-letters list`"
