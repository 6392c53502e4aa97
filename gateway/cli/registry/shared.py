"""
What the commands of the registry share: options, completion of names, tags in arguments, and output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.runs import api_of
from gateway.cli.sync import address_of
from gateway.console import console, print_json
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.text import escape_unprintable, mask_unprintable

if TYPE_CHECKING:
    from gateway.client.registry.connection import Registry

COMPLETED = 200  # names offered
WIDE = 160  # width in characters where there is no terminal
LAST_US = 253_402_300_799_000_000  # µs: the last second of the year 9999

TimeoutOption = Annotated[float, typer.Option("--timeout-s", min=0.1, help="Seconds to wait for the decision.")]
LimitOption = Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="How many to show.")]
WhereOption = Annotated[str, typer.Option("--where", "-w", help="Only those that match this filter.")]
DescriptionOption = Annotated[str, typer.Option("--description", "-d", help="Text for people.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", "-t", help="A tag, any number of times.", metavar="KEY=VALUE")
]
TagsArgument = Annotated[
    list[str] | None, typer.Argument(help="Tags to set.", metavar="[KEY=VALUE]...", show_default=False)
]
DeleteTagOption = Annotated[
    list[str] | None, typer.Option("--delete", help="Remove the tag, any number of times.", metavar="KEY")
]


def registry_of(home: Any) -> Registry:
    """Return where requests go and where answers come from. An address to write to is needed with the first request."""
    from gateway.client.registry.connection import Registry

    return Registry(lambda: address_of("", home), api_of(home))


def complete_experiment(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name or the id of an experiment."""
    found = _listed(ctx, "/v1/experiments", "experiments", state="all")
    words = [word for one in found for word in (one["name"], one["experiment_id"])]
    return [word for word in words if word.startswith(incomplete)]


def complete_model(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of a model."""
    return [one["name"] for one in _listed(ctx, "/v1/models", "models") if one["name"].startswith(incomplete)]


def complete_view(ctx: Any, incomplete: str) -> list[str]:
    """Complete the id of a view."""
    return [one["id"] for one in _listed(ctx, "/v1/views", "views") if one["id"].startswith(incomplete)]


def _listed(ctx: Any, path: str, rows: str, **parameters: Any) -> list[dict[str, Any]]:
    from gateway.client.errors import ClientError
    from gateway.client.query import get

    try:
        return list(get(api_of(ctx.params.get("home")), path, limit=COMPLETED, **parameters)[rows])
    except (TrackingError, ClientError):
        return []  # completion must not print errors into the command line


def read_tags(words: Iterable[str] | None) -> dict[str, str]:
    """Return tags that are written KEY=VALUE; the value may be empty. Raises BadSettings."""
    found: dict[str, str] = {}
    for word in words or ():
        key, is_given, value = word.partition("=")
        if not (is_given and key):
            raise BadSettings(f"{word!r:.100} is not a tag: write KEY=VALUE")
        found[key] = value
    return found


def print_result(result: Any, line: str, *, as_json: bool) -> None:
    """Print what a command changed: its document, or one line."""
    if as_json:
        print_json(result.to_document())
    else:
        typer.echo(escape_unprintable(line))


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print name and value of each fact that is not empty, one a line."""
    for name, value in facts:
        if value not in ("", None):
            console().print(f"{name:<12} {escape_unprintable(str(value))}")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under titles. The first column is never cut, because people copy it."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.width = out.width if out.is_terminal else WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold" if number == 0 else "ellipsis", no_wrap=number > 0)
    for row in rows:
        table.add_row(*[Text(mask_unprintable(str(cell))) for cell in row])
    out.print(table)


def tags_text(tags: Any) -> str:
    """Return tags as one text."""
    return ", ".join(f"{name}={value}" for name, value in sorted(tags.items()))


def time_text(time_us: int) -> str:
    """Return a time in UTC, as run logs show it and filters take it."""
    return datetime.fromtimestamp(min(time_us, LAST_US) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
