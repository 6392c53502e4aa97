"""
`gateway replay`: deliver history to a tracker, all of it or some runs, resuming where an earlier replay stopped.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
everything is delivered, 1 when runs are parked, 2 when a service or a setting stops it, 75 when calls to the tracker
hang (run the same command to continue), 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import WarningLines, console, print_json, print_line, print_notice
from consumers.cli.trackers import complete_tracker

if TYPE_CHECKING:
    from consumers.delivery.replay.plan import ReplayPlan
    from consumers.delivery.replay.replay import ReplayProgress, ReplayRequest
    from schemas.runtime.settings import Settings

LINE_EVERY_S = 5.0  # between two lines of progress without a terminal
REFRESH_S = 0.2
EXIT_PARKED, EXIT_STOPPED = 1, 130


def replay(  # noqa: PLR0913, PLR0917  # one an option
    to: Annotated[
        str, typer.Option("--to", help="Name of the tracker.", metavar="NAME", autocompletion=complete_tracker)
    ],
    run: Annotated[list[str] | None, typer.Option("--run", help="Id of a run; may be given again.")] = None,
    where: Annotated[
        str, typer.Option("--where", "-w", help="Runs that match this filter; see `gateway runs list`.")
    ] = "",
    since: Annotated[str, typer.Option("--since", help="Runs created then or later: 2026-11-21T08:00, UTC.")] = "",
    until: Annotated[str, typer.Option("--until", help="Runs created before then.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="The whole log; with --follow, future runs too.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new events until Ctrl-C.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    throttle: Annotated[
        float | None, typer.Option("--throttle", min=1, help="Maximum points per second.", metavar="N")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Deliver history to a tracker: every value at its original time and step.

    A replay uses the checkpoints of the live delivery. If it is stopped or killed, run the same command to continue;
    running it again after it has finished changes nothing. A delivery that starts later continues where the replay
    ended, without gap or overlap. While a delivery to this tracker runs, that process does the work, and this command
    only shows progress. Runs are sent whole: from the log, and from PostgreSQL if the log has lost records of them.

    Examples: `gateway replay --to mlflow --all`, `gateway replay --to mlflow --run r1 --run r2 --dry-run`,
    `gateway replay --to wandb --where "tags.team = 'x'" --since 2026-11-01 --throttle 50000`
    """
    from consumers.delivery.replay.replay import ReplayRequest
    from consumers.delivery.replay.selection import RunSelection
    from schemas.runtime.settings import Settings

    choice = RunSelection(tuple(run or ()), where, since, until, everything)
    choice.check()
    settings = Settings.load(home)
    if dry_run:
        with redirect_stdout(sys.stderr):
            found = asyncio.run(_plan(settings, to, choice))
        _print_plan(found, as_json=as_json)
        return
    raise typer.Exit(_replay(settings, to, ReplayRequest(choice, follow, throttle or float("inf")), as_json=as_json))


def _replay(settings: Settings, name: str, request: ReplayRequest, *, as_json: bool) -> int:
    """Replay until it is complete or stopped, print what was delivered, and return the exit status."""
    started = time.monotonic()
    with _Display() as display, redirect_stdout(sys.stderr):  # a plug-in may print: stdout carries facts only
        progress = asyncio.run(_until_done(settings, name, request, display))
    _print_outcome(progress, name, time.monotonic() - started, as_json=as_json)
    if not progress.is_complete and not request.follow:
        display.print_notice("stopped: run the same command to continue")
        return EXIT_STOPPED
    return EXIT_PARKED if progress.parked else 0


async def _plan(settings: Settings, name: str, choice: Any) -> ReplayPlan:
    from consumers.delivery.replay.plan import plan
    from consumers.delivery.service import connected

    async with connected(settings, name, print_notice) as services:
        return await plan(services, choice)


async def _until_done(settings: Settings, name: str, request: ReplayRequest, display: _Display) -> ReplayProgress:
    from consumers.delivery.background import DRAIN_S, background, run_until_stopped
    from consumers.delivery.replay.replay import Replay, ReplayProgress
    from consumers.delivery.service import connected
    from consumers.materialiser.gc_tuning import tune_gc

    progress, stopping = ReplayProgress(), asyncio.Event()

    async def work() -> None:
        async with connected(settings, name, display.print_notice) as services:
            tune_gc()
            await Replay(services, request, stopping, progress, display.print_notice).run()

    async with background(display.watch(progress)):
        is_done = await run_until_stopped(work(), stopping, is_idle=lambda: progress.state == "starting")
    if not is_done:
        display.print_notice(f"a call did not finish within {DRAIN_S} s: the same command repeats it")
        os._exit(EXIT_STOPPED)
    return progress


