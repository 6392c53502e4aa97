"""
`gateway trackers list | show | retry | pause | resume | remove`: how each tracker stands, and what to do about it.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. A delivery obeys
within a second; what is ordered while none runs holds for the next one. Exit status: 0 when everything asked for is so,
1 when some of it could not be done, 2 when a service cannot be reached or the question does not fit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import confirm, print_json, print_line, require_terminal, say
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.settings import Settings
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from consumers.delivery.status import Standing
    from consumers.store.delivery.orders import RunDelivery, Trackers
    from consumers.store.pool import Database

T = TypeVar("T")
SHOWN = 20

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="How each tracker stands, and what to do about it.",
)


def complete_tracker(ctx: Any, incomplete: str) -> list[str]:
    """Offer the names of the trackers there are."""
    from consumers.delivery.status import known_names

    try:
        names = known_names(Settings.load(ctx.params.get("home")))
    except TrackingError:
        return []  # a shell that waits for a completion is no place for an error
    return [name for name in names if name.startswith(incomplete)]


def _complete_run(ctx: Any, incomplete: str) -> list[str]:
    """Offer runs of the tracker that was named, parked ones first."""
    try:
        settings, name = Settings.load(ctx.params.get("home")), str(ctx.params.get("name") or "")
        _, runs = _with(settings, lambda trackers, _: trackers.runs(name, None, 200))
    except TrackingError:
        return []
    return [run.run_id for run in runs if run.run_id.startswith(incomplete)]


NameArgument = Annotated[
    str, typer.Argument(help="Name of a tracker, as `list` prints it.", metavar="NAME", autocompletion=complete_tracker)
]


@app.command("list")
def list_trackers(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    List trackers: their runs, how far they are behind the log, their state and last error.

    Examples: `gateway trackers list`, `gateway trackers list --json | jq '.trackers[] | select(.parked > 0)'`
    """
    from consumers.delivery.status import standings

    settings = Settings.load(home)
    found = _with(settings, lambda _, database: standings(settings, database))
    if as_json:
        print_json({"trackers": [one.to_json() for one in found]})
    else:
        _print_table(found)


@app.command()
def show(
    name: NameArgument,
    run: Annotated[
        str | None, typer.Argument(help="Id of a run.", metavar="[RUN]", autocompletion=_complete_run)
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="Runs to show.")] = SHOWN,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show one tracker, what it cannot hold, and its runs: parked ones first, each with its reason. Or one run of it.

    Examples: `gateway trackers show mlflow`, `gateway trackers show mlflow r1 --json`
    """
    from consumers.delivery.status import standings

    settings = Settings.load(home)
    _known(settings, name)

    async def ask(trackers: Trackers, database: Database) -> tuple[Standing, int, list[RunDelivery]]:
        (standing,) = await standings(settings, database, name)
        return standing, *await trackers.runs(name, run, limit)

    standing, total, runs = _with(settings, ask)
    if run is not None and not runs:
        raise BadSettings(f"tracker {name} has nothing of run {run}: see its runs with `gateway trackers show {name}`")
    losses = _losses(settings, name)
    if as_json:
        print_json(standing.to_json() | {"cannot_hold": losses, "total": total, "shown": [_document(r) for r in runs]})
    elif run is not None:
        _print_run(runs[0])
    else:
        _print_tracker(standing, losses, total, runs)


@app.command()
def retry(
    name: NameArgument,
    runs: Annotated[
        list[str] | None, typer.Argument(help="Ids of parked runs.", metavar="[RUN]...", autocompletion=_complete_run)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All parked runs of this tracker.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Take parked runs up again: each goes on exactly where it stopped, while the others go on.

    Examples: `gateway trackers retry mlflow r1 r2`, `gateway trackers retry mlflow --all`
    """
    if bool(runs) == everything:
        raise BadSettings(f"name runs, or all with --all: see them with `gateway trackers show {name}`")
    settings = Settings.load(home)
    _known(settings, name)
    taken = _with(settings, lambda trackers, _: trackers.retry(name, runs or None))
    left = sorted({*(runs or ())} - {*taken})
    if as_json:
        print_json({"tracker": name, "retried": taken, "not_parked": left})
    else:
        print_line(f"taken up again: {len(taken)}")
        for one in left:
            print_line(f"  not parked: {one}")
    raise typer.Exit(1 if left else 0)


