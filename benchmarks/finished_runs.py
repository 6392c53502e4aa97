"""
The log of many finished trainings as their clients would have written it, including edge cases.

Pure. A training emits all its series in each step and 20 steps per second, so its client cuts batches of four steps
(200 ms); the metrics are encoded by the client's own encoder. Some trainings run at the same time, and their records
alternate in the log. The same shape always gives the same records.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from itertools import zip_longest
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

from consumers.trackers.testing.runs import edge_case_run, points_of
from gateway.client.encoding.wire import encode_text, source_of
from gateway.client.journal.series import SeriesDefinition
from gateway.client.shipping.batching import JournalSlice, encode_events
from schemas import events as ev
from schemas.values import FloatValue, Histogram, HistogramValue, StringValue, Typed
from schemas.wire import EncodedRecord, Envelope, ProducerId, RunId, encode

START = 1_750_000_000_000_000  # µs: 2025-06-15
STEP_US = 50_000  # 20 steps per second
STEPS_A_BATCH = 4  # in the 200 ms after which a client cuts a batch
AT_ONCE = 20  # trainings that run at the same time
KINDS = 25  # in this many trainings, each kind below occurs once
FAILED, KILLED, NESTED, ATTEMPTS, NON_FINITE, FALLING, EQUAL, VALUES, WORDS, LARGE, NAMES, OPEN = range(1, 13)
LONG_NAME, EMOJI_NAME = "long/" + "x" * 295, "émojі 😀/loss"
MAIN = "main"


class Shape(NamedTuple):
    """Size of a history: `runs` trainings, each with `series` series of `points` points."""

    runs: int = 1_000
    series: int = 50
    points: int = 200

    @property
    def odd_runs(self) -> int:
        """Number of runs of the trackers' contract suite among them, with unusual names, values and steps."""
        return max(1, self.runs // 200)

    @property
    def all_points(self) -> int:
        """Number of metric points of all runs, including the odd ones."""
        return self.runs * self.series * self.points + self.odd_runs * len(points_of(edge_case_run("odd")))


def run_ids(shape: Shape) -> list[str]:
    """Return the ids of all runs."""
    return [_name(number) for number in range(shape.runs)] + [f"odd-{number}" for number in range(shape.odd_runs)]


def records(shape: Shape, first: int = 0) -> Iterator[EncodedRecord]:
    """Yield the records of a whole history in log order, starting with training number `first`."""
    trainings: list[Iterator[EncodedRecord]] = [
        Training(shape, first + number).records() for number in range(shape.runs)
    ]
    for number in range(shape.odd_runs):
        trainings.insert(number * 200, map(encode, _odd(f"odd-{first + number}")))
    for begin in range(0, len(trainings), AT_ONCE):
        for turn in zip_longest(*trainings[begin : begin + AT_ONCE]):
            yield from (record for record in turn if record is not None)


class Training:
    """One run: the events that it emits, in order."""

    def __init__(self, shape: Shape, number: int) -> None:
        self.run_id = _name(number)
        self._shape, self._number, self._kind = shape, number, number % KINDS
        self._producer = f"00000000-0000-7000-8000-{number:012x}"
        self._source = source_of(self.run_id, self._producer)
        self._random = Random(number)
        self._seq = 0
        self._time = START + number // AT_ONCE * (shape.points + 20) * STEP_US + number % AT_ONCE * 1_000

    def records(self) -> Iterator[EncodedRecord]:
        """Yield all its records, cut into batches the way a client does."""
        yield from self._opening()
        half = self._shape.points // 2 if self._kind == ATTEMPTS else self._shape.points
        yield from self._metrics(0, half, attempt=1)
        if self._kind == ATTEMPTS:  # from a checkpoint: the last fifth of the steps is repeated
            yield self._record(ev.RunResumed(time=self._now(), attempt=2))
            again = half - half // 5
            yield from self._metrics(again, again + self._shape.points - half, attempt=2)
        yield from self._ending()

    def _opening(self) -> Iterator[EncodedRecord]:
        parent = _name(self._number - 1) if self._kind == NESTED else ""
        named = {"name": f"training {self._number}", "tag": f"experiment-{self._number % 5}", "group": "sweep"}
        yield self._record(ev.RunStarted(time=self._now(), parent_run_id=parent, **named))
        params: dict[str, Typed] = {name: FloatValue(value=self._random.random()) for name in ("lr", "decay", "seed")}
        params |= {"optimizer": StringValue(value="adam"), "model": StringValue(value="resnet-50")}
        if self._kind == LARGE:
            params["config"] = StringValue(value="x" * 20_000)
        yield self._record(ev.Params(time=self._now(), params=params))
        yield self._record(ev.Tags(time=self._now(), tags={"team": "vision", "stage": f"s{self._number % 3}"}))
        if self._kind == WORDS:
            yield self._record(ev.Note(time=self._now(), text="diverged, see the chart 😀"))
            yield self._record(ev.Tags(time=self._now(), tags={"team": "speech", "émojі 😀": "é"}))

    def _ending(self) -> Iterator[EncodedRecord]:
        attempt = 2 if self._kind == ATTEMPTS else 1
        end = {"time": self._now(), "batches": self._seq + 1, "attempt": attempt}
        if self._kind == FAILED:
            yield self._record(ev.RunFailed.model_validate(end | {"message": "CUDA out of memory"}))
        elif self._kind == KILLED:
            yield self._record(ev.RunKilled.model_validate(end))
        elif self._kind != OPEN:
            yield self._record(ev.RunFinished.model_validate(end))
        count = self._shape.series * self._shape.points
        yield self._record(ev.ProducerClosed(time=self._now(), batches=self._seq + 1, points=count))

    def _metrics(self, first: int, end: int, *, attempt: int) -> Iterator[EncodedRecord]:
        written = {number: SeriesDefinition(name, (MAIN, attempt, ())) for number, name in enumerate(self._names())}
        segment: Any = SimpleNamespace(series=written)  # the only part of a journal segment that the encoder uses
        for begin in range(first, end, STEPS_A_BATCH):
            steps = list(range(begin, min(begin + STEPS_A_BATCH, end)))
            piece = JournalSlice(0)
            piece.numbers = list(written) * len(steps)
            piece.points = self._columns(steps)
            for event in encode_events(segment, piece):
                yield self._encoded(event.kind, event.text)
            if self._kind == VALUES and begin % 40 == 0:
                yield self._record(self._values(begin))

    def _names(self) -> list[str]:
        names = [f"train/metric_{number:02}" for number in range(self._shape.series)]
        return [LONG_NAME, EMOJI_NAME, *names][: self._shape.series] if self._kind == NAMES else names

    def _columns(self, steps: list[int]) -> tuple[bytes, list[int], list[int], list[float]]:
        width = self._shape.series
        emitted_steps, times, values = array("q"), array("q"), array("d")
        for step in steps:
            now = self._now(STEP_US) * 1_000
            emitted = {FALLING: self._shape.points - step, EQUAL: step // 2}.get(self._kind, step)
            emitted_steps.extend([emitted] * width)
            times.extend([now] * width)
            values.extend(self._random.random() for _ in range(width))
        if self._kind == NON_FINITE:
            values[0], values[1 % width], values[-1] = math.nan, math.inf, -math.inf
        return bytes(len(values)), emitted_steps.tolist(), times.tolist(), values.tolist()

    def _values(self, step: int) -> ev.Values:
        counts = Histogram(counts=[self._random.randint(0, 99) for _ in range(16)], edges=list(range(17)))
        seen: dict[str, Typed] = {
            "weights": HistogramValue(value=counts), "sample": StringValue(value=f"text of step {step}")
        }  # fmt: skip
        time = self._now()
        found = [ev.Observation(name=name, step=step, time=time, value=value) for name, value in seen.items()]
        return ev.Values(time=time, values=found)

    def _now(self, later: int = 100) -> int:
        self._time += later
        return self._time

    def _record(self, event: ev.AnyEvent) -> EncodedRecord:
        made = encode(Envelope(RunId(self.run_id), ProducerId(self._producer), self._seq, event.time, event))
        self._seq += 1
        return made

    def _encoded(self, kind: str, text: bytes) -> EncodedRecord:
        made = encode_text(self.run_id, self._source, self._seq, self._time, kind, text)
        self._seq += 1
        return EncodedRecord(made.key, made.value, list(made.headers))


def plain_rows(shape: Shape, number: int) -> tuple[str, list[tuple[int, int, dict[str, float]]]]:
    """Return a run's id and its points as rows of step, time (µs) and values, for the trackers' own calls."""
    dice = Random(number)
    names = [f"train/metric_{at:02}" for at in range(shape.series)]
    rows = [(step, START + step * STEP_US, {name: dice.random() for name in names}) for step in range(shape.points)]
    return _name(number), rows


def _odd(run_id: str) -> list[Envelope]:
    """Return a run of the contract suite in which attempt 2 ends, instead of attempt 1 as in the suite."""
    *others, last = edge_case_run(run_id)
    return [*others, last._replace(event=ev.RunFinished(time=last.time, attempt=2))]


def _name(number: int) -> str:
    return f"training-{number:05}"
