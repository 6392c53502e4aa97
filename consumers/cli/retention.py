"""
`gateway retention show | drop`: show what PostgreSQL keeps of each month, and drop the points of old months.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
everything that was asked for is done, 1 when a month was left because one of its runs is running, 2 when PostgreSQL
cannot be reached or the arguments do not fit, 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.database import connected_database
from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import confirm, console, print_json, print_line, print_notice
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.store.maintenance.retention import Month, Retention

EXIT_LEFT = 1
RETRY_S = (0.5, 8.0)  # first and longest wait for readers: each try blocks every other query for half a second

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Show and drop what PostgreSQL keeps of each month. Only `gateway retention drop` deletes; the log keeps all.",
)


@app.command()
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show runs, points and bytes of each month, and what was dropped. A run belongs to the month of its first event, UTC.

    Examples: `gateway retention show`, `gateway retention show --json | jq .kept_bytes`
    """

    async def ask() -> list[Month]:
        async with _retention(Settings.load(home)) as retention:
            return await retention.months()

    months = asyncio.run(ask())
    if as_json:
        kept = sum(one.bytes for one in months if one.kept)
        print_json({"months": [_document(one) for one in months], "kept_bytes": kept})
    else:
        _print_table(months)


@app.command()
def drop(
    before: Annotated[
        str, typer.Option("--before", help="Drop the points of all months before this one.", metavar="YYYY-MM")
    ],
    even_running: Annotated[bool, typer.Option("--even-running", help="Also months that have a running run.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be dropped.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Drop the metric points of old months from PostgreSQL, for good: DROP TABLE, so the space is free at once.

    Runs, parameters and tags stay, and so do the count, last, lowest and highest value of each series. Run logs say
    that the points were dropped. A rebuild leaves them out, too. The log and all trackers keep every point.

    Examples: `gateway retention drop --before 2026-08 --dry-run`,
    `gateway retention drop --before 2026-08 --yes --json`
    """
    from consumers.store.write.months import month_text, parse_month

    limit, settings = parse_month(before), Settings.load(home)
    now = datetime.now(UTC)
    if limit > (this := now.year * 100 + now.month):
        raise BadSettings(f"--before {month_text(limit)} is in the future: {month_text(this)} is the latest")
    months = asyncio.run(_droppable(settings, limit))
    left = [one for one in months if one.running and not even_running]
    chosen = [one for one in months if one not in left]
    if chosen and not dry_run:
        if not yes:
            _confirm(chosen)
        done = asyncio.run(_drop(settings, [one.month for one in chosen], even_running=even_running))
        left += [one for one in chosen if one.month not in {dropped.month for dropped in done}]  # a run began meanwhile
        chosen = done
    _print_outcome(chosen, left, month_text(limit), dry_run=dry_run, as_json=as_json)
    raise typer.Exit(EXIT_LEFT if left else 0)


async def _droppable(settings: Settings, limit: int) -> list[Month]:
    from consumers.store.write.months import UNKNOWN

    async with _retention(settings) as retention:
        months = await retention.months()
    return sorted(one for one in months if one.kept and UNKNOWN < one.month < limit)


async def _drop(settings: Settings, months: list[int], *, even_running: bool) -> list[Month]:
    """Drop month by month, oldest first, each in its own transaction, and return the months that were dropped."""
    from consumers.store.maintenance.rebuild import Busy

    done: list[Month] = []
    async with _retention(settings) as retention:
        for month in months:
            is_reported, wait_s = False, RETRY_S[0]
            while True:
                try:
                    if (one := await retention.drop(month, even_running=even_running)) is not None:
                        done.append(one)
                    break
                except Busy as busy:
                    if not is_reported and (blockers := await retention.blockers()):
                        print_notice(f"{busy}: waiting for {', '.join(blockers)}")
                        is_reported = True
                    await asyncio.sleep(wait_s)
                    wait_s = min(RETRY_S[1], wait_s * 2)
    return done


def _confirm(chosen: list[Month]) -> None:
    points = sum(one.points for one in chosen)
    question = f"Drop {points:,} points of {len(chosen)} months for good?"
    confirm(question, instead="--yes, or --dry-run to see what would be dropped")


@asynccontextmanager
async def _retention(settings: Settings) -> AsyncIterator[Retention]:
    from consumers.store.maintenance.retention import Retention

    async with connected_database(settings, application_name="gateway retention") as database:
        yield Retention(database, lost_after_s=settings.lost_after_s)


def _document(one: Month) -> dict[str, Any]:
    from consumers.store.write.months import month_text

    facts = {**one._asdict(), "month": month_text(one.month)}
    return {**facts, "dropped": one.dropped.astimezone(UTC).isoformat() if one.dropped else None}


def _print_table(months: list[Month]) -> None:
    from rich.table import Table

    from consumers.store.write.months import month_text

    out = console()
    if not months:
        out.print("No runs yet.")
        return
    table = Table()
    for column in ("month", "runs", "points", "MB", "state"):
        table.add_column(column, justify="left" if column in ("month", "state") else "right")
    for one in months:
        megabytes = f"{one.bytes / 1e6:,.1f}"
        table.add_row(month_text(one.month), f"{one.runs:,}", f"{one.points:,}", megabytes, _state(one))
    out.print(table)
    out.print("Drop the points of old months with `gateway retention drop --before YYYY-MM`.")


def _state(one: Month) -> str:
    if one.dropped is not None:
        late = f"; {one.late_points:,} late points not kept" if one.late_points else ""
        return f"dropped {one.dropped.astimezone(UTC):%Y-%m-%d %H:%M} UTC{late}"
    if not one.kept:
        return "no points"
    unknown = "" if one.month else "; no believable date: never dropped"
    return f"kept{f', {one.running:,} running' if one.running else ''}{unknown}"


def _print_outcome(chosen: list[Month], left: list[Month], limit: str, *, dry_run: bool, as_json: bool) -> None:
    from consumers.store.write.months import month_text

    if as_json:
        dropped, running = [_document(one) for one in chosen], [_document(one) for one in left]
        print_json({"dry_run": dry_run, "dropped": dropped, "left_running": running})
        return
    if not chosen and not left:
        print_line(f"Nothing to drop: no points of months before {limit} are kept.")
    for one in chosen:
        did = "would drop" if dry_run else "dropped"
        facts = f"{one.runs:,} runs, {one.points:,} points, {one.bytes / 1e6:,.1f} MB"
        print_line(f"{did} {month_text(one.month)}: {facts}")
    for one in left:
        print_line(f"left {month_text(one.month)}: one of its runs is running; --even-running drops it anyway")
