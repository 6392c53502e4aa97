"""
`gateway views list | show | save | delete`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.cli.registry.shared import (
    LimitOption,
    TimeoutOption,
    complete_view,
    print_table,
    registry_of,
    time_text,
)
from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.errors import BadSettings, Refused
from schemas.runtime.text import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.client.registry.connection import Registry

SEARCHED_VIEWS = 1_000  # the newest, for near ids
app = typer.Typer(no_args_is_help=True, help="List, read, save and delete saved views of the dashboard.")

ViewArgument = Annotated[
    str, typer.Argument(help="Id of a view.", show_default=False, autocompletion=complete_view, metavar="VIEW")
]


@app.command("list")
def list_views(
    search: Annotated[str, typer.Option("--search", "-s", help="Only those whose name has these words.")] = "",
    view_type: Annotated[str | None, typer.Option("--type", help="Only those of this page.")] = None,
    state: Annotated[
        Literal["active", "deleted", "all"], typer.Option("--state", help="active, deleted or all.")
    ] = "active",
    limit: LimitOption = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List views, newest first, without what they hold.

    Examples: `gateway views list`, `gateway views list --search losses --type workspace --json`
    """
    from gateway.client.registry import saved

    found = list(saved.listed(registry_of(home), "views", limit, search=search, type=view_type, state=state))
    if as_json:
        print_json({"views": found})
    elif found:
        print_table(("id", "name", "type", "version", "saved (UTC)", "author"), _rows(found))
    else:
        print_notice("no views: save one with `gateway views save ID FILE`, or look at --state all")


@app.command()
def show(
    view: ViewArgument,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Default: the newest.")] = None,
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All facts, and not only what it holds.")] = False,
) -> None:
    """
    Print what a view holds, as JSON; `gateway views save` takes the same.

    Examples: `gateway views show losses > view.json`, `gateway views show losses --version 2 --json`
    """
    from gateway.client.registry import saved

    registry = registry_of(home)
    with _near_ids(registry, view):
        found = saved.read(registry, "views", view, version)
    print_json(found if as_json else found["body"])


@app.command()
def save(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    view: ViewArgument,
    file: Annotated[
        Path,
        typer.Argument(help="What it holds, a JSON object; - for stdin.", metavar="FILE", allow_dash=True),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Default: as before, or the id.")] = None,
    view_type: Annotated[str | None, typer.Option("--type", help="Which page it is of. Default: as before.")] = None,
    description: Annotated[str | None, typer.Option("--description", "-d", help="Default: as before.")] = None,
    based_on: Annotated[
        int | None, typer.Option("--based-on", min=0, help="Refuse if the newest version is another one; 0: if any.")
    ] = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Save a view under an id: a new one, or its next version.

    Examples: `gateway views save losses view.json --name "All losses" --type workspace`,
    `gateway views save losses view.json --based-on 3 --json`
    """
    from gateway.client.errors import NotFound
    from gateway.client.registry import saved

    body, registry = _read(file), registry_of(home)
    before: dict[str, Any] = {}
    with suppress(NotFound):
        before = saved.read(registry, "views", view)
    made = saved.save(
        registry, "views", view, name=name or before.get("name") or view, body=body,
        description=before.get("description", "") if description is None else description,
        type=before.get("type", "") if view_type is None else view_type, based_on=based_on, timeout_s=timeout_s,
    )  # fmt: skip
    if as_json:
        print_json(made)
    else:
        typer.echo(escape_unprintable(f"version {made['version']} of view {view}"))


@app.command()
def delete(
    view: ViewArgument, timeout_s: TimeoutOption = 30.0, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """
    Delete a view. Its versions can still be read, and saving it again has it back.

    Examples: `gateway views delete losses`, `gateway views delete losses --json`
    """
    from gateway.client.registry import saved

    registry = registry_of(home)
    with _near_ids(registry, view):
        saved.delete(registry, "views", view, timeout_s=timeout_s)
    if as_json:
        print_json({"id": view, "deleted": True})
    else:
        typer.echo(escape_unprintable(f"view {view} is deleted"))


@contextmanager
def _near_ids(registry: Registry, view: str) -> Iterator[None]:
    """Raise Refused, with near ids, where there is no such view."""
    from gateway.client.errors import NotFound
    from gateway.client.registry import saved
    from gateway.read.near import did_you_mean

    try:
        yield
    except NotFound:
        ids = [one["id"] for one in saved.listed(registry, "views", SEARCHED_VIEWS, state="all")]
        if view in ids:
            raise
        near = did_you_mean(view, [one for one in ids if view in one], ids)
        raise Refused(f"no view {view!r:.300}: {near or 'list the views with `gateway views list`'}") from None


def _rows(found: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    for one in found:
        yield one["id"], one["name"], one["type"], one["version"], time_text(one["time"]), one["author"]


def _read(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or in standard input for -. Raises BadSettings."""
    try:
        found = json.loads(typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadSettings(f"{file} cannot be read as JSON ({error}): name a file with a JSON object") from None
    if not isinstance(found, dict):
        raise BadSettings(f"{file} has no JSON object: write {{...}}")
    return found
