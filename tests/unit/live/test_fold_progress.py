"""Requests that wait until the log is folded: one question to the store for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from consumers.live.api.errors import Failure
from consumers.live.api.fold_progress import Folded, FoldProgress, Producer
from consumers.store.read.snapshot import FoldedNumbers
from consumers.store.registry.read import RequestKey
from schemas.api import DecisionDocument
from schemas.errors import StoreUnavailable


class Store:
    """Counts the questions, and answers what is set."""

    def __init__(self) -> None:
        self.questions: list[list[Producer | RequestKey]] = []
        self.offset = 0
        self.below: dict[Producer | RequestKey, int] = {}
        self.is_away = False
        self.decision: DecisionDocument | None = None

    async def ask(self, asked: Collection[Producer | RequestKey]) -> Folded:
        """Answer one question."""
        self.questions.append(sorted(asked))
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        numbers = {one: FoldedNumbers(self.below.get(one, 0), ()) for one in asked if len(one) == 2}
        return Folded({0: self.offset}, numbers, {one: self.decision for one in asked if len(one) == 3})

    async def asked(self, more: int = 2) -> None:
        """Return once it was asked more often."""
        before = len(self.questions)
        while len(self.questions) < before + more:  # noqa: ASYNC110 - the poller asks every 20 ms
            await asyncio.sleep(0.001)


async def test_many_requests_are_answered_by_one_question_at_a_time() -> None:
    store = Store()
    progress = FoldProgress(store.ask)
    keys = [("run", f"p{number}") for number in range(100)]
    barriers = [
        asyncio.create_task(progress.wait_until(lambda now, key=key: now.received[key].below >= 5, 60, key))  # type: ignore[misc]  # mypy does not infer a lambda with a default
        for key in keys
    ]
    reads = [asyncio.create_task(progress.wait_until(lambda now: now.offsets[0] >= 7, 60)) for _ in range(100)]
    await store.asked()
    rounds = len(store.questions)
    assert not any(one.done() for one in barriers + reads)
    store.offset, store.below = 7, dict.fromkeys(keys, 5)
    answers = await asyncio.gather(*barriers, *reads)

    assert all(is_there for is_there, _ in answers)
    assert max(map(len, store.questions)) == 100
    assert len(store.questions) <= rounds + 2

    store.questions.clear()
    await progress.wait_until(lambda now: now.offsets[0] >= 7, 60)
    assert store.questions[0] == []  # the producers of requests that were answered are not asked for any more


async def test_a_request_that_ends_in_vain_says_how_far_it_is() -> None:
    store = Store()
    store.offset = 3

    assert await FoldProgress(store.ask).wait_until(lambda now: now.offsets[0] >= 7, 0.1) == (False, Folded({0: 3}, {}))


async def test_a_request_waits_for_a_decision_of_its_own() -> None:
    store = Store()
    progress, key = FoldProgress(store.ask), ("models", "p", 0)
    waiting = asyncio.create_task(progress.wait_until(lambda now: now.decided[key] is not None, 60, key))
    await store.asked()
    assert not waiting.done()
    facts = {"collection": "models", "producer": "p", "seq": 0, "subject_id": "digits", "kind": "model_registered"}
    store.decision = DecisionDocument.model_validate(
        {**facts, "outcome": "done", "reason": "", "result": {}, "time": 1, "log_offset": 2}
    )

    assert (await waiting)[1].decided == {key: store.decision}


async def test_an_outage_answers_those_that_wait_and_those_that_come_after_it_wait_again() -> None:
    store = Store()
    progress = FoldProgress(store.ask)
    waiting = asyncio.create_task(progress.wait_until(lambda now: now.offsets[0] >= 7, 60))
    await store.asked(1)
    store.is_away = True
    with pytest.raises(StoreUnavailable):
        await waiting
    store.is_away, store.offset = False, 7

    assert (await progress.wait_until(lambda now: now.offsets[0] >= 7, 60))[0]


async def test_when_the_process_stops_every_request_is_answered() -> None:
    progress = FoldProgress(Store().ask)
    waiting = asyncio.create_task(progress.wait_until(lambda now: False, 60))
    await asyncio.sleep(0)
    progress.close()

    with pytest.raises(Failure, match="about to stop"):
        await waiting
