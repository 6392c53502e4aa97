"""
`gateway trackers list | show | retry | pause | resume | remove`: show the state of each tracker, and change it.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. A delivery
carries out an order within a second; an order given while none runs holds for the next one. Exit status: 0 when
everything that was asked for is done, 1 when some of it could not be done, 2 when a service cannot be reached or the
arguments do not fit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from consumers.cli.database import connected_database
from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import confirm, console, print_json, print_line, print_notice, require_terminal
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.settings import Settings
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from consumers.delivery.status import TrackerStatus
    from consumers.store.delivery.orders import RunDelivery, Trackers
    from consumers.store.pool import Database

T = TypeVar("T")
SHOWN_RUNS = 20

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Show the state of each tracker; retry, pause, resume or remove it.",
)


def complete_tracker(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of a tracker."""
    from consumers.delivery.status import known_names

    try:
        names = known_names(Settings.load(ctx.params.get("home")))
    except TrackingError:
        return []  # completion must not print errors into the command line
    return [name for name in names if name.startswith(incomplete)]


def _complete_run(ctx: Any, incomplete: str) -> list[str]:
    """Complete the id of a run of the tracker named before it, parked ones first."""
    try:
        settings, name = Settings.load(ctx.params.get("home")), str(ctx.params.get("name") or "")
        _, runs = _query(settings, lambda trackers, _: trackers.runs(name, None, 200))
    except TrackingError:
        return []
    return [run.run_id for run in runs if run.run_id.startswith(incomplete)]


NameArgument = Annotated[
    str, typer.Argument(help="Name of a tracker, as `list` prints it.", metavar="NAME", autocompletion=complete_tracker)
]


