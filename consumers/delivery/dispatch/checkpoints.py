"""
Write intents and results of many runs in one round trip.

Runs begin and end at moments of their own. What comes while a statement is under way waits for it, and goes out
together in the next one: nothing waits for company, and under load a statement carries many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumers.store.delivery.checkpoints import Checkpoint, Deliveries, Intent, Result
from consumers.store.fencing import Fenced

Given = TypeVar("Given")
Answers = TypeVar("Answers")


class Together(Generic[Given, Answers]):
    """Calls `write` with everything that was given while its last call was under way."""

    def __init__(self, write: Callable[[Sequence[Given]], Awaitable[Answers]]) -> None:
        self._write = write
        self._waiting: list[tuple[Given, asyncio.Future[Answers]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def give(self, one: Given) -> Answers:
        """Return what `write` returned for the group this one was in, or raise what it raised."""
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, answered))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await answered

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            waiting = [answered for _, answered in group if not answered.done()]
            try:
                answers = await self._write([one for one, _ in group])
            except Exception as error:  # noqa: BLE001  # each that waits raises it, and decides whether to ask again
                for answered in waiting:
                    answered.set_exception(error)
            else:
                for answered in waiting:
                    answered.set_result(answers)
        self._writing = None


class Checkpoints:
    """Intents and results of one tracker's runs. Raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, deliveries: Deliveries, tracker: str) -> None:
        self._tracker = tracker
        self._begin = Together[Intent, dict[str, Checkpoint]](deliveries.begin)
        self._keep = Together[Result, set[str]](deliveries.keep)

    async def begin(self, intent: Intent) -> Checkpoint | None:
        """Write down what a run is about to be given; return how far it is, None when it is parked."""
        return (await self._begin.give(intent)).get(intent.run_id)

    async def keep(self, result: Result) -> None:
        """Replace the intent by its result. Raises Fenced when another process moved the run."""
        if result.run_id not in await self._keep.give(result):
            raise Fenced(
                f"run {result.run_id} was delivered to {self._tracker} by another process: "
                "stop all but one, then start again"
            )
