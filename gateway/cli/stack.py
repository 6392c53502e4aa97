"""
`gateway up | down | status | logs | demo`: the embedded stack of one home.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.console import HomeOption, JsonOption, ShownProgress, console, print_json, print_notice
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from gateway.local.stack import Stack

PortOption = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="NAME=N", help="Port of kafka, kafka-controller, postgres, mlflow, live or ingest."),
]


def _complete_log(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of a log."""
    try:
        logs = _stack(ctx.params.get("home")).home.logs
    except TrackingError:
        return []  # completion must not print errors into the command line
    return sorted(path.stem for path in logs.glob(f"{incomplete}*.log"))


LogArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name of a process in `gateway status`, or supervisor. Default: all.", autocompletion=_complete_log
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (up, down, status, logs, demo):
        app.command()(command)


def up(
    home: HomeOption = None,
    port: PortOption = None,
    new_ports: Annotated[
        bool, typer.Option("--new-ports", help="Choose free ports again instead of the remembered ones.")
    ] = False,
    timeout_s: Annotated[float, typer.Option(help="Seconds to wait until everything serves.")] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """
    Start the stack: Kafka, PostgreSQL, MLflow, the consumers, the dashboard and HTTP ingest.

    The first start downloads Kafka (45 MB). Data, ports and logs stay in the home, so a second stack only needs another
    --home. With an address in GATEWAY_KAFKA, GATEWAY_POSTGRES or GATEWAY_MLFLOW_URL (or gateway.toml), that server is
    used and none is started. In a stack that runs already, services that were given up are retried.

    Examples: `gateway up`, `gateway up --home ./stack-2`, `gateway up --port live=8700`
    """
    from time import monotonic

    stack = _stack(home)
    started = monotonic()
    with ShownProgress() as progress:
        found = stack.up(progress=progress, ports=_named_ports(port), new_ports=new_ports, timeout_s=timeout_s)
    if as_json:
        print_json(stack.status())
        return
    out = console()
    out.print(f"ready after {monotonic() - started:.1f} s")
    _print_addresses(found.shown)
    out.print(f"PostgreSQL's password is in {stack.home.folder / 'stack.json'}.")
    here = f" --home {home}" if home else ""
    out.print(f"Training code finds this stack {_how_found(home)}. `gateway down{here}` stops it.")


def down(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Stop every process of the stack. The data stays.

    Example: `gateway down`
    """
    stack = _stack(home)
    ended = stack.down()
    if as_json:
        print_json({"home": str(stack.home.folder), "ended": ended})
    else:
        console().print("stopped; the data stays in" if ended else "nothing is running in", str(stack.home.folder))


def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show each process, the lag of each consumer, dead letters, and the trackers.

    Examples: `gateway status`, `gateway status --json`
    """
    facts = full_status(_stack(home))
    if as_json:
        print_json(facts)
        return
    _print_services(facts)
    _print_addresses(facts["addresses"])
    _print_consumers(facts)


def full_status(stack: Stack) -> dict[str, Any]:
    """Return the state of the processes, and what the API knows of the consumers: None while it does not answer."""
    from gateway.client.errors import ClientError
    from gateway.client.query import api_at, get

    facts = stack.status()
    consumers: dict[str, Any] = {"lag": None, "dead_letters": None, "newest_dead_letter": None, "deliveries": None}
    if facts["running"]:
        try:
            found = get(api_at(facts["addresses"]["dashboard"], str(stack.home.folder)), "/v1/status")
            consumers = {name: found.get(name) for name in consumers}
        except ClientError as error:
            print_notice(f"gateway: {error}")
    return facts | consumers


def logs(
    name: LogArgument = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep printing new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Lines of each log to print first.")] = 50,
    home: HomeOption = None,
) -> None:
    """
    Print the logs of the processes of the stack.

    Examples: `gateway logs kafka`, `gateway logs -f`, `gateway logs materialiser -n 200`
    """
    from gateway.local.logs import follow_logs, last_lines

    folder = _stack(home).home.logs
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if name is not None:
        if name not in found:
            step = f"choose from {', '.join(found)}" if found else "run `gateway up` first"
            raise BadSettings(f"no log {name} in {folder}: {step}")
        found = {name: found[name]}
    prefix = len(found) > 1
    for text in last_lines(found, lines, prefix=prefix):
        print(text)
    if follow:
        for text in follow_logs(found, prefix=prefix):
            print(text, flush=True)


def demo(
    home: HomeOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the stack running at the end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Demonstrate everything end to end: start a stack, train real models, and read every number back from each place.

    Examples: `gateway demo`, `gateway demo --keep`, `gateway demo --json > facts.json`
    """
    from gateway.local.demo.demo import run_demo

    raise typer.Exit(run_demo(home, keep, as_json))


def _stack(home: Path | None) -> Stack:
    from gateway.local.stack import Stack

    return Stack(home)


def _named_ports(texts: list[str] | None) -> dict[str, int]:
    ports = {}
    for text in texts or []:
        name, _, number = text.partition("=")
        if not number.isdigit() or not 0 < int(number) < 65_536:
            raise BadSettings(f"--port {text} does not fit: write --port NAME=N, for example --port live=8700")
        ports[name] = int(number)
    return ports


def _how_found(home: Path | None) -> str:
    return f"with GATEWAY_HOME={home.absolute()}" if home else "without any setting"


def _print_addresses(addresses: dict[str, Any]) -> None:
    if not addresses:
        return
    names = {
        "dashboard": "dashboard",
        "mlflow": "MLflow",
        "kafka": "Kafka",
        "postgres": "PostgreSQL",
        "wandb_dir": "W&B files",
        "ingest": "HTTP ingest",
    }
    for key, name in names.items():
        console().print(f"{name:<11} {addresses[key]}")


def _print_services(facts: dict[str, Any]) -> None:
    from rich.table import Table

    console().print(f"{facts['home']}: {'running' if facts['running'] else 'not running; start it with `gateway up`'}")
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


def _print_consumers(facts: dict[str, Any]) -> None:
    lags: dict[str, int] = {}
    for part in facts["lag"] or []:
        lags[part["consumer"]] = lags.get(part["consumer"], 0) + (part["lag"] or 0)
    for consumer, lag in lags.items():
        console().print(f"{consumer}: {lag} records behind")
    if facts["dead_letters"] is not None:
        console().print(f"dead letters: {facts['dead_letters']}{_newest(facts['newest_dead_letter'])}")
    for delivery in facts["deliveries"] or []:
        see = f": see `gateway trackers show {delivery['tracker']}`"
        error = f", last error: {mask_unprintable(delivery['last_error'])}{see}" if delivery.get("last_error") else ""
        state = delivery.get("state", "running")
        line = f"{delivery['tracker']}: {state}, {delivery['runs']} runs, {delivery['parked']} parked{error}"
        console().print(f"tracker {line}")


def _newest(letter: dict[str, Any] | None) -> str:
    """Describe the newest dead letter. Its reason may quote any bytes: unprintable characters are masked."""
    if letter is None:
        return ""
    reason = mask_unprintable(letter["reason"][:200])
    return f", newest {letter['id']} ({letter['kind']}: {reason}): see `gateway dead-letters list`"
