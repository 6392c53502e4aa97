"""A sweep of small training runs, and the facts that a tracker must hold of it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from consumers.trackers.fidelity import expected_points
from consumers.trackers.protocol import Capabilities
from schemas import events as ev
from schemas.facts import Facts
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.support.edge_case_runs import points_of
from tests.support.log_author import Author


def sweep(runs: int, *, envelopes: int = 10, points: int = 20) -> list[Envelope]:
    """Return the envelopes of several runs, interleaved: `envelopes` of metrics per run, each with `points` points."""
    name = uuid.uuid4().hex[:8]
    made = [training(f"{name}/{number}", envelopes, points) for number in range(runs)]
    return [envelope for turn in zip(*made, strict=True) for envelope in turn]


def training(run_id: str, envelopes: int, points: int) -> list[Envelope]:
    """Return one run: a start, params, metrics and an end."""
    author, dice = Author(run_id), random.Random(run_id)
    params = {"lr": FloatValue(value=0.1), "width": FloatValue(value=3.0)}
    made = [author.start(tag="faults"), author.envelope(ev.Params(time=author.now(), params=params))]
    for number in range(envelopes):
        made.append(author.metrics("loss", [dice.random() for _ in range(points)], first_step=number * points))
    return [*made, author.finish()]


def emitted(envelopes: Sequence[Envelope], can: Capabilities = Capabilities()) -> Facts:  # noqa: B008 -- unchangeable
    """Return the facts of a tracker with these capabilities that holds all of it."""
    facts = Facts()
    for run_id in sorted({envelope.run_id for envelope in envelopes}):
        mine = [envelope for envelope in envelopes if envelope.run_id == run_id]
        names = {name for envelope in mine if isinstance(envelope.event, ev.Params) for name in envelope.event.params}
        facts.add_run(run_id, expected_points(points_of(mine), can), len(names))
    return facts
