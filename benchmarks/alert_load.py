"""
Rules and points of a known outcome, for the benchmark of alerts.

RUNS runs send one record each of STEPS steps of SERIES metrics in turn, as a client does that records 25 steps a second
and cuts a record every 200 ms. Five rules are about each metric of each run. Some records hold an incident, after which
values are ordinary again, so that each rule it concerns fires once and is resolved.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope, RunId

RUNS, SERIES, STEPS = 100, 20, 5
POINTS = SERIES * STEPS  # of a record
STEP_US = 40_000
WARM = 4  # records of a run before its first incident: a spike needs 10 points
KINDS: dict[str, dict[str, Any]] = {
    "nan": {"kind": "nan"},
    "threshold": {"kind": "threshold", "op": ">", "value": 1e6},
    "for-points": {"kind": "threshold", "op": ">", "value": 1e6, "for_points": 2},
    "spike": {"kind": "spike", "score": 1e4},
    "stalled": {"kind": "stalled", "goal": "min", "steps": 2**50},  # keeps its state, and never fires
}


class Firing(NamedTuple):
    """A firing that must be stored, once."""

    rule_id: str
    run_id: str
    series: str
    step: int


class Load(NamedTuple):
    """Envelopes in the order in which they are written, and what must fire."""

    envelopes: list[Envelope]
    points: int
    expected: list[Firing]


def rules(count: int, time: int) -> Iterator[RegistryEnvelope]:
    """Yield the events that save the rules at a time, µs; beyond those that are about the runs, about other runs."""
    made = 0
    for run in range(count):
        for series in range(SERIES):
            for kind, when in KINDS.items():
                if made == count:
                    return
                made += 1
                body = {"when": when, "where": f"experiment = 'e{run}'", "series": {"name": f"m{series}"}}
                rule_id = f"{kind} {run} {series}"
                event = ev.AlertRuleSaved(time=time, name=rule_id, body=body)
                yield RegistryEnvelope(Subject("alert_rules", rule_id), ProducerId(rule_id), 0, time, event)


def load(records: int, time: int) -> Load:
    """Return the starts of the runs and so many records of points, which begin at a time, µs; the same at each call."""
    rng = random.Random(14)
    starts = [_envelope(run, 0, ev.RunStarted(time=time, tag=f"e{run}", heartbeats=False)) for run in range(RUNS)]
    expected: list[Firing] = []
    envelopes = [_record(number, time, rng, expected) for number in range(records)]
    return Load(starts + envelopes, records * POINTS, expected)


def _envelope(run: int, seq: int, event: ev.AnyEvent) -> Envelope:
    return Envelope(RunId(f"run{run}"), ProducerId(f"of{run}"), seq, event.time, event)


def _record(number: int, start: int, rng: random.Random, expected: list[Firing]) -> Envelope:
    nth, run = divmod(number, RUNS)
    first = nth * STEPS
    steps = array("q", range(first, first + STEPS))
    times = array("q", [start + STEP_US * (step + 1) for step in steps])
    columns = [[rng.gauss(1.0, 0.1) for _ in range(STEPS)] for _ in range(SERIES)]
    if nth >= WARM and number % 23 == 0:  # in the middle of a record, so that it ends what it begins
        columns[number % SERIES][1] = math.nan
        expected.append(Firing(f"nan {run} {number % SERIES}", f"run{run}", f"m{number % SERIES}", first + 1))
    if nth >= WARM and number % 29 == 0:
        at = (number + 7) % SERIES
        columns[at][2] = columns[at][3] = 2e6
        for kind, step in (("threshold", 2), ("for-points", 3), ("spike", 2)):
            expected.append(Firing(f"{kind} {run} {at}", f"run{run}", f"m{at}", first + step))
    series = [
        ev.Series(name=f"m{at}", steps=steps, times=times, values=array("d", values))
        for at, values in enumerate(columns)
    ]
    return _envelope(run, nth + 1, ev.Metrics(time=times[-1], series=series))
