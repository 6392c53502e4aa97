"""
Decide when so many records can never be folded that going on would only empty the log into a table.

Pure: values in, values out. Counts are kept for each partition, because only there has the log an order, and each dead
letter is stored with what it is the how-manieth of, which nothing but the log decides: after a restart, a rebalance or
a rebuild counting goes on exactly where it was. The limits count behind the newest one that somebody decided about, so
deciding lets the materialiser go on. The run of a record that cannot be read is what its Kafka key says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from schemas.errors import TooManyDeadLetters

if TYPE_CHECKING:
    from consumers.log.record import Record
    from schemas.runtime.settings import Settings

Run = tuple[int, bytes]  # partition, and digest of the key
MAX_KNOWN_RUNS = 10_000  # counts held in memory; beyond it they are loaded again
SHOWN_REASON = 200  # characters


class Limits(NamedTuple):
    """How many dead letters are parked; the next one stops the materialiser."""

    in_row: int  # one after the other in a partition, with no good record between
    per_run: int  # with the same key in a partition, ever

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that the settings name."""
        return cls(settings.dead_letters_in_row, settings.dead_letters_per_run)


NO_LIMITS = Limits(2**63 - 1, 2**63 - 1)  # what the columns hold


class Count(NamedTuple):
    """What a dead letter is the how-manieth of, itself included."""

    in_row: int
    of_run: int  # 0 for a record without a key, which belongs to no run


@dataclass(slots=True)
class Tally:
    """How many records were parked so far, of the partitions at hand."""

    in_row: dict[int, int] = field(default_factory=dict)  # by partition; 0 when its last record was good
    of_run: dict[Run, int] = field(default_factory=dict)
    decided_in_row: dict[int, int] = field(default_factory=dict)  # the newest that somebody decided about, as counted
    decided_of_run: dict[Run, int] = field(default_factory=dict)

    def copy(self) -> Tally:
        """Return a tally to go on counting in, for a batch that may yet have to be done again."""
        known = len(self.of_run) < MAX_KNOWN_RUNS
        of_run, decided = (dict(self.of_run), dict(self.decided_of_run)) if known else ({}, {})
        return Tally(dict(self.in_row), of_run, dict(self.decided_in_row), decided)

    def good(self, partition: int) -> None:
        """Count a record that is folded."""
        self.in_row[partition] = 0
        self.decided_in_row.pop(partition, None)

    def exceeds(self, limits: Limits, count: Count, partition: int, key: bytes | None) -> str:
        """Return the name of the limit that a dead letter is beyond, "" for none."""
        if count.in_row - self.decided_in_row.get(partition, 0) > limits.in_row:
            return "in_row"
        decided = 0 if key is None else self.decided_of_run.get((partition, digest(key)), 0)
        return "per_run" if count.of_run - decided > limits.per_run else ""

    def park(self, partition: int, key: bytes | None) -> Count:
        """Count a record that can never be folded."""
        in_row = self.in_row[partition] = self.in_row.get(partition, 0) + 1
        if key is None:
            return Count(in_row, 0)
        run = (partition, digest(key))
        of_run = self.of_run[run] = self.of_run.get(run, 0) + 1
        return Count(in_row, of_run)


class Counted(NamedTuple):
    """A batch, counted up to the record that would be one too many."""

    tally: Tally  # after it
    counts: list[Count | None]  # of each record up to there; None for a good one
    excess: TooManyDeadLetters | None


def count_letters(tally: Tally, limits: Limits, records: Sequence[Record], reasons: Sequence[str | None]) -> Counted:
    """Count on in `tally`; `reasons` say why a record can never be folded, None that it can."""
    counts: list[Count | None] = []
    for record, reason in zip(records, reasons, strict=True):
        if reason is None:
            tally.good(record.partition)
            counts.append(None)
            continue
        count = tally.park(record.partition, record.key)
        if beyond := tally.exceeds(limits, count, record.partition, record.key):
            return Counted(tally, counts, _excess(limits, beyond, record, reason))
        counts.append(count)
    return Counted(tally, counts, None)


def _excess(limits: Limits, beyond: str, record: Record, reason: str) -> TooManyDeadLetters:
    if beyond == "in_row":
        said, chosen = f"the {limits.in_row} records before it", "--all"
    else:
        said, chosen = f"{limits.per_run} records of run {shown(record.key or b'')}", "--run RUN"
    listed = "" if chosen == "--all" else f" {chosen}"
    return TooManyDeadLetters(
        f"{record.topic}/{record.partition} is folded up to offset {record.offset}: {said} could not be folded, "
        f"nor can the one there ({shown(reason)}): look at them with `gateway dead-letters list{listed}`, end whoever "
        f"writes them, then go on behind them with `gateway dead-letters discard {chosen}` (their bytes stay) and "
        f"`gateway up`; GATEWAY_DEAD_LETTERS_{beyond.upper()} is the limit"
    )


def digest(key: bytes) -> bytes:
    """Return what stands for a key, which may be as long as a record: sha256, as PostgreSQL computes it."""
    return sha256(key).digest()


def shown(text: bytes | str) -> str:
    """Return words of a stranger for one line of a message: printable and not long."""
    words = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    cut = words if len(words) <= SHOWN_REASON else words[:SHOWN_REASON] + "…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in cut)
