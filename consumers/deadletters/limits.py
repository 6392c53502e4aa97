"""
Decide when so many records cannot be folded that continuing would only empty the log into the dead letter table.

Pure: values in, values out. Records are counted per partition, because only within a partition does the log have an
order. Each dead letter is stored with its ordinal, which depends only on the log: after a restart, a rebalance or a
rebuild the count resumes exactly where it was. The limits count from the newest dead letter that was decided about, so
a decision lets the materialiser continue. The run of a record that cannot be read is what its Kafka key says.
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
MAX_KNOWN_RUNS = 10_000  # counts held in memory; beyond this number they are loaded again
SHOWN_REASON = 200  # characters


class Limits(NamedTuple):
    """How many dead letters are parked at most; the next one stops the materialiser."""

    in_row: int  # consecutive in a partition, with no good record between them
    per_run: int  # with the same key in a partition, in total

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits of the settings."""
        return cls(settings.dead_letters_in_row, settings.dead_letters_per_run)


NO_LIMITS = Limits(2**63 - 1, 2**63 - 1)  # the maximum of the columns


class Ordinal(NamedTuple):
    """Ordinal of a dead letter, counted from 1: consecutive in its partition, and in total for its run."""

    in_row: int
    of_run: int  # 0 for a record without a key, which belongs to no run


@dataclass(slots=True)
class Tally:
    """How many records of the assigned partitions were parked so far."""

    in_row: dict[int, int] = field(default_factory=dict)  # by partition; 0 when its last record was good
    of_run: dict[Run, int] = field(default_factory=dict)
    decided_in_row: dict[int, int] = field(default_factory=dict)  # ordinal of the newest one that was decided about
    decided_of_run: dict[Run, int] = field(default_factory=dict)

    def copy(self) -> Tally:
        """Return a tally to continue in, for a batch that may have to be applied again."""
        fits = len(self.of_run) < MAX_KNOWN_RUNS
        of_run, decided = (dict(self.of_run), dict(self.decided_of_run)) if fits else ({}, {})
        return Tally(dict(self.in_row), of_run, dict(self.decided_in_row), decided)

    def count_folded(self, partition: int) -> None:
        """Count a record that can be folded: it ends a row of dead letters."""
        self.in_row[partition] = 0
        self.decided_in_row.pop(partition, None)

    def count_parked(self, partition: int, key: bytes | None) -> Ordinal:
        """Count a record that can never be folded."""
        in_row = self.in_row[partition] = self.in_row.get(partition, 0) + 1
        if key is None:
            return Ordinal(in_row, 0)
        run = (partition, key_digest(key))
        of_run = self.of_run[run] = self.of_run.get(run, 0) + 1
        return Ordinal(in_row, of_run)

    def exceeded_limit(self, limits: Limits, ordinal: Ordinal, partition: int, key: bytes | None) -> str:
        """Return the name of the limit that a dead letter exceeds, "" for none."""
        if ordinal.in_row - self.decided_in_row.get(partition, 0) > limits.in_row:
            return "in_row"
        decided = 0 if key is None else self.decided_of_run.get((partition, key_digest(key)), 0)
        return "per_run" if ordinal.of_run - decided > limits.per_run else ""


class Counted(NamedTuple):
    """A batch, counted up to the first dead letter beyond the limits."""

    tally: Tally  # after it
    ordinals: list[Ordinal | None]  # of each record up to there; None for a good one
    excess: TooManyDeadLetters | None


def count_letters(tally: Tally, limits: Limits, records: Sequence[Record], reasons: Sequence[str | None]) -> Counted:
    """Continue the count in `tally`; `reasons` holds why a record can never be folded, None if it can."""
    ordinals: list[Ordinal | None] = []
    for record, reason in zip(records, reasons, strict=True):
        if reason is None:
            tally.count_folded(record.partition)
            ordinals.append(None)
            continue
        ordinal = tally.count_parked(record.partition, record.key)
        if limit := tally.exceeded_limit(limits, ordinal, record.partition, record.key):
            return Counted(tally, ordinals, _excess(limits, limit, record, reason))
        ordinals.append(ordinal)
    return Counted(tally, ordinals, None)


def _excess(limits: Limits, limit: str, record: Record, reason: str) -> TooManyDeadLetters:
    if limit == "in_row":
        parked, option = f"the {limits.in_row} records before it", "--all"
    else:
        parked, option = f"{limits.per_run} records of run {printable(record.key or b'')}", "--run RUN"
    filter_option = "" if option == "--all" else f" {option}"
    return TooManyDeadLetters(
        f"{record.topic}/{record.partition} is folded up to offset {record.offset}: {parked} could not be folded, "
        f"nor can the one there ({printable(reason)}): look at them with `gateway dead-letters list{filter_option}`, "
        f"stop the client that writes them, then continue after them with `gateway dead-letters discard {option}` "
        f"(their bytes stay) and `gateway up`; GATEWAY_DEAD_LETTERS_{limit.upper()} is the limit"
    )


def key_digest(key: bytes) -> bytes:
    """Return the sha256 of a key, which may be as long as a record; PostgreSQL computes the same."""
    return sha256(key).digest()


def printable(text: bytes | str) -> str:
    """Return untrusted text for one line of a message: printable, and at most SHOWN_REASON characters of it."""
    words = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    cut = words if len(words) <= SHOWN_REASON else words[:SHOWN_REASON] + "…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in cut)
