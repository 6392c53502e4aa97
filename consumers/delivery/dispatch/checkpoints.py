"""
Write intents and results of many runs in one round trip.

Runs begin and end calls at different times. What arrives while a statement is under way waits for it, and is written
together by the next one (group commit): nothing waits to fill a group, and under load a statement carries many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumers.store.delivery.checkpoints import Checkpoint, Deliveries, Intent, Result
from consumers.store.fencing import Fenced

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Calls `write` with everything that was submitted while its last call was under way."""

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Answer]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Return what `write` returned for the group with this item, or raise what it raised."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answered))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await answered

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            waiting = [answered for _, answered in group if not answered.done()]
            try:
                answer = await self._write([item for item, _ in group])
            except Exception as error:  # noqa: BLE001  # each caller raises it, and decides whether to submit again
                for answered in waiting:
                    answered.set_exception(error)
            else:
                for answered in waiting:
                    answered.set_result(answer)
        self._writing = None


class Checkpoints:
    """Intents and results of one tracker's runs. Raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, deliveries: Deliveries, tracker: str) -> None:
        self._tracker = tracker
        self._begin = GroupCommit[Intent, dict[str, Checkpoint]](deliveries.begin)
        self._keep = GroupCommit[Result, set[str]](deliveries.keep)

    async def begin(self, intent: Intent) -> Checkpoint | None:
        """Record what a run is about to be given; return how far it is, None when it is parked."""
        return (await self._begin.submit(intent)).get(intent.run_id)

    async def keep(self, result: Result) -> None:
        """Replace the intent by its result. Raises Fenced when another process moved the run."""
        if result.run_id not in await self._keep.submit(result):
            raise Fenced(
                f"run {result.run_id} was delivered to {self._tracker} by another process: "
                "stop all but one, then start again"
            )
