"""
`gateway replay`: bring history to a tracker, all of it or some runs, and go on where an earlier replay stopped.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
everything is delivered, 1 when runs are parked, 2 when a service or a setting stops it, 75 when calls to the tracker
hang (the same command goes on), 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import WarningLines, console, print_json, print_line, say
from consumers.cli.trackers import complete_tracker

if TYPE_CHECKING:
    from consumers.delivery.replay.plan import Plan
    from consumers.delivery.replay.replay import Told, Wish
    from schemas.runtime.settings import Settings

DRAIN_S = 4.5
LINE_EVERY_S = 5.0  # without a terminal
LOOK_S = 0.2
EXIT_PARKED, EXIT_STOPPED = 1, 130


def replay(  # noqa: PLR0913, PLR0917  # one an option
    to: Annotated[
        str, typer.Option("--to", help="Name of the tracker.", metavar="NAME", autocompletion=complete_tracker)
    ],
    run: Annotated[list[str] | None, typer.Option("--run", help="Id of a run; may be given again.")] = None,
    where: Annotated[str, typer.Option("--where", "-w", help="Runs of which this holds, as `gateway runs list`.")] = "",
    since: Annotated[str, typer.Option("--since", help="Runs that began then or later: 2026-11-21T08:00, UTC.")] = "",
    until: Annotated[str, typer.Option("--until", help="Runs that began before.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="The whole log, also runs to come with --follow.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    throttle: Annotated[
        float | None, typer.Option("--throttle", min=1, help="At most so many points a second.", metavar="N")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Bring history to a tracker: every value at its original time and step.

    It keeps the checkpoints of the live delivery. Stopped or killed, the same command goes on where it was; run again,
    it changes nothing; a delivery that is started later goes on where it ended, without gap or overlap. While a
    delivery to this tracker runs, that one does the work, and this command watches. Runs are sent whole: from the log,
    and from PostgreSQL where the log has lost records of them.

    Examples: `gateway replay --to mlflow --all`, `gateway replay --to mlflow --run r1 --run r2 --dry-run`,
    `gateway replay --to wandb --where "tags.team = 'x'" --since 2026-11-01 --throttle 50000`
    """
    from consumers.delivery.replay.replay import Wish
    from consumers.delivery.replay.selection import Choice
    from schemas.runtime.settings import Settings

    choice = Choice(tuple(run or ()), where, since, until, everything)
    choice.check()
    settings = Settings.load(home)
    if dry_run:
        with redirect_stdout(sys.stderr):
            found = asyncio.run(_plan(settings, to, choice))
        _print_plan(found, as_json=as_json)
        return
    wish = Wish(choice, follow, throttle or float("inf"))
    started = time.monotonic()
    with _Shown() as shown, redirect_stdout(sys.stderr):  # a plug-in may print: facts alone go to stdout
        told = asyncio.run(_until_done(settings, to, wish, shown))
    _print_told(told, to, time.monotonic() - started, as_json=as_json)
    if not told.is_complete and not follow:
        shown.say("stopped: the same command goes on where this one was")
        raise typer.Exit(EXIT_STOPPED)
    raise typer.Exit(EXIT_PARKED if told.parked else 0)


async def _plan(settings: Settings, name: str, choice: Any) -> Plan:
    from consumers.delivery.replay.plan import plan
    from consumers.delivery.service import connected

    async with connected(settings, name, say) as services:
        return await plan(services, choice)


