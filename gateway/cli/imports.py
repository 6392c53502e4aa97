"""
`gateway import magnus RUN_LOG.json...`: what other tools recorded, into the log.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from gateway.cli.runs import api_of
from gateway.cli.sync import SyncBar, address_of
from gateway.console import HomeOption, JsonOption, console, print_json, print_notice
from schemas.errors import BadSettings, LogUnavailable
from schemas.runtime.text import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.dialects.magnus.run_log_import import Outcome, Target

app = typer.Typer(no_args_is_help=True, help="Import runs that other tools recorded. Importing twice changes nothing.")

EXIT_FAILED = 2  # as for every other error


@app.callback()
def sources() -> None:
    """Keep the name of the source a word of the command line while there is only one."""


@app.command()
def magnus(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_LOG...",
            help="Run logs, folders of the chunked store, or folders that hold them (.run_log_store).",
            show_default=False,
            readable=False,  # checked one by one: one that cannot be read does not stop the others
        ),
    ],
    timezone: Annotated[
        str,
        typer.Option(help="Time zone of the run logs, such as Europe/Berlin: their times name none. Default: local."),
    ] = "",
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out fields that Magnus 0.5 does not have.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=0.1, help="Seconds to wait for Kafka's acknowledgement.")
    ] = 60.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Import run logs of Magnus 0.5: steps, attempts, metrics, parameters, data catalog, code identities, configuration.

    A run keeps its id and its times. Importing the same run log again changes nothing, also after a kill or from
    another machine. If Magnus has written more of a run since, its metrics are replaced and the rest is added. A file
    that cannot be imported is named with the reason, nothing of it is written, and the others go on.

    Examples: `gateway import magnus .run_log_store`, `gateway import magnus run-1.json run-2.json --timezone UTC`,
    `gateway import magnus .run_log_store --dry-run --json`
    """
    from gateway.dialects.magnus.run_log_import import Import

    zone = _zone(timezone)
    found, failed = _expand(places)
    work = Import(_target(home, timeout_s, is_dry=dry_run), zone, ignore_unknown=ignore_unknown)
    with SyncBar(is_shown=not as_json and len(found) > 1) as bar:
        _run(work, found, bar)
    if not dry_run and (problem := work.wait()):
        print_notice(f"gateway: {problem}")
    _report([*failed, *work.outcomes], is_dry=dry_run, as_json=as_json)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadSettings(f"--timezone {name!r:.100} is no time zone: give one such as Europe/Berlin") from error


def _target(home: Path | None, timeout_s: float, *, is_dry: bool) -> Target:
    from gateway.dialects.magnus.run_log_import import Target

    return Target() if is_dry else Target(address_of("", home), api_of(home), timeout_s)


def _expand(places: Sequence[Path]) -> tuple[list[Path], list[Outcome]]:
    """Return the run logs at these places, each once, and the outcomes of places without any."""
    from gateway.dialects.magnus.run_log_check import RunLogError
    from gateway.dialects.magnus.run_log_files import find_run_logs
    from gateway.dialects.magnus.run_log_import import Outcome

    found: dict[Path, None] = {}
    failed = []
    for place in places:
        try:
            found.update(dict.fromkeys(find_run_logs(place)))
        except RunLogError as error:
            failed.append(Outcome(str(place), error=str(error)))
    return list(found), failed


def _run(work: Any, places: Sequence[Path], bar: SyncBar) -> None:
    from gateway.client.errors import Unsent

    try:
        work.run(places, bar.move)
    except Unsent as error:
        step = f"{error.step}, and run this again" if error.step else "run this again"
        raise LogUnavailable(
            f"the log {error.what} ({error.why:.300}); not all run logs are in it: {step}: what it has counts once"
        ) from error


def _report(outcomes: Sequence[Outcome], *, is_dry: bool, as_json: bool) -> None:
    """Print what became of each file; if one failed, exit with an error."""
    for outcome in outcomes:
        if outcome.error:
            print_notice(f"gateway: {escape_unprintable(f'{outcome.file}: {outcome.error}')}")
    if as_json:
        print_json({"run_logs": [asdict(one) for one in outcomes]})
    else:
        _print(outcomes, is_dry=is_dry)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(EXIT_FAILED)


def _print(outcomes: Sequence[Outcome], *, is_dry: bool) -> None:
    counts = {
        state: sum(one.state == state for one in outcomes)
        for state in ("read", "imported", "updated", "unchanged", "failed")
    }
    shown = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    written = [one for one in outcomes if one.state in ("read", "imported", "updated")]
    events, points = sum(one.events for one in written), sum(one.points for one in written)
    tail = "; nothing is written" if is_dry else ""
    console().print(f"{len(outcomes):,} run logs: {shown or 'none'} ({events:,} events, {points:,} points){tail}")
