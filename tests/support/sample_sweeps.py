"""A sweep of small trainings, and what has to be in a tracker of it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from schemas import events as ev
from schemas.facts import Facts
from schemas.values import FloatValue
from schemas.wire import Batch
from tests.support.edge_case_runs import points_of
from tests.support.log_author import Author


def sweep(runs: int, *, batches: int = 10, points: int = 20) -> list[Batch]:
    """Return the batches of several runs, one of each in turn; `batches` of metrics a run, with so many points each."""
    name = uuid.uuid4().hex[:8]
    made = [training(f"{name}/{number}", batches, points) for number in range(runs)]
    return [batch for turn in zip(*made, strict=True) for batch in turn]


def training(run_id: str, batches: int, points: int) -> list[Batch]:
    """Return one run: a start, params, metrics and an end."""
    author, dice = Author(run_id), random.Random(run_id)
    params = {"lr": FloatValue(value=0.1), "width": FloatValue(value=3.0)}
    made = [author.start(tag="faults"), author.batch(ev.Params(time=author.now(), params=params))]
    for number in range(batches):
        made.append(author.metrics("loss", [dice.random() for _ in range(points)], first_step=number * points))
    return [*made, author.finish()]


def emitted(batches: Sequence[Batch]) -> Facts:
    """Return what a tracker that has all of it holds."""
    facts = Facts()
    for run_id in sorted({batch.run_id for batch in batches}):
        mine = [batch for batch in batches if batch.run_id == run_id]
        names = {name for batch in mine if isinstance(batch.event, ev.Params) for name in batch.event.params}
        facts.add_run(run_id, points_of(mine), len(names))
    return facts
