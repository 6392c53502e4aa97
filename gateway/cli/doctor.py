"""
`gateway doctor`: check everything that a stack needs, and name the next step for each problem.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from gateway.client.errors import ClientError
from gateway.console import HomeOption, JsonOption, console, print_json
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.text import mask_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.runtime.settings import Settings

EXIT_PROBLEMS = 1


class Check(NamedTuple):
    """The outcome of one check: what was found, or the problem and its next step."""

    name: str
    ok: bool
    detail: str


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(doctor)


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Check settings, Java, Kafka's jars, PostgreSQL's programs, pages, tokens, ports and every address.

    Exit code 1: there is a problem.

    Examples: `gateway doctor`, `gateway doctor --json`
    """
    from schemas.runtime.settings import Settings

    try:
        settings = Settings.load(home)
    except BadSettings as error:
        shown, checks = _descriptions(), [Check("settings", False, str(error)), *_software()]
    else:
        shown, checks = (
            masked(settings),
            [Check("settings", True, "all names are known"), *_software(), _tokens(settings), *_addresses(settings)],
        )
    ok = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": ok, "settings": shown, "checks": [check._asdict() for check in checks]})
    else:
        _print(shown, checks)
    raise typer.Exit(0 if ok else EXIT_PROBLEMS)


def masked(settings: Settings) -> dict[str, Any]:
    """Return every setting by name, with passwords replaced."""
    shown = settings.model_dump(mode="json")
    shown["postgres"] = mask_password(settings.postgres.get_secret_value())
    return {name: mask_password(value) if isinstance(value, str) else value for name, value in shown.items()}


def _descriptions() -> dict[str, Any]:
    """Return the meaning of every setting by name, for when the values cannot be read."""
    from schemas.runtime.settings import Settings

    return {name: field.description for name, field in Settings.model_fields.items()}


def _software() -> list[Check]:
    from gateway.local.servers.java import find_java
    from gateway.local.servers.postgres import binaries

    return [
        _check("java", lambda: "{0.path} (Java {0.major}, from {0.source})".format(find_java())),
        _check("kafka jars", _jars),
        _check("postgresql", lambda: str(binaries())),
        _check("dashboard", _pages),
    ]


def _pages() -> str:
    """Look at the files of the package, which an installation builds: the API is not imported here."""
    found = find_spec("consumers")
    folders = [] if found is None else found.submodule_search_locations or []
    if any(Path(folder, "live", "dashboard", "static", "index.html").is_file() for folder in folders):
        return "its pages are installed"
    return "no pages: installed with SKIP_UI=1; install again without it to have them"


def _tokens(settings: Settings) -> Check:
    from schemas.runtime.access.tokens import read_tokens

    path = settings.tokens_path
    return _check("tokens", lambda: f"{len(read_tokens(path))} in {path}")


def _jars() -> str:
    from gateway.local.servers.kafka_jars import cache_folder, damaged_jars, pinned_jars

    folder = cache_folder()
    if not folder.exists():
        return f"not downloaded yet to {folder}: run `gateway up`"
    if bad := damaged_jars(folder, full=True):
        raise BadSettings(
            f"{', '.join(jar.file for jar in bad)} in {folder} are damaged or missing: `gateway up` fetches them again"
        )
    return f"{len(pinned_jars())} intact jars in {folder}"


def _addresses(settings: Settings) -> list[Check]:
    from gateway.local.connectivity import check_kafka, check_mlflow, check_postgres
    from gateway.local.stack import Stack

    running = Stack(settings.home).status()["running"]
    shown = masked(settings)
    probes: list[tuple[str, str, Callable[[], None]]] = [
        ("kafka", settings.kafka, lambda: check_kafka(settings)),
        ("postgres", shown["postgres"], lambda: check_postgres(settings.postgres.get_secret_value())),
        ("mlflow", shown["mlflow_url"], lambda: check_mlflow(settings.mlflow_url)),
    ]
    if running:
        probes.append(("api", mask_password(settings.api), lambda: _ask_api(settings)))
    return [_ports(settings, running), *(_reach(*one, own=_own(settings), running=running) for one in probes)]


def _own(settings: Settings) -> dict[str, str]:
    """Return the addresses that the stack of this home serves."""
    from gateway.local.home import Home

    return {name: str(value) for name, value in Home(settings.home).read()["settings"].items()}


def _reach(name: str, address: str, probe: Callable[[], None], *, own: dict[str, str], running: bool) -> Check:
    if not address:
        return Check(name, True, "no address: `gateway up` starts one")
    if not running and address in {own.get("kafka"), own.get("mlflow_url"), mask_password(own.get("postgres", ""))}:
        return Check(
            name, True, f"{address} belongs to the stack of this home, which is not running: `gateway up` starts it"
        )

    def look() -> str:
        probe()
        return f"{address} answers"

    return _check(name, look)


def _ask_api(settings: Settings) -> None:
    from gateway.client.query import api_at, get

    get(api_at(settings.api, str(settings.home)), "/healthz")


def _ports(settings: Settings, running: bool) -> Check:
    from gateway.local.home import Home
    from gateway.local.ports import holder, is_free

    ports = Home(settings.home).read()["ports"]
    shown = ", ".join(f"{name} {port}" for name, port in ports.items()) or "chosen at the first `gateway up`"
    taken = {} if running else {name: port for name, port in ports.items() if not is_free(port)}
    if taken:
        who = "; ".join(f"{port} for {name} is taken by {holder(port)}" for name, port in taken.items())
        return Check("ports", False, f"{who}: end that process, or run `gateway up --new-ports`")
    return Check("ports", True, shown)


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except (TrackingError, ClientError) as error:
        return Check(name, False, str(error))


def _print(shown: dict[str, Any], checks: list[Check]) -> None:
    out = console()
    out.print("settings (environment GATEWAY_<NAME>, then gateway.toml, then the stack of this home)", style="bold")
    for name, value in shown.items():
        out.print(f"  {name} = {'' if value is None else value}")
    out.print("\nchecks", style="bold")
    for check in checks:
        out.print(f"  {'ok     ' if check.ok else 'PROBLEM'} {check.name}: {check.detail}")
