"""
`gateway verify`: prove that every tracker holds what PostgreSQL holds, and bring what is missing.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
all places are equal, 1 when they differ, 2 when a place cannot be read or the call does not fit, 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import console, print_json, say
from consumers.cli.trackers import complete_tracker

if TYPE_CHECKING:
    from consumers.delivery.verify.repair import Repaired
    from consumers.delivery.verify.verify import Verified, Wanted
    from schemas.runtime.settings import Settings

EXIT_DIFFERENT, EXIT_STOPPED = 1, 130


def verify(
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="Tracker to verify; may be given again. Default: those of GATEWAY_TRACKERS.",
            metavar="NAME",
            autocompletion=complete_tracker,
        ),
    ] = None,
    run: Annotated[list[str] | None, typer.Option("--run", help="Id of a run. Default: all runs.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only runs of this group.")] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait at most until all is delivered.", metavar="SECONDS")
    ] = 0.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Bring runs that differ again from the log, then compare once more.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all-differences", help="Print all differences, not the first of each run.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Read runs back from PostgreSQL and from each tracker, and compare them value by value.

    Of each series the number of points, the first, the last and a checksum of all steps, times and values; of each run
    parameters, tags, status, start and end. What a tracker cannot hold by its nature is listed apart and fails
    nothing. Exit status: 0 all places are equal; 1 they differ; 2 a place cannot be read, or the call does not fit;
    130 after Ctrl-C.

    Examples: `gateway verify`, `gateway verify --to mlflow --run r1`, `gateway verify --wait 60 --json | jq .equal`,
    `gateway verify --to parquet --repair`
    """
    from rich.progress import Progress

    from consumers.delivery.verify.report import document, print_report
    from consumers.delivery.verify.verify import Wanted
    from schemas.runtime.settings import Settings

    told = console(stderr=True)
    settings = Settings.load(home)
    with Progress(console=told, transient=True, disable=not told.is_terminal) as bars:
        work = _Work(settings, Wanted(to or (), run or (), group), bars)
        with redirect_stdout(sys.stderr):  # a plug-in may print: facts alone go to stdout
            verified, repaired = asyncio.run(work.run(wait, repair=repair))
    if verified.caught_up is False:
        say("not all of the log is delivered yet: see `gateway status`, or use --wait")
    if as_json:
        print_json(document(verified, repaired))
    else:
        print_report(verified, repaired, everything=everything)
    raise typer.Exit(EXIT_DIFFERENT if verified.differences else 0)


class _Work:
    """Compare, repair, compare, with a bar."""

    def __init__(self, settings: Settings, wanted: Wanted, bars: Any) -> None:
        self._settings, self._wanted, self._bars = settings, wanted, bars
        self._bar = bars.add_task("starting", total=None)
        self._stopping = asyncio.Event()
        self._can_stop = False

    async def run(self, wait_s: float, *, repair: bool) -> tuple[Verified, Repaired | None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        verified = await self._compare(wait_s)
        if not repair or not verified.differences:
            return verified, None
        from consumers.delivery.verify.repair import repair_differences

        self._can_stop = True
        self._show("repairing", 0, None)
        repaired = await repair_differences(self._settings, verified, self._stopping, self._show, self._say)
        if self._stopping.is_set():
            self._say("stopped: the same command goes on where this one was")
            self._exit()
        self._can_stop = False
        verified = await self._compare(0.0)
        repaired.look_again(verified)
        return verified, repaired

    async def _compare(self, wait_s: float) -> Verified:
        from consumers.delivery.verify.verify import verify as compare_places

        self._show("waiting for deliveries" if wait_s else "reading back", 0, None)
        return await compare_places(
            self._settings, self._wanted, wait_s=wait_s, progress=lambda done, of: self._show("reading back", done, of)
        )

    def _show(self, what: str, done: int, total: int | None) -> None:
        self._bars.update(self._bar, description=what, completed=done, total=total)

    def _say(self, line: str) -> None:
        if line:
            self._bars.console.print(f"gateway: {line}", markup=False)

    def _stop(self) -> None:
        if self._can_stop and not self._stopping.is_set():
            self._stopping.set()  # what was begun is ended; a second time it is not
            return
        self._say("stopped: nothing was changed" if not self._can_stop else "stopped")
        self._exit()

    def _exit(self) -> None:
        self._bars.stop()
        sys.stdout.flush()
        os._exit(EXIT_STOPPED)  # Python would wait for threads that still read a tracker
