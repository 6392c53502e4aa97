"""
What a comparison without differences does not prove: records that no place has, and outages while places are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from consumers.store.read.reader import StoreReader
from schemas.errors import Unavailable

NOT_COMPARED = (
    "environment, code, named steps and the parent of a run",
    "runs that somebody made in a tracker without the log",
)  # of every tracker
TRIES, PAUSE_S = 4, 0.5
T = TypeVar("T")


class Unproved(NamedTuple):
    """Something that every compared place may lack, so that their equality does not show it."""

    what: str  # "log", "records" or "dead letters"
    run_id: str  # "": not of one run
    amount: int  # of records; 0: unknown
    reason: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"run {self.run_id}: {self.reason}" if self.run_id else self.reason

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return self._asdict()


async def find_unproved(
    reading: StoreReader, run_ids: Sequence[str] | None, *, is_complete: bool | None, waited: bool
) -> list[Unproved]:
    """
    Return what is not proved of these runs, of all if `run_ids` is None. Raises StoreUnavailable.

    `is_complete`: whether the log was read to its end; None: Kafka did not answer.
    """
    found: list[Unproved] = []
    if is_complete is None:
        found.append(Unproved("log", "", 0, "Kafka did not answer: the log may hold records that no place has yet"))
    elif not is_complete:
        step = "the wait ran out: see `gateway status`" if waited else "use --wait SECONDS, or see `gateway status`"
        found.append(Unproved("log", "", 0, f"not all of the log is delivered yet: {step}"))
    async with reading.snapshot() as now:
        gaps = await now.gaps(await now.run_ids() if run_ids is None else run_ids)
        letters = await now.open_letters(run_ids)
    for run_id, absent in sorted(gaps.items()):
        text = f"{absent:,} records are missing in the log: `gateway sync` sends those that a machine still has"
        found.append(Unproved("records", run_id, absent, text))
    for run_id, count in sorted(letters.items()):
        text = f"{count:,} records are dead letters: see `gateway dead-letters list`"
        found.append(Unproved("dead letters", run_id, count, text))
    return found


async def retry_outages(read: Callable[[], Awaitable[T]]) -> T:
    """Read; again after a pause if a connection broke or a server is restarted. Raises what the last try raises."""
    for number in range(1, TRIES):
        try:
            return await read()
        except Unavailable:
            await asyncio.sleep(PAUSE_S * number)
    return await read()