@app.command()
def pause(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Hold back everything for one tracker. The log keeps it; calls under way end. It holds until `resume`.

    Example: `gateway trackers pause mlflow`
    """
    _set_paused(home, name, paused=True, as_json=as_json)


@app.command()
def resume(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Let a paused tracker go on where it was.

    Example: `gateway trackers resume mlflow`
    """
    _set_paused(home, name, paused=False, as_json=as_json)


@app.command()
def remove(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Forget how far a tracker is. What it holds stays there; a later delivery brings the whole history again.

    Its delivery must not run: take it out of GATEWAY_TRACKERS and start the stack again first.

    Example: `gateway trackers remove mlflow --yes`
    """
    settings = Settings.load(home)
    _known(settings, name)
    total, _ = _with(settings, lambda trackers, _: trackers.runs(name, None, 1))
    stays = f"the {total:,} runs that {name} itself holds stay there: delete them with its own means"
    if not yes:
        require_terminal("--yes")
        say(stays)
        confirm(f"Forget how far {name} is with {total:,} runs?", instead="--yes")
    forgotten = _with(settings, lambda trackers, _: trackers.forget(name))
    if forgotten is None:
        raise BadSettings(
            f"a process delivers to {name} now: take {name} out of GATEWAY_TRACKERS and start the stack again, "
            "or end the replay, first"
        )
    if as_json:
        print_json({"tracker": name, "forgotten_runs": forgotten, "stays": stays})
    else:
        print_line(f"forgotten: {name}, {forgotten:,} runs; {stays}")


def _set_paused(home: Path | None, name: str, *, paused: bool, as_json: bool) -> None:
    settings = Settings.load(home)
    _known(settings, name)
    _with(settings, lambda trackers, _: trackers.pause(name, paused))
    if as_json:
        print_json({"tracker": name, "paused": paused})
    else:
        outcome = f"is paused: continue with `gateway trackers resume {name}`" if paused else "continues"
        print_line(f"{name} {outcome}")


def _known(settings: Settings, name: str) -> None:
    """Raise BadSettings when nothing is known of this name."""
    from consumers.delivery.status import known_names

    names = known_names(settings)
    if name in names:
        return
    seen = [one.tracker for one in _with(settings, lambda trackers, _: trackers.overview())]
    if name not in seen:
        raise BadSettings(f"there is no tracker {name!r}: choose one of {', '.join(sorted({*names, *seen}))}")


def _losses(settings: Settings, name: str) -> list[str] | None:
    """Return what a tracker cannot hold; None when its code cannot be loaded here."""
    from consumers.delivery.plugins.describe import losses

    try:
        return losses(settings, name)
    except BadSettings as error:
        say(str(error))
        return None


def _with(settings: Settings, question: Callable[[Trackers, Database], Awaitable[T]]) -> T:
    async def ask() -> T:
        from consumers.store.delivery.orders import Trackers
        from consumers.store.migrations import migrate
        from consumers.store.pool import open_database

        dsn = settings.need("postgres").strip()
        database = await open_database(dsn, size=1)
        try:
            await migrate(database)
            return await question(Trackers(database), database)
        finally:
            database.terminate()

    return asyncio.run(ask())


def _document(run: RunDelivery) -> dict[str, Any]:
    return run._asdict() | {"updated": round(run.updated.timestamp() * 1e6)}


def _print_table(found: list[Standing]) -> None:
    from rich.console import Console
    from rich.table import Table

    from consumers.delivery.status import lag_words, state_words

    if not found:
        print_line("There are no trackers: name some in GATEWAY_TRACKERS.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("tracker", "state", "runs", "parked", "behind", "for", "last error"):
        table.add_column(title, overflow="fold", justify="right" if title in ("runs", "parked", "behind") else "left")
    for status, lag in found:
        error = _safe(status.last_error)
        table.add_row(
            status.tracker, state_words(status), f"{status.runs:,}", f"{status.parked:,}", *lag_words(lag), error
        )
    Console(highlight=False, markup=False).print(table)


def _print_tracker(standing: Standing, losses: list[str] | None, total: int, runs: list[RunDelivery]) -> None:
    from consumers.delivery.status import lag_words, state_words

    status = standing.status
    records, seconds = lag_words(standing.lag)
    print_line(f"tracker   {status.tracker}")
    print_line(f"state     {state_words(status)}")
    print_line(f"behind    {records} records{f', the oldest {seconds} old' if seconds else ''}")
    print_line(
        f"runs      {status.runs:,}: {status.parked:,} parked, {status.waiting:,} waiting, "
        f"{status.behind:,} read again, {status.in_doubt:,} in doubt"
    )
    if status.last_error:
        print_line(f"error     {_safe(status.last_error)}")
    for loss in losses or ():
        print_line(f"not held  {loss}")
    for run in runs:
        print_line(f"{run.status:<10}  {_safe(run.run_id)}{f': {_safe(run.error)}' if run.error else ''}")
    if total > len(runs):
        print_line(f"{len(runs)} of {total:,} runs; --limit shows more.")
    if status.parked:
        print_line(f"Try parked runs again with `gateway trackers retry {status.tracker} RUN...`, or --all.")


def _has(run: RunDelivery) -> str:
    from consumers.store.delivery.history import HISTORY

    if run.next_offset < HISTORY:
        return f"has       everything below offset {run.next_offset} of partition {run.partition}"
    return f"has       {run.next_offset - HISTORY} events of its history, which comes from PostgreSQL"


def _print_run(run: RunDelivery) -> None:
    attempt = f"call {run.attempt} for what comes next has no result yet" if run.attempt else "nothing under way"
    lines = [
        f"run       {run.run_id}",
        f"status    {run.status}{', read again from its own offset' if run.behind else ''}",
        f"error     {run.error}" if run.error else "",
        _has(run),
        f"intent    {attempt}",
        f"skipped   {run.skipped} records that can never be decoded",
        f"state     {json.dumps(run.state, ensure_ascii=False)}",
        f"updated   {run.updated:%Y-%m-%d %H:%M:%S} UTC",
    ]
    for line in filter(None, lines):
        print_line(_safe(line))


def _safe(text: str) -> str:
    """Return text that others wrote without what could steer a terminal, and not longer than a screen holds."""
    return mask_unprintable(text)[:2_000]
