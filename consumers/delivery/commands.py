"""
`gateway verify`: prove that every tracker holds what PostgreSQL holds.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
all places are equal, 1 when they differ, 2 when a place cannot be read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.command_options import HomeOption, JsonOption

if TYPE_CHECKING:
    from consumers.delivery.verification import Verified

SHOWN_DIFFERENCES = 20


def verify(
    to: Annotated[
        list[str] | None, typer.Option("--to", help="Tracker to verify. Default: those of GATEWAY_TRACKERS.")
    ] = None,
    run: Annotated[list[str] | None, typer.Option("--run", help="Id of a run. Default: all runs.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only runs of this group.")] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait at most until all is delivered.", metavar="SECONDS")
    ] = 0.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read runs back from PostgreSQL and from each tracker, and compare: counts, checksums, parameters, status."""
    from rich.console import Console
    from rich.progress import Progress

    from consumers.delivery.verification import Wanted
    from consumers.delivery.verification import verify as compare_places
    from schemas.settings import Settings

    told = Console(stderr=True, highlight=False, soft_wrap=True)
    settings = Settings.load(home)
    with Progress(console=told, transient=True, disable=not told.is_terminal) as bars:
        bar = bars.add_task("waiting for deliveries" if wait else "reading back", total=None)
        wanted = Wanted(to or (), run or (), group)
        verified = asyncio.run(
            compare_places(
                settings,
                wanted,
                wait_s=wait,
                progress=lambda done, total: bars.update(bar, description="reading back", completed=done, total=total),
            )
        )
    if verified.caught_up is False:
        told.print("gateway: not all of the log is delivered yet: see `gateway status`, or use --wait", markup=False)
    if as_json:
        print(_document(verified), file=sys.stdout)  # noqa: T201  # facts for programs
    else:
        _print_table(verified)
    raise typer.Exit(1 if verified.differences else 0)


def _document(verified: Verified) -> str:
    facts = {
        "places": {name: facts.to_json() for name, facts in verified.places.items()},
        "differences": [difference.to_json() for difference in verified.differences],
        "caught_up": verified.caught_up,
        "counts_only": verified.counts_only,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)


def _print_table(verified: Verified) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False, soft_wrap=True)
    table = Table()
    for column in ("place", "runs", "points", "params", "checksum"):
        table.add_column(column, justify="left" if column in ("place", "checksum") else "right")
    for name, facts in verified.places.items():
        table.add_row(name, f"{facts.runs:,}", f"{facts.points:,}", f"{facts.params:,}", facts.checksum)
    out.print(table)
    if verified.counts_only:
        out.print(
            f"{len(verified.counts_only)} runs are compared by number of points and not by value, and the checksums "
            "of the places differ by them: their points were dropped from PostgreSQL (`gateway retention show`)."
        )
    if not verified.differences:
        out.print("Every place holds the same.", style="green")
        return
    out.print(f"{len(verified.differences)} differences:", style="red")
    for difference in verified.differences[:SHOWN_DIFFERENCES]:
        out.print(f"  {difference}", markup=False)
    if len(verified.differences) > SHOWN_DIFFERENCES:
        out.print(f"  ... and {len(verified.differences) - SHOWN_DIFFERENCES} more, all of them with --json")