class _Display:
    """A bar with rate and time left at a terminal, a line every few seconds elsewhere. All of it on stderr."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console = console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._bar = self._bars.add_task("starting", total=None, rate="")
        self._handler = WarningLines(self.print_notice)

    def __enter__(self) -> _Display:
        self._bars.start()
        logging.getLogger("consumers").addHandler(self._handler)
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # repeats every attempt while Kafka is away
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("consumers").removeHandler(self._handler)
        self._bars.stop()

    def print_notice(self, line: str) -> None:
        """Print one line above the bar; nothing for an empty one."""
        if line:
            self._bars.console.print(f"gateway: {line}")

    async def watch(self, progress: ReplayProgress) -> None:
        """Show how far the replay is until cancelled."""
        next_line = time.monotonic() + LINE_EVERY_S
        rate = Rate()
        while True:
            state, speed = progress.state[:60], rate.describe(progress, time.monotonic())
            self._bars.update(
                self._bar, description=state, completed=progress.done, total=progress.total or None, rate=speed
            )
            if not self._console.is_terminal and time.monotonic() >= next_line:
                next_line += LINE_EVERY_S
                self.print_notice(f"{state}: {progress.done:,} of {progress.total:,}, {speed}")
            await asyncio.sleep(REFRESH_S)


class Rate:
    """Records and points a second, smoothed over the last seconds."""

    def __init__(self) -> None:
        self._at, self._records, self._points = 0.0, 0, 0
        self._speeds = (0.0, 0.0)

    def describe(self, progress: ReplayProgress, now: float) -> str:
        """Return the speed at `now` (monotonic, s) as text; "" while another process does the work."""
        if progress.is_watching:
            return ""
        passed = now - self._at
        if self._at and passed > 0:
            fresh = ((progress.records - self._records) / passed, (progress.points - self._points) / passed)
            self._speeds = tuple(0.9 * old + 0.1 * new for old, new in zip(self._speeds, fresh, strict=True))  # type: ignore[assignment]  # mypy loses the length
        self._at, self._records, self._points = now, progress.records, progress.points
        return f"{self._speeds[0]:,.0f} records/s, {self._speeds[1]:,.0f} points/s"


def _print_plan(found: ReplayPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    print_line(f"would send {found.tracker}: {found.runs:,} runs, {found.records:,} records, {found.points:,} points")
    if found.from_postgresql:
        print_line(f"  {found.from_postgresql:,} of the runs come from PostgreSQL: {found.why}")
    for run_id, points in found.without_points.items():
        print_line(f"  without {points:,} points that retention dropped and the log has lost: run {run_id}")
    for run_id in found.impossible:
        print_line(
            f"  impossible: run {run_id}: the log lost what the tracker lacks, and the tracker cannot remove the rest"
        )
    if found.parked:
        print_line(f"  {found.parked:,} runs stay parked: see `gateway trackers show {found.tracker}`")
    for loss in found.cannot_hold:
        print_line(f"  not held: {loss}")


def _print_outcome(progress: ReplayProgress, name: str, seconds: float, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "tracker": name, "complete": progress.is_complete, "runs": progress.runs, "parked": progress.parked,
            "records": progress.records, "points": progress.points, "seconds": round(seconds, 3),
            "from_postgresql": progress.histories.done, "without_points": dict(progress.without_points),
            "done_by_another_process": progress.is_watching,
        }  # fmt: skip
        print_json(facts)
        return
    amount = f"{progress.records:,} records, {progress.points:,} points"
    amount = "another process delivered it" if progress.is_watching else amount
    selection = "the whole log" if progress.runs is None else f"{progress.runs:,} runs"
    state = "delivered" if progress.is_complete else "in part"
    print_line(f"{name}: {selection} {state}: {amount}, {seconds:.1f} s")
    if progress.histories.done:
        print_line(f"{progress.histories.done:,} runs came from PostgreSQL: the log has lost records of them")
    for run_id, points in progress.without_points.items():
        print_line(f"without {points:,} points that retention dropped and the log has lost: run {run_id}")
    if progress.parked:
        print_line(f"{progress.parked:,} runs are parked: see `gateway trackers show {name}`")
