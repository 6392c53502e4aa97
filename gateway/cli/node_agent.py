"""
`gateway agent`: be the node agent of a journal home, and say which agents there are.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, Any

import typer

from gateway.console import HomeOption, JsonOption, console, print_json
from schemas.errors import BadSettings, LogUnavailable

STOP_TIMEOUT_S = 15.0
POLL_S = 0.05

app = typer.Typer(
    invoke_without_command=True,
    help="Ship the journals of all trainings of this host: one process, one connection.",
)


@app.callback()
def agent(
    ctx: typer.Context,
    idle_s: Annotated[float, typer.Option(min=0.0, help="Seconds without work after which it ends; 0: never.")] = 0.0,
    home: HomeOption = None,
) -> None:
    """
    Ship the journals of all trainings of this user and journal home, in the foreground: for systemd, a DaemonSet or a
    sidecar.

    Without this command, the first training that needs an agent starts one, which ends after a minute without work.
    Address and credentials are those that training code finds: GATEWAY_URL, gateway.toml, the local stack.

    Examples: `gateway agent`, `gateway agent status --json`, `gateway agent stop`
    """
    if ctx.invoked_subcommand is not None:
        return
    _set_home(home)
    from gateway.client.agent.running import run_here

    raise typer.Exit(run_here(idle_s=idle_s))


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show the agents of this user's journal home: process, release, number of journals that each has.

    Examples: `gateway agent status`, `gateway agent status --json`
    """
    _set_home(home)
    found = _agents()
    if as_json:
        print_json({"agents": found})
        return
    out = console()
    if not found:
        out.print("no agent: the next training starts one where GATEWAY_AGENT is auto, on or require")
    for one in found:
        shared = ", for all containers" if one["shared"] else ""
        out.print(
            f"agent {one['id']}, process {one['pid']} on {one['host']}, release {one['release']}{shared}: "
            f"{one['journals']:,} journals"
        )


@app.command()
def stop(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    End the agents of this user's journal home. Trainings ship by themselves then, or start another agent.

    Examples: `gateway agent stop`
    """
    _set_home(home)
    from gateway.client.process.owner import is_alive

    stopped = []
    for one in _agents():
        if not is_alive(one):
            raise BadSettings(f"agent {one['id']} runs on {one['host']}, or in another container: stop it there")
        os.kill(one["pid"], signal.SIGTERM)
        stopped.append(one)
    deadline = monotonic() + STOP_TIMEOUT_S
    while any(is_alive(one) for one in stopped):
        if monotonic() > deadline:
            raise LogUnavailable(f"the agent did not end within {STOP_TIMEOUT_S:.0f} s: send SIGKILL, which is safe")
        sleep(POLL_S)
    if as_json:
        print_json({"stopped": [one["pid"] for one in stopped]})
    else:
        console().print(f"{len(stopped)} agents stopped")


def _set_home(home: Path | None) -> None:
    if home is not None:
        os.environ["GATEWAY_HOME"] = str(home)


def _agents() -> list[dict[str, Any]]:
    """Return who the living agents of the journal home are. Raises BadSettings."""
    from gateway.client.agent.place import living_agents
    from gateway.client.journal.folder import find_journals, journal_home
    from gateway.client.journal.grants import find_grant
    from gateway.client.stack_file import NoHome

    try:
        journals = journal_home()
    except NoHome as error:
        raise BadSettings(f"{error}: set GATEWAY_JOURNAL_DIR, or GATEWAY_HOME") from error
    kept = ("id", "pid", "started", "host", "boot", "space", "release", "protocol", "time", "shared", "idle_s")
    found = [{name: state.get(name) for name in kept} for state in living_agents(journals)]
    for one in found:
        one["journals"] = sum(bool(find_grant(folder, str(one["id"]))) for folder in find_journals(journals))
    return found
