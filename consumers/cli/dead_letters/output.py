"""
Print dead letters and the outcomes of decisions about them.

Only printable characters of a record reach the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from consumers.cli.output import print_json, print_line
from schemas.runtime.text import escape_unprintable

if TYPE_CHECKING:
    from consumers.deadletters.resolution import Outcome
    from consumers.store.dead_letters import DeadLetter, DeadLetterSummary

SHOWN_OUTCOMES = 20


def finish(outcomes: Sequence[Outcome], verb: str, *, dry_run: bool, as_json: bool) -> None:
    """Print the outcome of each decision, then raise typer.Exit: 1 when one was refused, else 0."""
    done = [outcome.id for outcome in outcomes if outcome.result == "done"]
    rest = [outcome for outcome in outcomes if outcome.result != "done"]
    if as_json:
        skipped = [{"id": str(one.id), "result": one.result, "why": one.why} for one in rest]
        print_json({"dry_run": dry_run, verb: [str(one) for one in done], "skipped": skipped})
    else:
        print_line(f"{'would be ' if dry_run else ''}{verb}: {len(done)} of {len(outcomes)}")
        for one in rest[:SHOWN_OUTCOMES]:
            print_line(f"  not {one.id}: {escape_unprintable(one.why)}")
        if len(rest) > SHOWN_OUTCOMES:
            print_line(f"  ... and {len(rest) - SHOWN_OUTCOMES} more, all of them with --json")
    raise typer.Exit(1 if any(one.result == "refused" for one in rest) else 0)


def print_found(total: int, found: Sequence[DeadLetterSummary], state: str) -> None:
    """Print a list of dead letters for people; `total` of them match."""
    from consumers.cli.dead_letters.format import found_lines

    if not found:
        print_line("Nothing is parked." if state == "parked" else "There are none.")
        return
    for line in found_lines(found):
        print_line(line)
    shown = f"{len(found)} of {total}; --limit shows more. " if total > len(found) else ""
    print_line(f"{shown}See one with `gateway dead-letters show ID`.")


def print_letter(letter: DeadLetter, length: int) -> None:
    """Print one dead letter for people, with at most `length` bytes of its value."""
    from consumers.cli.dead_letters.format import escape_bytes, identity, instant, value_lines
    from consumers.deadletters.resolution import refusal

    record = letter.record
    known = identity(record)
    because = f": {letter.because}" if letter.because else ""
    decided = f" {letter.decided:%Y-%m-%d %H:%M:%S}" if letter.decided else ""
    why_not = refusal(record)
    lines = [
        f"id        {letter.id}",
        f"state     {letter.state}{decided}{because}",
        f"reason    {letter.kind}: {letter.reason}",
        f"time      {instant(record.time_ms)} UTC",
        f"key       {escape_bytes(record.key)}",
        *(f"header    {name}: {escape_bytes(value)}" for name, value in record.headers),
        "identity  " + (", ".join(f"{name}={value}" for name, value in known.items()) if known else "unknown"),
        f"now       {f'would be parked again: {why_not}' if why_not else 'can be decoded: try a replay'}",
    ]
    for line in lines:
        print_line(escape_unprintable(line))
    print_line(f"value     {len(record.value or b''):,} bytes")
    for line in value_lines(record.value, length):
        print_line(f"  {line}")
