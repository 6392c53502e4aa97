"""
What `gateway dead-letters` prints: facts on stdout, everything else on stderr.

Nothing of a record reaches the terminal but printable characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from consumers.deadletters.resolution import Outcome
    from consumers.store.dead_letters import Found, Letter

SHOWN_OUTCOMES = 20


def finish(outcomes: Sequence[Outcome], verb: str, *, dry_run: bool, as_json: bool) -> None:
    """Print what became of each decision, and end with the exit status that says whether all of it could be done."""
    from consumers.cli.dead_letters.format import harmless

    done = [outcome.id for outcome in outcomes if outcome.result == "done"]
    rest = [outcome for outcome in outcomes if outcome.result != "done"]
    if as_json:
        skipped = [{"id": str(one.id), "result": one.result, "why": one.why} for one in rest]
        print_json({"dry_run": dry_run, verb: [str(one) for one in done], "skipped": skipped})
    else:
        print(f"{'would be ' if dry_run else ''}{verb}: {len(done)} of {len(outcomes)}")  # noqa: T201  # facts
        for one in rest[:SHOWN_OUTCOMES]:
            print(f"  not {one.id}: {harmless(one.why)}")  # noqa: T201
        if len(rest) > SHOWN_OUTCOMES:
            print(f"  ... and {len(rest) - SHOWN_OUTCOMES} more, all of them with --json")  # noqa: T201
    raise typer.Exit(1 if any(one.result == "refused" for one in rest) else 0)


def print_found(total: int, found: Sequence[Found], state: str) -> None:
    """Print a list for people."""
    from consumers.cli.dead_letters.format import found_lines

    if not found:
        print("Nothing is parked." if state == "parked" else "There are none.")  # noqa: T201  # facts
        return
    for line in found_lines(found):
        print(line)  # noqa: T201
    shown = f"{len(found)} of {total}; --limit shows more. " if total > len(found) else ""
    print(f"{shown}See one with `gateway dead-letters show ID`.")  # noqa: T201


def print_letter(letter: Letter, length: int) -> None:
    """Print one dead letter for people, with at most `length` bytes of its value."""
    from consumers.cli.dead_letters.format import harmless, harmless_bytes, identity, instant, value_lines
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
        f"key       {harmless_bytes(record.key)}",
        *(f"header    {name}: {harmless_bytes(value)}" for name, value in record.headers),
        "identity  " + (", ".join(f"{name}={value}" for name, value in known.items()) if known else "cannot be told"),
        f"now       {f'would be parked again: {why_not}' if why_not else 'can be decoded: try a replay'}",
    ]
    for line in lines:
        print(harmless(line))  # noqa: T201  # facts
    print(f"value     {len(record.value or b''):,} bytes")  # noqa: T201
    for line in value_lines(record.value, length):
        print(f"  {line}")  # noqa: T201


def print_json(facts: Any) -> None:
    """Print facts for programs."""
    # ASCII: control characters of a stranger must not reach a terminal.
    print(json.dumps(facts, indent=2, allow_nan=False))  # noqa: T201  # facts for programs


def say(line: str) -> None:
    """Print one line for people, on stderr."""
    print(f"gateway: {line}", file=sys.stderr, flush=True)  # noqa: T201
