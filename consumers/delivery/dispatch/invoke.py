"""
Pass records of one run to its tracker, in a thread.

A tracker that cannot recognise repeated records by itself declares the parameter `in_doubt`: the number of
envelopes, counted from the first, that it may already have, because a call that contained them never returned. Such a
tracker queries its target, and writes what is missing there.

A tracker gets only those values of a parameter that count when they come (schemas/params.py), so the last one that it
gets is the one to show; unless it keeps all of them with their attempts.
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
from consumers.trackers.protocol import State, Tracker, capabilities_of
from schemas import events as ev
from schemas.errors import BadRecord
from schemas.events import MetricRows
from schemas.params import admit_params, edit_attempts
from schemas.wire import Envelope, decode_run, identify, points_of

STATE_CHARACTERS = 4 * 1024 * 1024  # as JSON: it is written with every call of its run
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape, and not a literal backslash before these letters


class CallResult(NamedTuple):
    """The result of a call to a tracker."""

    progress: Checkpoint  # to be recorded
    points: int
    redelivered: int  # envelopes that an earlier call without a result contained


class TrackerInvoker:
    """Calls one tracker with the new envelopes of runs."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._takes_in_doubt = takes_in_doubt(tracker.deliver)
        self._takes_all_params = capabilities_of(tracker).keeps_param_attempts

    def deliver(self, run_id: str, records: Sequence[Record], before: Checkpoint) -> CallResult:
        """Deliver what the run does not have. Raises what the tracker raises, and TypeError for a bad answer."""
        again, after = admit_records([one for one in records if one.offset < before.doubt_to], before)
        fresh, after = admit_records([one for one in records if one.offset >= before.doubt_to], after)
        envelopes = again + fresh
        if not self._takes_all_params:
            envelopes, attempts = counting_params(envelopes, before.param_attempts)
            after = after._replace(param_attempts=attempts)
        if envelopes:
            deliver: Callable[..., State] = self._tracker.deliver
            more: dict[str, Any] = {"in_doubt": len(again)} if self._takes_in_doubt else {}
            state = deliver(run_id, envelopes, before.state, **more)
            after = after._replace(state=_plain(state))
        doubt_to = before.doubt_to if before.doubt_to > after.next_offset else 0
        done = after._replace(status="delivering", error="", attempt=0, doubt_to=doubt_to, unanswered=0)
        return CallResult(done, sum(map(points_of, envelopes)), len(again))


def counting_params(
    envelopes: Sequence[Envelope], known: Mapping[str, int]
) -> tuple[list[Envelope], Mapping[str, int]]:
    """Return the envelopes without values of parameters that do not count, and the attempts of names after them."""
    found: list[Envelope] = []
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.Params):
            kept, known = admit_params(event.params, event.attempt, known)
            if len(kept) < len(event.params):
                envelope = envelope._replace(event=event.model_copy(update={"params": kept}))  # noqa: PLW2901
        elif isinstance(event, ev.Deleted) and event.what == "param":
            known = edit_attempts(known, event.name, None)
        elif isinstance(event, ev.Renamed) and event.what == "param":
            known = edit_attempts(known, event.old, event.new)
        found.append(envelope)
    return found, known


def takes_in_doubt(deliver: Callable[..., Any]) -> bool:
    """Tell whether a tracker's `deliver` has a parameter `in_doubt`."""
    parameters = inspect.signature(deliver).parameters
    return "in_doubt" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def admit_records(records: Sequence[Record], before: Checkpoint) -> tuple[list[Envelope], Checkpoint]:
    """
    Return the envelopes that a run's tracker does not have yet, and the run's progress once it has them.

    A record below the run's offset was delivered before. One whose number was admitted before is a duplicate. One that
    cannot be decoded is counted and its number stays missing, so that a corrected copy is admitted later.
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
                envelope = decode_run(record.key, record.value, record.headers)
                if isinstance(envelope.event, MetricRows):  # plug-ins know columns
                    envelope = envelope._replace(event=envelope.event.as_columns())
                envelopes.append(envelope)
            except BadRecord:
                skipped += 1
                continue
        ledgers[identity.producer] = ledger
    following = max([before.next_offset, *(record.offset + 1 for record in records[-1:])])
    return envelopes, before._replace(next_offset=following, ledgers=ledgers, skipped=skipped)


def _plain(state: object) -> dict[str, Any]:
    """Return a state as PostgreSQL will return it. Raises TypeError and ValueError for what it cannot store."""
    if not isinstance(state, Mapping):
        raise TypeError(f"deliver returned {type(state).__name__}, not a JSON object")
    text = json.dumps(dict(state), allow_nan=False)
    if len(text) > STATE_CHARACTERS:
        raise ValueError(f"deliver returned a state of {len(text):,} characters: keep it below {STATE_CHARACTERS:,}")
    plain: dict[str, Any] = json.loads(text)
    if _NUL.search(text) or not _is_text(plain):
        raise ValueError(
            "deliver returned a state with characters that PostgreSQL cannot store (NUL, half a surrogate pair)"
        )
    return plain


def _is_text(plain: dict[str, Any]) -> bool:
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
