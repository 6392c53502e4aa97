"""
`gateway verify`: prove that every tracker holds what PostgreSQL holds, and deliver again what is missing.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
it is proved that all places hold the same, 1 when they differ, 2 when a place cannot be read or the arguments do not
fit, 3 when nothing differs and something is not proved, 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import console, print_json, print_notice
from consumers.cli.trackers import complete_tracker

if TYPE_CHECKING:
    from consumers.delivery.verify.repair import RepairResult
    from consumers.delivery.verify.verify import VerifyResult, VerifyScope
    from schemas.runtime.settings import Settings

EXIT_DIFFERENT, EXIT_UNPROVED, EXIT_STOPPED = 1, 3, 130


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
        float, typer.Option("--wait", min=0, help="Wait at most this many seconds for deliveries.", metavar="SECONDS")
    ] = 0.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Deliver runs that differ again from the log, then compare once more.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all-differences", help="Print all differences, not only the first of each run.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Read runs back from PostgreSQL and from each tracker, and compare them value by value.

    For each series: the number of points, the first, the last, and a checksum of all steps, times and values. For
    each run: name, tag, experiment, status, start, end, parameters, tags, labels, note, artifacts, observations and
    console lines. What a tracker cannot hold by design, or does not return, is listed separately and does not count as
    a difference. Exit status: 0 it is proved that all places hold the same; 1 they differ; 2 a place cannot be read, or
    the arguments do not fit; 3 nothing differs, but the log is not delivered to its end, cannot be reached, lacks
    records, or has dead letters; 130 after Ctrl-C.

    Examples: `gateway verify`, `gateway verify --to mlflow --run r1`, `gateway verify --wait 60 --json | jq .equal`,
    `gateway verify --to parquet --repair`
    """
    from consumers.delivery.verify.report import document, print_report
    from consumers.delivery.verify.verify import VerifyScope

    verified, repaired = _verify(home, VerifyScope(to or (), run or (), group), wait_s=wait, repair=repair)
    for one in verified.unproved:
        if one.what == "log":
            print_notice(one.reason)
    if as_json:
        print_json(document(verified, repaired))
    else:
        print_report(verified, repaired, everything=everything)
    if verified.differences:
        raise typer.Exit(EXIT_DIFFERENT)
    raise typer.Exit(0 if verified.is_proved else EXIT_UNPROVED)


def _verify(
    home: Path | None, scope: VerifyScope, *, wait_s: float, repair: bool
) -> tuple[VerifyResult, RepairResult | None]:
    from rich.progress import Progress

    from schemas.runtime.settings import Settings

    stderr = console(stderr=True)
    settings = Settings.load(home)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bars:
        verification = _Verification(settings, scope, bars)
        with redirect_stdout(sys.stderr):  # a plug-in may print: stdout carries facts only
            return asyncio.run(verification.run(wait_s, repair=repair))


class _Verification:
    """Compare, repair what differs if asked to, and compare again; a bar shows how far it is."""

    def __init__(self, settings: Settings, scope: VerifyScope, bars: Any) -> None:
        self._settings, self._scope, self._bars = settings, scope, bars
        self._bar = bars.add_task("starting", total=None)
        self._stopping = asyncio.Event()
        self._can_stop = False  # whether a signal ends the repair in order; otherwise it ends the process

    async def run(self, wait_s: float, *, repair: bool) -> tuple[VerifyResult, RepairResult | None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        verified = await self._compare(wait_s)
        if not repair or not verified.differences:
            return verified, None
        from consumers.delivery.verify.repair import repair_differences

        self._can_stop = True
        self._show_progress("repairing", 0, None)
        repaired = await repair_differences(
            self._settings, verified, self._stopping, self._show_progress, self._print_notice
        )
        if self._stopping.is_set():
            self._print_notice("stopped: run the same command to continue")
            self._leave()
        self._can_stop = False
        verified = await self._compare(0.0)
        repaired.add_unchanged(verified)
        return verified, repaired

    async def _compare(self, wait_s: float) -> VerifyResult:
        from consumers.delivery.verify.verify import verify as compare_places

        def show(done: int, total: int) -> None:
            self._show_progress("reading back", done, total)

        self._show_progress("waiting for deliveries" if wait_s else "reading back", 0, None)
        return await compare_places(self._settings, self._scope, wait_s=wait_s, progress=show)

    def _show_progress(self, what: str, done: int, total: int | None) -> None:
        self._bars.update(self._bar, description=what, completed=done, total=total)

    def _print_notice(self, line: str) -> None:
        if line:
            self._bars.console.print(f"gateway: {line}")

    def _on_signal(self) -> None:
        if self._can_stop and not self._stopping.is_set():
            self._stopping.set()  # the repair in progress is finished first; a second signal does not wait for it
            return
        self._print_notice("stopped: nothing was changed" if not self._can_stop else "stopped")
        self._leave()

    def _leave(self) -> None:
        self._bars.stop()
        sys.stdout.flush()
        os._exit(EXIT_STOPPED)  # Python would wait for threads that still read a tracker
