"""
Decide which run `start_run` means, which attempt of it, and whether this process starts it or joins it.

Two trainings never write the same attempt of a run unless a program asks for it. An id that was used before on this
machine (`used_ids`) gives the next attempt if its process died, and otherwise a run of its own; each is said in one
line. What other machines did only the log knows: the fold marks an attempt that was started twice.
"""

from __future__ import annotations

import os
from time import gmtime, strftime

from gateway.client.encoding.values import clean
from gateway.client.errors import ClientError
from gateway.client.guards import safe_repr
from gateway.client.ids import uuid7
from gateway.client.notices import tell
from gateway.client.process import inheritance
from gateway.client.process.inheritance import MAX_ATTEMPT, MAX_RUN_ID, MAX_RUN_ID_BYTES
from gateway.client.run import used_ids
from gateway.client.run.arguments import read_attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.run.used_ids import Use


class Identity:
    """A run, as `start_run` is to open it."""

    __slots__ = ("attempt", "is_owner", "is_resumed", "run_id")

    def __init__(self, run_id: str, attempt: int, *, is_owner: bool = True, is_resumed: bool = False) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.is_owner = is_owner  # False: this process joins
        self.is_resumed = is_resumed


def identify(given: str | None, attempt: int | None, *, resume: bool, inherited: str | None) -> Identity:
    """
    Return the run that these arguments mean.

    `inherited` is the id that this process may join: the one in its environment, if that is not open here already.
    Raises ClientError for an id that cannot be used.
    """
    named = given if given is not None else inherited
    if named is None:
        return Identity(uuid7(), _given_attempt(attempt) or (2 if resume else 1), is_resumed=resume)
    run_id, number = _checked_id(named), _given_attempt(attempt)
    if resume:
        return _resume(run_id, number)
    is_inherited = run_id == inherited
    if is_inherited and (inheritance.is_started_elsewhere(run_id) or inheritance.find_rank() not in (None, "0")):
        return Identity(run_id, number or inheritance.find_attempt(run_id, is_resumed=False), is_owner=False)
    if number is not None:
        used_ids.add(run_id, number)
        return Identity(run_id, number)
    launched = inheritance.find_attempt(run_id, is_resumed=False)
    if launched > 1 and (found := _take(run_id, launched)) is not None:
        return found
    return _claim_inherited(run_id) if is_inherited else _claim_given(run_id)


def pass_over(found: Identity, newest: int) -> None:
    """Give a resumed run the attempt after the newest that the API knows, for a process that is alone in its job."""
    if found.is_owner and newest >= found.attempt and inheritance.find_rank() is None:
        found.attempt = min(newest + 1, MAX_ATTEMPT)
        used_ids.add(found.run_id, found.attempt)


def _resume(run_id: str, number: int | None) -> Identity:
    if number is None:
        number = max(inheritance.find_attempt(run_id, is_resumed=True), _following(run_id))
        return _take(run_id, number) or Identity(run_id, number, is_resumed=True)
    used_ids.add(run_id, number)
    return Identity(run_id, number, is_resumed=True)


def _take(run_id: str, number: int) -> Identity | None:
    """Return an attempt above 1 that this process starts, or joins after others of its job; None if it is used."""
    if used_ids.add(run_id, number):
        return Identity(run_id, number, is_resumed=True)
    last = used_ids.newest(run_id)
    return _join(run_id, last) if last is not None and last.attempt == number and _is_of_this_job(last) else None


def _following(run_id: str) -> int:
    """Return the attempt after the last one known here; of the processes of one job all get the same."""
    last = used_ids.newest(run_id)
    if last is None:
        return 1
    return min(last.attempt + (0 if _is_of_this_job(last) else 1), MAX_ATTEMPT)


def _is_of_this_job(last: Use | None) -> bool:
    """Return whether another process of the same launcher has the run open, as far as is known."""
    if last is None or last.has_ended or last.is_gone or last.is_ours:
        return False
    return inheritance.find_rank() is not None and not last.is_of_another_launch


def _claim_given(run_id: str) -> Identity:
    """Return the run of an id that a program gave, and that may have been used before."""
    last = used_ids.claim(run_id)
    if last is None:
        return Identity(run_id, 1)
    if last.is_gone:
        return _continue(run_id, last)
    if _is_of_this_job(last):
        return _join(run_id, last)
    suffix = f"-{os.urandom(4).hex()}"
    start = run_id[: MAX_RUN_ID - len(suffix)].encode()[: MAX_RUN_ID_BYTES - len(suffix)]
    own = start.decode(errors="ignore") + suffix
    state = "ended" if last.has_ended else "is not ended"
    tell(
        "run-id",
        f"run id {safe_repr(run_id, 80)} was used before ({_when(last)}, {state}): this run is {safe_repr(own, 90)}; "
        "to continue the earlier one, pass resume=True",
    )
    return Identity(own, 1)


def _claim_inherited(run_id: str) -> Identity:
    """Return the run that GATEWAY_RUN_ID names, if no process above this one has started it."""
    last = used_ids.claim(run_id, after_end=True)
    if last is None:
        return Identity(run_id, 1)
    if last.is_gone or (last.has_ended and not last.is_ours):
        return _continue(run_id, last)
    return _claim_given(run_id) if last.is_ours else _join(run_id, last)


def _continue(run_id: str, last: Use) -> Identity:
    how = "ended there" if last.has_ended else "was not ended"
    tell(
        "run-id",
        f"run {safe_repr(run_id, 80)} was used before ({_when(last)}) and {how}: this process continues it as attempt "
        f"{last.attempt + 1}; give another run_id to start a run of its own",
    )
    return Identity(run_id, last.attempt + 1, is_resumed=True)


def _join(run_id: str, last: Use) -> Identity:
    tell(
        "run-id",
        f"run {safe_repr(run_id, 80)} is open ({_when(last)}): this process joins it, and neither names nor ends it; "
        "give another run_id to start a run of its own",
    )
    return Identity(run_id, last.attempt, is_owner=False)


def _when(last: Use) -> str:
    return f"{strftime('%Y-%m-%d %H:%M', gmtime(last.time // 1_000_000))} UTC by {last.process}"


def _given_attempt(attempt: int | None) -> int | None:
    number = read_attempt(attempt)
    return None if number is None else min(max(number, 1), MAX_ATTEMPT)


def _checked_id(run_id: str) -> str:
    text = str.__str__(run_id) if issubclass(type(run_id), str) else ""  # of an enum with text, the text
    if not text or clean(text, MAX_RUN_ID) != text or len(text.encode()) > MAX_RUN_ID_BYTES:  # cut, or replaced
        raise ClientError(
            f"run id {safe_repr(run_id, 80)} cannot be used: give 1 to {MAX_RUN_ID} characters of text, at most "
            f"{MAX_RUN_ID_BYTES} bytes, without U+0000"
        )
    return text
