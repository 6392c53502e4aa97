"""
What the demo shows: progress bars during the training, then a run log, a table of places, and the next steps.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import TracebackType
from typing import Any

from gateway.console import console
from gateway.local.demo.training import Spec

NAMES = {"emitted": "emitted", "postgresql": "PostgreSQL", "mlflow": "MLflow", "wandb": "W&B file"}
SHOWN_STEPS = 4  # of each long series in the printed run log


class SweepProgress:
    """A bar for each run at a terminal, one line for each run elsewhere; on stderr."""

    def __init__(self, specs: list[Spec]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._console = console(stderr=True)
        self._names = {spec.run_id: spec.name for spec in specs}
        self._bars = Progress(
            TextColumn("   {task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks = {spec.run_id: self._bars.add_task(spec.name, total=None, note="") for spec in specs}

    def __enter__(self) -> SweepProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, facts: dict[str, Any]) -> None:
        """Show one progress report of a worker."""
        run_id = facts.get("run_id", "")
        if run_id not in self._names:
            self._console.print(f"   {facts.get('output', facts)}")
        elif "step" in facts:
            note = f"loss {facts['loss']}"
            self._bars.update(self._tasks[run_id], completed=facts["step"], total=facts["steps"], note=note)
        else:
            note = f"failed, as it should: {facts['failed']}" if "failed" in facts else "done"
            self._bars.update(self._tasks[run_id], note=note[:60])
            if not self._console.is_terminal:
                self._console.print(f"   {self._names[run_id]}: {note}")


def print_results(facts: dict[str, Any]) -> None:
    """Print the run log of one run, and the tables of runs and places."""
    out = console()
    if facts["run_log"] is not None:
        out.print(f"\nThe run log of {facts['run_log']['run_id']} (long series shortened here):\n")
        out.print_json(json.dumps(_shortened(facts["run_log"])), indent=2)
    out.print()
    out.print(_runs_table(facts["runs"]))
    out.print()
    out.print(_places_table(facts["places"]))
    if facts["agree"]:
        out.print("Every place holds the same runs, points, parameters and checksum.", style="green")
    else:
        out.print("The places differ:", style="red")
        for difference in facts["differences"][:20]:
            out.print(f"  {difference}")


def print_next_steps(home: Path, dashboard: str, *, keep: bool, explicit: bool) -> None:
    """Print what the user can do next; `dashboard` is its address."""
    option = f" --home {shlex.quote(str(home))}"
    again = f"gateway demo --keep{option if explicit else ''}"
    lines = (
        [
            f"The stack keeps running. Its dashboard: {dashboard}",
            f"gateway status{option}   gateway runs list{option}   gateway down{option}",
        ]
        if keep
        else [f"To look around, keep it running next time: {again}"]
    )
    lines.append(
        "Your own training: `gateway up`, then in your script `import gateway; gateway.emit('loss', 0.1, step=0)`"
    )
    console().print("\n".join(["", *lines]))


def _runs_table(runs: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(
        title="Runs, as the API lists them", title_justify="left", box=None, header_style="bold", pad_edge=False
    )
    for title in ("run", "state", "points", "message"):
        table.add_column(title, justify="right" if title == "points" else "left", overflow="fold")
    for run in runs:
        table.add_row(run["run_id"], run["state"], f"{run['points']:,}", run["message"][:80])
    return table


def _places_table(places: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title="Read back from each place", title_justify="left", header_style="bold")
    for title in ("place", "runs", "points", "parameters", "checksum over (run, series, step, time, value)"):
        table.add_column(
            title, justify="left" if title[0] in "pc" and title not in ("points", "parameters") else "right"
        )
    for place, facts in places.items():
        counts = (f"{facts[name]:,}" for name in ("runs", "points", "params"))
        table.add_row(NAMES.get(place, place), *counts, facts["checksum"])
    return table


def _shortened(value: Any) -> Any:
    """Keep the first and last steps of long series, with the number of steps left out."""
    if isinstance(value, dict):
        if len(value) > SHOWN_STEPS and all(key.lstrip("-").isdigit() for key in value):
            items = list(value.items())
            half = SHOWN_STEPS // 2
            return dict([*items[:half], ("...", f"{len(items) - SHOWN_STEPS} more steps"), *items[-half:]])
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
