"""
`gateway rebuild`: fold the log again from its beginning, then switch to the new tables, or only compare them.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
the tables were switched or are equal, 1 when they differ or the log has lost its beginning, 2 when nothing could be
done, 130 after Ctrl-C.
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

    from consumers.materialiser.rebuild.rebuild import RebuildResult

EXIT_DIFFERENT = 1
NO_NEWS = ("parked ", "Applying ")  # log messages: a rebuild parks the same records again and creates its tables


def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="Only compare with the live tables; exit 1 at a difference.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start from scratch instead of resuming an interrupted rebuild.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Fold the log again from offset 0 into new tables, then switch to them in one transaction.

    Everything keeps running: the materialiser continues without a restart, and readers see either the old tables or
    the new ones. After Ctrl-C the next `gateway rebuild` resumes where this one stopped. Decisions about dead letters
    and the checkpoints of deliveries stay.

    `gateway rebuild --check` proves that the live tables are what the log says, byte for byte, and changes nothing.

    `gateway rebuild --check --json | jq .first_difference` shows the first place where they are not.
    """
    done = _run(check=check, restart=restart, home=home)
    if as_json:
        print_json(done.to_json())
    else:
        for line in _lines(done):
            print_line(line)
    if done.comparison and done.comparison.first_difference:
        raise typer.Exit(EXIT_DIFFERENT)


def _run(*, check: bool, restart: bool, home: Any) -> RebuildResult:
    """Rebuild while a bar shows how far it is. Raises typer.Exit when the log has lost its beginning."""
    from consumers.materialiser.gc_tuning import tune_gc
    from consumers.materialiser.rebuild.rebuild import rebuild as run
    from schemas.errors import LogGap
    from schemas.runtime.settings import Settings

    settings = Settings.load(home)
    with _display() as display:
        try:
            tune_gc()
            return asyncio.run(run(settings, display, check=check, restart=restart))
        except LogGap as gap:
            display.notice(str(gap))
            raise typer.Exit(EXIT_DIFFERENT) from gap
        except KeyboardInterrupt:
            display.notice("stopped: the next `gateway rebuild` resumes where this one stopped")
            raise


def _lines(done: RebuildResult) -> Iterator[str]:
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


def _display() -> Any:
    """Return a context that shows progress as a bar at a terminal, and notices anywhere; all of it on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    stderr = console(stderr=True)

    class Display(Progress):
        def __enter__(self) -> Display:
            super().__enter__()
            self.bar = self.add_task("starting", total=None, rate="")
            logging.getLogger("consumers").addHandler(WarningLines(self.notice, ignore=NO_NEWS))
            logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # repeats every attempt while Kafka is away
            return self

        def progress(self, what: str, done: int, total: int) -> None:
            is_folding = what == "folding"
            speed = self.tasks[0].speed if is_folding else None
            rate = f"{speed:,.0f} records/s, {total - done:,} left" if speed else ""
            if self.tasks[0].description != what:
                self.reset(self.bar)
            self.update(self.bar, description=what, completed=done, total=total, rate=rate)

        def notice(self, line: str) -> None:
            self.console.print(f"gateway: {line}")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    return Display(*columns, TimeElapsedColumn(), console=stderr, transient=True, disable=not stderr.is_terminal)
