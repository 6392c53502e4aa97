"""
Decide whether a record is a duplicate.

Pure: values in, values out. The materialiser and the deliveries keep the ledger next to their data, in the same
transaction. A producer numbers its records of a run from 0 without gaps, so one number, the next expected one, is
almost always the whole ledger. A late record (a parked record that is replayed, or a journal that is shipped after a
newer one) fills its missing range. Each number is admitted exactly once, in any order and after any number of
repetitions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

Ranges = tuple[tuple[int, int], ...]


class Ledger(NamedTuple):
    """The admitted numbers of one producer and run: all below `next` except the missing ones."""

    next: int = 0
    missing: Ranges = ()  # (first, end) with end exclusive; sorted, disjoint, never touching, all below `next`
    refused: int = 0  # duplicates so far

    @property
    def received(self) -> int:
        """Count of admitted numbers."""
        return self.next - self.lost

    @property
    def lost(self) -> int:
        """Count of numbers below `next` that have not come."""
        return sum(end - first for first, end in self.missing)

    def to_json(self) -> dict[str, Any]:
        """Return the ledger as a JSON object."""
        return {"next": self.next, "missing": [list(pair) for pair in self.missing], "refused": self.refused}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ledger:
        """Return the ledger that `to_json` made."""
        return cls(value["next"], tuple((first, end) for first, end in value["missing"]), value["refused"])


EMPTY = Ledger()


def admit(ledger: Ledger, seq: int) -> tuple[Ledger, bool]:
    """Return the ledger with `seq` added, and whether it is new."""
    if seq == ledger.next:
        return ledger._replace(next=seq + 1), True
    if seq > ledger.next:
        return ledger._replace(next=seq + 1, missing=(*ledger.missing, (ledger.next, seq))), True
    at = bisect_right(ledger.missing, seq, key=lambda pair: pair[0]) - 1
    if at < 0 or seq >= ledger.missing[at][1]:
        return ledger._replace(refused=ledger.refused + 1), False
    first, end = ledger.missing[at]
    rest = tuple(pair for pair in ((first, seq), (seq + 1, end)) if pair[0] < pair[1])
    return ledger._replace(missing=ledger.missing[:at] + rest + ledger.missing[at + 1 :]), True
