"""
Ask the query API what the earlier attempts of a run have recorded, when a run is continued.

Steps that no call gives then go on behind those of the earlier attempts, where they would begin at 0 again and replace
the earlier points in charts. The wait is short, and an API that does not answer is no error.
"""

from __future__ import annotations

from _thread import get_ident
from contextlib import contextmanager

from gateway.client.errors import ClientError
from gateway.client.journal.series import NO_STEP, BlindCounter, StepCounter
from gateway.client.notices import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Steps = dict[tuple[str, str, tuple[tuple[str, str], ...]], int]  # by name, named step and labels

TIMEOUT_S = 2.0

_waitless: set[int] = set()  # threads


class Earlier:
    """What PostgreSQL has of a run."""

    __slots__ = ("attempt", "is_deleted", "problem", "steps")

    def __init__(self, steps: Steps | None, *, attempt: int = 0, is_deleted: bool = False, problem: str = "") -> None:
        self.steps = steps  # the largest of each series; None if they are not known
        self.attempt = attempt  # the newest; 0 if none is known
        self.is_deleted = is_deleted
        self.problem = problem  # why the steps are not known


@contextmanager
def waitless() -> Iterator[None]:
    """Let this thread wait for no answer inside the block: it is in `emit`."""
    _waitless.add(get_ident())
    try:
        yield
    finally:
        _waitless.discard(get_ident())


def is_waitless() -> bool:
    """Return whether this thread is inside such a block."""
    return get_ident() in _waitless


def read_earlier(run_id: str) -> Earlier:
    """Return what the API knows of a run. Waits up to TIMEOUT_S for each answer of the network; never raises."""
    from gateway.client.query import ask, find_api, run_path

    try:
        api = find_api()
        status, found = ask(api, run_path(run_id, "progress"), TIMEOUT_S)
        if status == 200:
            return _read(found)
        return Earlier(None, problem=str(found.get("error") or f"{api} answers {status}"))
    except ClientError as error:
        return Earlier(None, problem=getattr(error, "problem", str(error)))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Earlier(None, problem="the API has another version")


def _read(found: dict[str, Any]) -> Earlier:
    if found["is_deleted"]:
        return Earlier({}, is_deleted=True)
    if not found["is_complete"]:
        return Earlier(None, attempt=int(found["attempt"]), problem="the run has too many series")
    steps = {
        (one["name"], one["step_name"], tuple(sorted(one["labels"].items()))): one["step"] for one in found["steps"]
    }
    return Earlier(steps, attempt=int(found["attempt"]))


def counter_after(earlier: Earlier | None, run_id: str) -> Callable[[tuple[str, str, Any]], StepCounter]:
    """Return what makes the counters of a continued run, by name, named step and labels; report a deleted run."""
    if earlier is not None and earlier.is_deleted:
        tell("deleted", f"run {run_id} was deleted: what is recorded into it is deleted, too; give another run_id")
    steps = None if earlier is None else earlier.steps
    if steps is not None:
        known = steps
        return lambda key: StepCounter(known.get(key, NO_STEP))
    problem = earlier.problem if earlier is not None else "`emit` does not wait for the API: call start_run first"
    why = (
        f"run {run_id}: the steps of its earlier attempts are not known ({problem}): points without `step` begin at 0 "
        "and replace the earlier ones in charts: pass step="
    )
    return lambda _: BlindCounter(why)
