"""
The report of `gateway verify`: a table and grouped lists for people, one JSON document for programs.

docs/verify.md describes the document; fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from consumers.delivery.verify.compare import STORE
from consumers.delivery.verify.proof import NOT_COMPARED
from schemas.runtime.terminal import make_console
from schemas.runtime.text import mask_unprintable

if TYPE_CHECKING:
    from rich.console import Console

    from consumers.delivery.verify.findings import Difference
    from consumers.delivery.verify.repair import RepairResult
    from consumers.delivery.verify.verify import PlaceFacts, VerifyResult

SHOWN_RUNS, SHOWN_OF_RUN, SHOWN_LOSSES = 20, 5, 5


def document(verified: VerifyResult, repaired: RepairResult | None) -> dict[str, Any]:
    """Return the result as `--json` prints it."""
    return {
        "equal": not verified.differences,
        "proved": verified.is_proved,
        "unproved": [one.to_json() for one in verified.unproved],
        "not_compared": list(NOT_COMPARED),
        "places": {name: place.facts.to_json() for name, place in verified.places.items()},
        "trackers": {name: _tracker(verified, name, place) for name, place in _trackers(verified)},
        "differences": [difference.to_json() for difference in verified.differences],
        "losses": [loss.to_json() for loss in verified.losses],
        "caught_up": verified.caught_up,
        "counts_only": verified.counts_only,
        "not_delivered": dict(verified.not_delivered),
        "repaired": None if repaired is None else repaired.to_json(),
    }


def print_report(verified: VerifyResult, repaired: RepairResult | None, *, everything: bool) -> None:
    """Print the result to stdout; all differences with `everything`, otherwise the first ones of each run."""
    out = make_console()
    if repaired is not None:
        for line in repaired.lines():
            out.print(mask_unprintable(line))
    _print_table(out, verified)
    if verified.counts_only:
        out.print(
            f"{len(verified.counts_only)} runs are compared by number of points and not by value, and the checksums "
            "of the places differ because of them: retention dropped their points (`gateway retention show`)."
        )
    _print_losses(out, verified, everything=everything)
    counts = verified.not_delivered.items()
    if passed_over := [f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts if count]:
        out.print(f"Not delivered, because trackers get runs: {', '.join(passed_over)}.", style="dim")
    out.print("Not compared: " + "; ".join(NOT_COMPARED) + ".", style="dim")
    if verified.is_proved:
        out.print("Every place holds the same.", style="green")
        return
    _print_unproved(out, verified, everything=everything)
    if not verified.differences:
        return
    _print_differences(out, verified.differences, everything=everything)


def _tracker(verified: VerifyResult, name: str, place: PlaceFacts) -> dict[str, Any]:
    numbers = place.facts.to_json() | {"series": place.series, "tags": place.tags}
    return numbers | {"different": len(place.differing), "cannot_hold": list(place.cannot_hold)}


def _trackers(verified: VerifyResult) -> list[tuple[str, PlaceFacts]]:
    return [(name, place) for name, place in verified.places.items() if name != STORE]


def _print_table(out: Console, verified: VerifyResult) -> None:
    from rich.table import Table

    table = Table()
    for column in ("place", "runs", "series", "points", "params", "tags", "different", "cannot hold", "checksum"):
        table.add_column(column, justify="left" if column in ("place", "checksum") else "right")
    losses = {name: len({(loss.run_id, loss.what) for loss in verified.losses if loss.place == name})
              for name, _ in _trackers(verified)}  # fmt: skip
    for name, place in verified.places.items():
        counts = (place.facts.runs, place.series, place.facts.points, place.facts.params, place.tags)
        found = ("", "") if name == STORE else (f"{len(place.differing):,}", f"{losses[name]:,}")
        table.add_row(name, *(f"{count:,}" for count in counts), *found, place.facts.checksum)
    out.print(table)


def _print_losses(out: Console, verified: VerifyResult, *, everything: bool) -> None:
    for name, place in _trackers(verified):
        of_place = [loss for loss in verified.losses if loss.place == name]
        if not place.cannot_hold and not of_place:
            continue
        out.print(f"{name} cannot hold (not counted as a difference):", style="bold")
        for line in place.cannot_hold:
            out.print(f"  {mask_unprintable(line)}")
        kinds = sorted({(loss.what, loss.reason) for loss in of_place})
        for what, reason in kinds:
            of_kind = [loss for loss in of_place if (loss.what, loss.reason) == (what, reason)]
            runs = list(dict.fromkeys(loss.run_id for loss in of_kind))
            named = runs if everything else runs[:SHOWN_LOSSES]
            more = f", and {len(runs) - len(named):,} more" if len(runs) > len(named) else ""
            count = sum(loss.amount for loss in of_kind)
            out.print(f"  {what}: {count:,} {mask_unprintable(reason)}; in {mask_unprintable(', '.join(named))}{more}")


def _print_unproved(out: Console, verified: VerifyResult, *, everything: bool) -> None:
    if not verified.unproved:
        return
    if not verified.differences:
        out.print("No place differs from PostgreSQL, but it is not proved that they hold everything:", style="yellow")
    else:
        out.print("Not proved either:", style="yellow")
    shown = verified.unproved if everything else verified.unproved[:SHOWN_RUNS]
    for one in shown:
        out.print(f"  {mask_unprintable(str(one))}")
    if len(shown) < len(verified.unproved):
        out.print(f"  ... and {len(verified.unproved) - len(shown):,} more: see all with --all-differences or --json")


def _print_differences(out: Console, differences: Sequence[Difference], *, everything: bool) -> None:
    runs = len({(one.place, one.run_id) for one in differences})
    out.print(f"{len(differences):,} differences in {runs:,} runs:", style="red")
    for shown, ((place, run_id), group) in enumerate(groupby(differences, key=lambda one: (one.place, one.run_id))):
        if shown >= SHOWN_RUNS and not everything:
            out.print(f"  ... and {runs - shown:,} more runs: see all with --all-differences or --json")
            return
        of_run = list(group)
        out.print(f"  {place}, run {mask_unprintable(run_id)}")
        for one in of_run if everything else of_run[:SHOWN_OF_RUN]:
            out.print(f"    {mask_unprintable(one.describe())}")
        if len(of_run) > SHOWN_OF_RUN and not everything:
            out.print(f"    ... and {len(of_run) - SHOWN_OF_RUN:,} more of this run")
