"""
`gateway agent`: be the node agent of a journal home, and say which agents there are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.console import HomeOption, JsonOption, console, print_json
from schemas.errors import BadSettings

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
    from gateway.client.agent.stopping import stop_agents

    stopped, elsewhere = stop_agents(_journals())
    if as_json:
        print_json({"stopped": stopped, "elsewhere": [one["id"] for one in elsewhere]})
    else:
        console().print(f"{len(stopped)} agents stopped")
    if elsewhere:
        one = elsewhere[0]
        raise BadSettings(f"agent {one['id']} runs on {one['host']}, or in another container: stop it there")


def _set_home(home: Path | None) -> None:
    if home is not None:
        os.environ["GATEWAY_HOME"] = str(home)


def _journals() -> str:
    """Return the journal home. Raises BadSettings."""
    from gateway.client.journal.folder import journal_home
    from gateway.client.stack_file import NoHome

    try:
        return journal_home()
    except NoHome as error:
        raise BadSettings(f"{error}: set GATEWAY_JOURNAL_DIR, or GATEWAY_HOME") from error


def _agents() -> list[dict[str, Any]]:
    """Return who the living agents of the journal home are. Raises BadSettings."""
    from gateway.client.agent.place import living_agents
    from gateway.client.journal.folder import find_journals
    from gateway.client.journal.grants import find_grant

    journals = _journals()
    kept = ("id", "pid", "host", "release", "protocol", "time", "shared", "idle_s")
    found = [{name: state.get(name) for name in kept} for state in living_agents(journals)]
    for one in found:
        one["journals"] = sum(bool(find_grant(folder, str(one["id"]))) for folder in find_journals(journals))
    return found
