"""
`gateway rebuild`: fold the log again from its beginning, and switch to what came out, or only compare.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
the tables were switched or are equal, 1 when they differ or the log lost its beginning, 2 when nothing could be done,
130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import WarningLines, console, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.materialiser.rebuild.rebuild import Rebuilt

EXIT_DIFFERENT = 1
NO_NEWS = ("parked ", "Applying ")  # log messages: a rebuild parks the same records again and creates its tables


def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="Only compare with the live tables; exit 1 at a difference.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew instead of going on with an interrupted rebuild.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Fold the log again from offset 0 beside the live tables, then switch to the new tables in one transaction.

    Everything may run meanwhile: the materialiser goes on without a restart, readers see the old tables or the new.
    After Ctrl-C the next `gateway rebuild` goes on where this one was. What people decided about dead letters, and
    how far deliveries are, stays.

    `gateway rebuild --check` proves that the live tables are what the log says, byte for byte, and changes nothing.

    `gateway rebuild --check --json | jq .first_difference` shows the first place where they are not.
    """
    from consumers.materialiser.gc_tuning import tune_gc
    from consumers.materialiser.rebuild.rebuild import rebuild as run
    from schemas.errors import LogGap
    from schemas.runtime.settings import Settings

    settings = Settings.load(home)
    with _watching() as watcher:
        try:
            tune_gc()
            done = asyncio.run(run(settings, watcher, check=check, restart=restart))
        except LogGap as gap:
            watcher.say(str(gap))
            raise typer.Exit(EXIT_DIFFERENT) from gap
        except KeyboardInterrupt:
            watcher.say("stopped: the next `gateway rebuild` goes on where this one was")
            raise
    if as_json:
        print_json(done.to_json())
    else:
        print_line("\n".join(_lines(done)))
    if done.comparison and done.comparison.first_difference:
        raise typer.Exit(EXIT_DIFFERENT)


def _lines(done: Rebuilt) -> Iterator[str]:
    folded = f"{done.records:,} records, {done.points:,} points folded ({done.points_per_s:,.0f} points/s)"
    if done.comparison is None:
        yield f"Switched to the rebuilt tables: {folded}."
        return
    counts = ", ".join(f"{name} {count.live:,}" for name, count in done.comparison.tables.items())
    if done.comparison.first_difference is None:
        yield f"Equal: {folded}; rows: {counts}."
        return
    yield f"First difference: {done.comparison.first_difference}"
    different = {name: count.different for name, count in done.comparison.tables.items() if count.different}
    yield "Rows that differ: " + ", ".join(f"{name} {count:,}" for name, count in different.items()) + f"; {folded}."
    yield "`gateway rebuild` switches to the rebuilt tables, which are kept for it."


def _watching() -> Any:
    """Return a context that shows progress on a terminal, and lines anywhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    told = console(stderr=True)

    class Watcher(Progress):
        def __enter__(self) -> Watcher:
            super().__enter__()
            self.bar = self.add_task("starting", total=None, rate="")
            logging.getLogger("consumers").addHandler(WarningLines(self.say, ignore=NO_NEWS))
            logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # repeats itself for as long as Kafka is away
            return self

        def progress(self, what: str, done: int, total: int) -> None:
            is_folding = what == "folding"
            speed = self.tasks[0].speed if is_folding else None
            rate = f"{speed:,.0f} records/s, {total - done:,} left" if speed else ""
            if self.tasks[0].description != what:
                self.reset(self.bar)
            self.update(self.bar, description=what, completed=done, total=total, rate=rate)

        def say(self, line: str) -> None:
            self.console.print(f"gateway: {line}", markup=False)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    return Watcher(*columns, TimeElapsedColumn(), console=told, transient=True, disable=not told.is_terminal)
