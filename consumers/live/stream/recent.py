"""
Which runs and saved items had records lately: what streams of runs look at, whatever their number.

Pure: values in, values out. A record costs one entry, which replaces the entry of an earlier record about the same
subject. The oldest entries are forgotten beyond a bound, and then a question about an earlier time has no answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import NamedTuple

from consumers.live.stream.messages import key_text
from consumers.log.record import Record
from schemas.errors import BadRecord
from schemas.subjects import COLLECTIONS, Subject
from schemas.wire import identify

MAX_SUBJECTS = 20_000
_SHARED_KEYS = frozenset(f"/{one}" for one in COLLECTIONS if one != "runs")


class _Seen(NamedTuple):
    offset: int
    number: int


class Recent:
    """The subjects of the newest records. Used from one event loop."""

    def __init__(self, limit: int = MAX_SUBJECTS) -> None:
        self.number = 0  # of records that were noted
        self.changed = asyncio.Event()  # set by each record; the task that waits clears it
        self._limit = limit
        self._seen: OrderedDict[tuple[Subject, int], _Seen] = OrderedDict()
        self._floor: dict[int, int] = {}  # by partition: nothing is known of records below
        self._forgotten = 0  # number of the newest entry that was forgotten

    def begin(self, positions: Mapping[int, int]) -> None:
        """Forget everything, and begin at these offsets."""
        self._seen.clear()
        self._floor = dict(positions)
        self._forgotten = self.number

    def note(self, records: Iterable[Record]) -> None:
        """Note the subjects of records that follow those before."""
        for record in records:
            subject = subject_of(record)
            if subject is None:
                continue
            self.number += 1
            key = subject, record.partition  # a run has records in two partitions after the topic got more of them
            self._seen[key] = _Seen(record.offset, self.number)
            self._seen.move_to_end(key)
            if len(self._seen) > self._limit:
                (_, partition), old = self._seen.popitem(last=False)
                self._floor[partition] = max(self._floor.get(partition, 0), old.offset + 1)
                self._forgotten = old.number
            self.changed.set()

    def after(self, number: int) -> list[Subject] | None:
        """Return the subjects of the records after the first `number`, newest first; None if some are forgotten."""
        if number < self._forgotten:
            return None
        newest = takewhile(lambda pair: pair[1].number > number, reversed(self._seen.items()))
        return list(dict.fromkeys(subject for (subject, _), _ in newest))

    def since(self, positions: Mapping[int, int]) -> list[Subject] | None:
        """Return the subjects of the records from these offsets on; None if some are not known."""
        if any(offset < self._floor.get(part, 0) for part, offset in positions.items()):
            return None
        found = (one for (one, part), seen in self._seen.items() if seen.offset >= positions.get(part, 0))
        return list(dict.fromkeys(found))


def subject_of(record: Record) -> Subject | None:
    """Return what a record is about; None for a record that is not an event."""
    key = key_text(record)
    if key is None:
        return None
    if key not in _SHARED_KEYS:
        return Subject("runs", key)
    try:
        return identify(record.key, record.headers).subject
    except BadRecord:
        return None
