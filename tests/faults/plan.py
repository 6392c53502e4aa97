"""
A schedule of faults: kind, target, start and duration, repeatable by its seed.

Pure. Every kind of fault occurs once before any occurs again, in an order given by the seed. Faults of different
targets overlap; those of one target never do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of fault: its possible targets, and its shortest and longest duration in seconds."""

    name: str
    targets: tuple[str, ...]
    lasts_s: tuple[float, float] = (0.0, 0.0)
    rest_s: float = 1.0  # pause of the target after the fault


class Fault(NamedTuple):
    """A fault from `at_s` to `until_s`, in seconds after the start."""

    at_s: float
    until_s: float
    kind: str
    target: str


WORKERS = ("worker-0", "worker-1")
TRAININGS = ("training-0", "training-1", "training-2")
SESSION_S = 3.0  # session of the workers
_LINE_FAULTS = {
    "cut": (0.5, 4.0),
    "dropped": (0.0, 0.0),
    "delayed": (1.0, 4.0),
    "stalled": (1.0, 5.0),
    "half-closed": (1.0, 5.0),
    "limited": (1.0, 3.0),
}
KINDS = (
    Kind("worker killed", WORKERS),
    Kind("worker killed", WORKERS),
    Kind("worker paused beyond its session", WORKERS, (SESSION_S + 1.5, SESSION_S + 3.0)),
    Kind("worker joins, then leaves", ("worker-2",), (4.0, 10.0)),
    Kind("training killed", TRAININGS),
    Kind("training paused", TRAININGS, (0.5, 3.0)),
    Kind("Kafka killed", ("Kafka",), (0.2, 3.0), 8.0),
    Kind("PostgreSQL killed", ("PostgreSQL",), (0.1, 2.0), 3.0),
    *(
        Kind(f"line to {server} {name}", (f"line to {server}",), lasts, 1.5)
        for name, lasts in _LINE_FAULTS.items()
        for server in ("Kafka", "PostgreSQL")
    ),
)


def plan(seed: int, duration_s: float, kinds: Sequence[Kind] = KINDS) -> list[Fault]:
    """Return the faults of `duration_s` seconds in the order of their start; all end within that time."""
    dice = random.Random(seed)
    free_at: dict[str, float] = {}
    faults: list[Fault] = []
    deck: list[Kind] = []
    now = 0.0
    pause_s = min(2.0, duration_s / (len(kinds) + 2))  # so that every kind fits once
    while now < duration_s:
        if not deck:
            deck = dice.sample(kinds, len(kinds))
        kind = deck.pop()
        target = dice.choice(kind.targets)
        begin = max(now, free_at.get(target, 0.0))
        end = begin + dice.uniform(*kind.lasts_s)
        if end < duration_s:
            faults.append(Fault(begin, end, kind.name, target))
            free_at[target] = end + kind.rest_s
        now += pause_s * dice.uniform(0.5, 1.5)
    return sorted(faults)