async def _until_done(settings: Settings, name: str, wish: Wish, shown: _Shown) -> Told:
    from consumers.delivery.replay.replay import Replay, Told
    from consumers.delivery.service import connected

    told, stopping = Told(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def work() -> None:
        async with connected(settings, name, shown.say) as services:
            await Replay(services, wish, stopping, told, shown.say).run()

    working, stop = asyncio.create_task(work()), asyncio.create_task(stopping.wait())
    showing = asyncio.create_task(shown.watch(told))
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done() and told.state == "starting":
        working.cancel()  # it waits for a service, and holds nothing
    done, _ = await asyncio.wait({working}, timeout=None if not stopping.is_set() else DRAIN_S)
    showing.cancel()
    stop.cancel()
    if not done:
        shown.say(f"a call was not finished within {DRAIN_S} s: the same command does it again")
        os._exit(EXIT_STOPPED)  # Python would wait for the thread that still talks to the tracker
    if not working.cancelled():
        working.result()
    return told


class _Shown:
    """A bar with rate and time left on a terminal, a line now and then elsewhere. All of it on stderr."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._told = console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        self._bars = Progress(
            *columns, TimeRemainingColumn(), console=self._told, transient=True, disable=not self._told.is_terminal
        )
        self._bar = self._bars.add_task("starting", total=None, rate="")
        self._handler = WarningLines(self.say)

    def __enter__(self) -> _Shown:
        self._bars.start()
        logging.getLogger("consumers").addHandler(self._handler)
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # repeats itself for as long as Kafka is away
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("consumers").removeHandler(self._handler)
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print one line beside the bar."""
        if line:
            self._bars.console.print(f"gateway: {line}", markup=False)

    async def watch(self, told: Told) -> None:
        """Show how far it is until cancelled."""
        next_line = time.monotonic() + LINE_EVERY_S
        rate = Rate()
        while True:
            text = rate.words(told, time.monotonic())
            self._bars.update(
                self._bar, description=told.state[:60], completed=told.done, total=told.total or None, rate=text
            )
            if not self._told.is_terminal and time.monotonic() >= next_line:
                next_line += LINE_EVERY_S
                self.say(f"{told.state[:60]}: {told.done:,} of {told.total:,}, {text}")
            await asyncio.sleep(LOOK_S)


class Rate:
    """Records and points a second of the last seconds, smoothed."""

    def __init__(self) -> None:
        self._at, self._records, self._points = 0.0, 0, 0
        self._speeds = (0.0, 0.0)

    def words(self, told: Told, now: float) -> str:
        """Return the speed, and what was taken so far."""
        if told.is_watching:
            return ""
        passed = now - self._at
        if self._at and passed > 0:
            fresh = ((told.records - self._records) / passed, (told.points - self._points) / passed)
            self._speeds = tuple(0.9 * old + 0.1 * new for old, new in zip(self._speeds, fresh, strict=True))  # type: ignore[assignment]  # mypy loses the length
        self._at, self._records, self._points = now, told.records, told.points
        return f"{self._speeds[0]:,.0f} records/s, {self._speeds[1]:,.0f} points/s"


def _print_plan(found: Plan, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    print_line(f"would send {found.tracker}: {found.runs:,} runs, {found.records:,} records, {found.points:,} points")
    if found.from_postgresql:
        print_line(f"  {found.from_postgresql:,} of the runs come from PostgreSQL: {found.why}")
    for run_id, points in found.without_points.items():
        print_line(f"  without {points:,} points that retention dropped and the log has lost: run {run_id}")
    for run_id in found.impossible:
        print_line(f"  not: run {run_id}: the log lost what the tracker lacks, and it cannot remove the rest")
    if found.parked:
        print_line(f"  {found.parked:,} runs stay parked: see `gateway trackers show {found.tracker}`")
    for loss in found.cannot_hold:
        print_line(f"  not held: {loss}")


def _print_told(told: Told, name: str, seconds: float, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "tracker": name, "complete": told.is_complete, "runs": told.runs, "parked": told.parked,
            "records": told.records, "points": told.points, "seconds": round(seconds, 3),
            "from_postgresql": told.histories.done, "without_points": dict(told.without_points),
            "done_by_another_process": told.is_watching,
        }  # fmt: skip
        print_json(facts)
        return
    whose = "another process delivered it" if told.is_watching else f"{told.records:,} records, {told.points:,} points"
    which = "the whole log" if told.runs is None else f"{told.runs:,} runs"
    print_line(f"{name}: {which} {'delivered' if told.is_complete else 'in part'}: {whose}, {seconds:.1f} s")
    if told.histories.done:
        print_line(f"{told.histories.done:,} runs came from PostgreSQL: the log has lost records of them")
    for run_id, points in told.without_points.items():
        print_line(f"without {points:,} points that retention dropped and the log has lost: run {run_id}")
    if told.parked:
        print_line(f"{told.parked:,} runs are parked: see `gateway trackers show {name}`")
