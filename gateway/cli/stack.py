"""
`gateway up | down | logs | demo`: the embedded stack of one home.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.status import print_addresses
from gateway.console import HomeOption, JsonOption, ShownProgress, console, print_json, print_notice, with_home
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.text import escape_lines

if TYPE_CHECKING:
    from gateway.local.stack import Stack

PortOption = Annotated[
    list[str] | None,
    typer.Option(
        "--port",
        metavar="NAME=N",
        help="Port of kafka, kafka-controller, postgres, mlflow, live, ingest, mlflow-door.",
    ),
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
    for command in (up, down, logs, demo):
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
    Start the stack: Kafka, PostgreSQL, MLflow, the consumers, the dashboard, HTTP ingest and the MLflow door.

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
    for line in stack.changed_settings():
        print_notice(f"gateway: {with_home(line, str(home) if home else None)}")
    out = console()
    out.print(f"ready after {monotonic() - started:.1f} s")
    print_addresses(found.shown)
    out.print(f"PostgreSQL's password is in {stack.home.folder / 'stack.json'}.")
    if found.mlflow_door:
        out.print(
            f"Code that calls MLflow writes here with MLFLOW_TRACKING_URI={found.mlflow_door} (its UI is there too)."
        )
    stop = with_home("`gateway down` stops it.", str(home) if home else None)
    out.print(f"Training code finds this stack {_how_found(home)}. {stop}")


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
    if not found:
        print_notice(with_home(f"no logs in {folder} yet: run `gateway up`", str(home) if home else None))
    prefix = len(found) > 1
    for text in last_lines(found, lines, prefix=prefix):
        print(escape_lines(text))
    if follow:
        for text in follow_logs(found, prefix=prefix):
            print(escape_lines(text), flush=True)


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
        if not (number.isdecimal() and len(number) <= 5 and 0 < int(number) < 65_536):
            raise BadSettings(f"--port {text} does not fit: write --port NAME=N, for example --port live=8700")
        ports[name] = int(number)
    return ports


def _how_found(home: Path | None) -> str:
    named = home or os.environ.get("GATEWAY_HOME")
    return f"with GATEWAY_HOME={shlex.quote(str(Path(named).absolute()))}" if named else "without any setting"
