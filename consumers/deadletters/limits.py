"""
Decide when so many records can never be folded that going on would only empty the log into a table.

Pure: values in, values out, nothing but the log decides. Counts are kept for each partition, because only there has
the log an order, and each dead letter is stored with what it is the how-manieth of: after a restart, a rebalance or a
rebuild counting goes on exactly where it was. The run of a record that cannot be read is what its Kafka key says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from schemas.errors import TooManyDeadLetters

if TYPE_CHECKING:
    from consumers.log import Record
    from schemas.settings import Settings

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

    def copy(self) -> Tally:
        """Return a tally to go on counting in, for a batch that may yet have to be done again."""
        return Tally(dict(self.in_row), dict(self.of_run) if len(self.of_run) < MAX_KNOWN_RUNS else {})

    def good(self, partition: int) -> None:
        """Count a record that is folded."""
        self.in_row[partition] = 0

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
        if count.in_row > limits.in_row or count.of_run > limits.per_run:
            return Counted(tally, counts, _excess(limits, count, record, reason))
        counts.append(count)
    return Counted(tally, counts, None)


def _excess(limits: Limits, count: Count, record: Record, reason: str) -> TooManyDeadLetters:
    if count.in_row > limits.in_row:
        said, name, whose = f"the {limits.in_row} records before it", "GATEWAY_DEAD_LETTERS_IN_ROW", ""
    else:
        said = f"{limits.per_run} records of run {shown(record.key or b'')}"
        name, whose = "GATEWAY_DEAD_LETTERS_PER_RUN", " --run RUN"
    return TooManyDeadLetters(
        f"{record.topic}/{record.partition} is folded up to offset {record.offset}: {said} could not be folded, "
        f"nor can the one there ({shown(reason)}): look at them with `gateway dead-letters list{whose}`, end whoever "
        f"writes them, then set {name} higher and start again with `gateway down` and `gateway up`"
    )


def digest(key: bytes) -> bytes:
    """Return what stands for a key, which may be as long as a record: sha256, as PostgreSQL computes it."""
    return sha256(key).digest()


def shown(text: bytes | str) -> str:
    """Return words of a stranger for one line of a message: printable and not long."""
    words = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    cut = words if len(words) <= SHOWN_REASON else words[:SHOWN_REASON] + "…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in cut)
