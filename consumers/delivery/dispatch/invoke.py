"""
Hand records of one run to its tracker, in a thread.

A tracker that cannot make a repeated call harmless by itself takes `in_doubt`: how many of the first envelopes it may
have already, because a call that had them never ended. It asks the place it writes to, and brings what is not there.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.log.dedup import EMPTY, admit
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.trackers.protocol import State, Tracker
from schemas.errors import BadRecord
from schemas.wire import Envelope, decode, identify, points_of

STATE_CHARACTERS = 4 * 1024 * 1024  # as JSON: it is written with every call of its run
_UNKEEPABLE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # NUL, and not a backslash before the letters


class Brought(NamedTuple):
    """What a call to a tracker came to."""

    progress: Checkpoint  # to be kept
    points: int
    doubted: int  # envelopes that were given before


class Bringing:
    """One tracker, called with the new envelopes of runs."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._asks = takes_in_doubt(tracker.deliver)

    def __call__(self, run_id: str, records: Sequence[Record], before: Checkpoint) -> Brought:
        """Bring what the run does not have. Raises what the tracker raises, and TypeError for a bad answer."""
        again, after = admit_records([one for one in records if one.offset < before.doubt_to], before)
        fresh, after = admit_records([one for one in records if one.offset >= before.doubt_to], after)
        envelopes = again + fresh
        if envelopes:
            deliver: Callable[..., State] = self._tracker.deliver
            more: dict[str, Any] = {"in_doubt": len(again)} if self._asks else {}
            state = deliver(run_id, envelopes, before.state, **more)
            after = after._replace(state=_plain(state))
        doubt_to = before.doubt_to if before.doubt_to > after.next_offset else 0
        done = after._replace(status="delivering", error="", attempt=0, doubt_to=doubt_to, unanswered=0)
        return Brought(done, sum(map(points_of, envelopes)), len(again))


def _plain(state: object) -> dict[str, Any]:
    """Return a state as PostgreSQL will give it back. Raises TypeError, ValueError for what cannot be kept."""
    if not isinstance(state, Mapping):
        raise TypeError(f"deliver returned {type(state).__name__}, not a JSON object")
    text = json.dumps(dict(state), allow_nan=False)
    if len(text) > STATE_CHARACTERS:
        raise ValueError(f"deliver returned a state of {len(text):,} characters: keep it below {STATE_CHARACTERS:,}")
    plain: dict[str, Any] = json.loads(text)
    if _UNKEEPABLE.search(text) or not _is_text(plain):
        raise ValueError("deliver returned a state with characters that PostgreSQL cannot keep (NUL, half a pair)")
    return plain


def _is_text(plain: dict[str, Any]) -> bool:
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def takes_in_doubt(deliver: Callable[..., Any]) -> bool:
    """Tell whether a tracker's `deliver` has a parameter `in_doubt`."""
    parameters = inspect.signature(deliver).parameters
    return "in_doubt" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def admit_records(records: Sequence[Record], before: Checkpoint) -> tuple[list[Envelope], Checkpoint]:
    """
    Return the envelopes that a run's tracker has not had, and the run's progress once it has them.

    A record below the run's offset was delivered before; one whose number was admitted before is a duplicate; one that
    cannot be decoded is counted and its number stays missing, so that a mended copy is admitted later.
    """
    ledgers = dict(before.ledgers)
    envelopes: list[Envelope] = []
    skipped = before.skipped
    for record in records:
        if record.offset < before.next_offset:
            continue
        identity = identify(record.key, record.headers)
        ledger, new = admit(ledgers.get(identity.producer, EMPTY), identity.seq)
        if new:
            try:
                envelopes.append(decode(record.key, record.value, record.headers))
            except BadRecord:
                skipped += 1
                continue
        ledgers[identity.producer] = ledger
    following = max([before.next_offset, *(record.offset + 1 for record in records[-1:])])
    return envelopes, before._replace(next_offset=following, ledgers=ledgers, skipped=skipped)