@app.command("list")
def list_trackers(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    List trackers: state, runs, lag behind the log, and last error.

    Examples: `gateway trackers list`, `gateway trackers list --json | jq '.trackers[] | select(.parked > 0)'`
    """
    from consumers.delivery.status import tracker_statuses

    settings = Settings.load(home)
    found = _query(settings, lambda _, database: tracker_statuses(settings, database))
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
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="Runs to show.")] = SHOWN_RUNS,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show one tracker, what it cannot hold, and its runs: parked ones first, each with its reason. Or show one run.

    Examples: `gateway trackers show mlflow`, `gateway trackers show mlflow r1 --json`
    """
    from consumers.delivery.status import tracker_statuses

    settings = Settings.load(home)
    _check_name(settings, name)

    async def ask(trackers: Trackers, database: Database) -> tuple[TrackerStatus, int, list[RunDelivery]]:
        (standing,) = await tracker_statuses(settings, database, name)
        return standing, *await trackers.runs(name, run, limit)

    standing, total, runs = _query(settings, ask)
    if run is not None and not runs:
        raise BadSettings(f"tracker {name} does not know run {run}: see its runs with `gateway trackers show {name}`")
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
    Retry parked runs: each continues exactly where it stopped. Other runs are not affected.

    Examples: `gateway trackers retry mlflow r1 r2`, `gateway trackers retry mlflow --all`
    """
    if bool(runs) == everything:
        raise BadSettings(f"name runs, or give --all: see them with `gateway trackers show {name}`")
    settings = Settings.load(home)
    _check_name(settings, name)
    taken = _query(settings, lambda trackers, _: trackers.retry(name, runs or None))
    left = sorted({*(runs or ())} - {*taken})
    if as_json:
        print_json({"tracker": name, "retried": taken, "not_parked": left})
    else:
        print_line(f"retried: {len(taken)}")
        for one in left:
            print_line(f"  not parked: {one}")
    raise typer.Exit(1 if left else 0)


@app.command()
def pause(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Pause deliveries to one tracker until `resume`. The log keeps every event; calls in progress finish first.

    Example: `gateway trackers pause mlflow`
    """
    _set_paused(home, name, paused=True, as_json=as_json)


@app.command()
def resume(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Resume deliveries to a paused tracker where they stopped.

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
    Forget the checkpoints of a tracker. What it holds stays there; a later delivery sends the whole history again.

    No delivery to it may run: take it out of GATEWAY_TRACKERS and restart the stack first.

    Example: `gateway trackers remove mlflow --yes`
    """
    settings = Settings.load(home)
    _check_name(settings, name)
    total, _ = _query(settings, lambda trackers, _: trackers.runs(name, None, 1))
    stays = f"the {total:,} runs that {name} holds stay there: delete them with its own tools"
    if not yes:
        require_terminal("--yes")
        print_notice(stays)
        confirm(f"Forget the checkpoints of {total:,} runs of {name}?", instead="--yes")
    forgotten = _query(settings, lambda trackers, _: trackers.forget(name))
    if forgotten is None:
        raise BadSettings(
            f"a process delivers to {name} now: take {name} out of GATEWAY_TRACKERS and restart the stack, "
            "or end the replay, first"
        )
    if as_json:
        print_json({"tracker": name, "forgotten_runs": forgotten, "stays": stays})
    else:
        print_line(f"forgotten: {name}, {forgotten:,} runs; {stays}")


def _set_paused(home: Path | None, name: str, *, paused: bool, as_json: bool) -> None:
    settings = Settings.load(home)
    _check_name(settings, name)
    _query(settings, lambda trackers, _: trackers.pause(name, paused))
    if as_json:
        print_json({"tracker": name, "paused": paused})
    else:
        outcome = f"is paused: continue with `gateway trackers resume {name}`" if paused else "continues"
        print_line(f"{name} {outcome}")


def _check_name(settings: Settings, name: str) -> None:
    """Raise BadSettings when no tracker of this name is set, installed or in PostgreSQL."""
    from consumers.delivery.status import known_names

    names = known_names(settings)
    if name in names:
        return
    seen = [one.tracker for one in _query(settings, lambda trackers, _: trackers.overview())]
    if name not in seen:
        raise BadSettings(f"there is no tracker {name!r}: choose one of {', '.join(sorted({*names, *seen}))}")


def _losses(settings: Settings, name: str) -> list[str] | None:
    """Return what a tracker cannot hold; None, after a notice, when its code cannot be loaded here."""
    from consumers.delivery.plugins.describe import losses

    try:
        return losses(settings, name)
    except BadSettings as error:
        print_notice(str(error))
        return None


def _query(settings: Settings, question: Callable[[Trackers, Database], Awaitable[T]]) -> T:
    """Return the answer to one question, over a connection of its own. Raises StoreUnavailable and StoreRefused."""

    async def ask() -> T:
        from consumers.store.delivery.orders import Trackers
        from consumers.store.migrations import migrate

        async with connected_database(settings) as database:
            await migrate(database)
            return await question(Trackers(database), database)

    return asyncio.run(ask())


def _document(run: RunDelivery) -> dict[str, Any]:
    return run._asdict() | {"updated": round(run.updated.timestamp() * 1e6)}


def _print_table(found: list[TrackerStatus]) -> None:
    from rich.table import Table

    from consumers.delivery.status import lag_text, state_text

    if not found:
        print_line("There are no trackers: name some in GATEWAY_TRACKERS.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("tracker", "state", "runs", "parked", "behind", "for", "last error"):
        table.add_column(title, overflow="fold", justify="right" if title in ("runs", "parked", "behind") else "left")
    for one in found:
        status, error = one.status, _safe(one.status.last_error)
        table.add_row(
            status.tracker, state_text(status), f"{status.runs:,}", f"{status.parked:,}", *lag_text(one), error
        )
    console().print(table, soft_wrap=False)  # folds long errors within their column


def _print_tracker(standing: TrackerStatus, losses: list[str] | None, total: int, runs: list[RunDelivery]) -> None:
    from consumers.delivery.status import lag_text, state_text

    status = standing.status
    records, seconds = lag_text(standing)
    print_line(f"tracker   {status.tracker}")
    print_line(f"state     {state_text(status)}")
    if status.follows:
        print_line(f"behind    {records} records{f', the oldest {seconds} old' if seconds else ''}")
    print_line(
        f"runs      {status.runs:,}: {status.parked:,} parked, {status.waiting:,} waiting, "
        f"{status.behind:,} rereading, {status.in_doubt:,} in doubt"
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


def _delivered(run: RunDelivery) -> str:
    """Describe how much of a run the tracker has."""
    from consumers.store.delivery.history import HISTORY

    if run.next_offset < HISTORY:
        return f"has       everything below offset {run.next_offset} of partition {run.partition}"
    return f"has       {run.next_offset - HISTORY} events of its history, which is delivered from PostgreSQL"


def _print_run(run: RunDelivery) -> None:
    intent = f"call {run.attempt} for the next events has no result yet" if run.attempt else "no call in progress"
    lines = [
        f"run       {run.run_id}",
        f"status    {run.status}{', rereading from its own offset' if run.behind else ''}",
        f"error     {run.error}" if run.error else "",
        _delivered(run),
        f"intent    {intent}",
        f"skipped   {run.skipped} records that can never be decoded",
        f"state     {json.dumps(run.state, ensure_ascii=False)}",
        f"updated   {run.updated:%Y-%m-%d %H:%M:%S} UTC",
    ]
    for line in filter(None, lines):
        print_line(_safe(line))


def _safe(text: str) -> str:
    """Return text that others wrote without what could steer a terminal, and not longer than a screen holds."""
    return mask_unprintable(text)[:2_000]
