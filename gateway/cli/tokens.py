"""
`gateway tokens create | list | revoke`: who may use the servers of this home.

The commands change the file of the tokens. Servers that use the same file follow within a second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from schemas.runtime.access.tokens import Token

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke tokens of the servers.")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})([mhdw])")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what gets it.", show_default=False)],
    scope: Annotated[
        str, typer.Option("--scope", "-s", help="What it is for: emit, read, write, admin, separated by commas.")
    ],
    experiment: Annotated[
        list[str] | None,
        typer.Option("--experiment", "-e", help="Only runs of this experiment, any number of times."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="30m, 12h, 90d, 8w, or a time such as 2027-01-31 (UTC). Default: never.")
    ] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Create a token and print it. It is shown only now: the file keeps its hash.

    emit: record runs and upload artifacts. read: everything that is stored. write: change and delete runs (tags, notes,
    parameters, names, trash), experiments, models, views and rules of alerts, and mute rules. admin: all of these, and
    what has no other scope.

    Examples: `gateway tokens create ci --scope emit --expires 90d`,
    `gateway tokens create anna --scope read,write --experiment digits`
    """
    from schemas.runtime.access.identity import SCOPES
    from schemas.runtime.access.tokens import create_token

    given = [one.strip() for one in scope.split(",") if one.strip()]
    if unknown := [one for one in given if one not in SCOPES]:
        raise BadSettings(f"scope {unknown[0]!r:.100}: write some of {','.join(SCOPES)}, separated by commas")
    scopes = [one for one in SCOPES if one in given]
    token, text = create_token(
        _path(home), name, scopes, experiments=experiment or None, expires=_end(expires, datetime.now(UTC))
    )
    if as_json:
        print_json({**token.document(), "token": text})
        return
    print_notice(f"token {name} ({', '.join(scopes)}); it is shown only now:")
    print(text)


@app.command("list")
def list_tokens(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the tokens, also those that expired or were revoked."""
    from schemas.runtime.access.tokens import read_tokens

    found = list(read_tokens(_path(home)).values())
    if as_json:
        print_json({"tokens": [one.document() for one in found]})
    elif found:
        from gateway.cli.registry.shared import print_table

        titles = ("name", "id", "scopes", "experiments", "created (UTC)", "expires (UTC)", "state")
        print_table(titles, [_row(one) for one in found])
    else:
        print_notice("no tokens: create one with `gateway tokens create NAME --scope read`")


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(help="Name or id of a token.", show_default=False)],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token: servers refuse it, and the sessions that began with it, within a second."""
    from schemas.runtime.access.tokens import revoke_token

    found = revoke_token(_path(home), token)
    if as_json:
        print_json(found.document())
    else:
        print_notice(f"token {found.name} ({found.id}) is revoked")


def _path(home: Path | None) -> Path:
    from schemas.runtime.settings import Settings

    return Settings.load(home).tokens_path


def _end(text: str, now: datetime) -> datetime | None:
    """Return when a token expires. Raises BadSettings."""
    if not text:
        return None
    try:
        if match := _DURATION.fullmatch(text.strip()):
            end = now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            found = datetime.fromisoformat(text.strip())
            end = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadSettings(f"expires {text!r:.100}: write 30m, 12h, 90d, 8w, or a time such as 2027-01-31") from None
    if end <= now:
        raise BadSettings(f"expires {text!r:.100} is in the past: write a later time")
    return end


def _row(token: Token) -> tuple[str, ...]:
    shown = token.document()
    experiments = "all" if token.experiments is None else ", ".join(token.experiments)
    expires = (token.expires or "never")[:16].replace("T", " ")
    created = token.created[:16].replace("T", " ")
    return token.name, token.id, ", ".join(token.scopes), experiments, created, expires, str(shown["state"])
