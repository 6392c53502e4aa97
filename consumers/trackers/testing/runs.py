"""
Runs with everything that trackers get wrong, for the contract suite, and the data that they leave.

Pure. The times are far in the past, so that a tracker that uses its own clock is detected.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence

from consumers.trackers.edits import SeriesKey, edited_names, edited_series, edits_of, is_edit, series_key
from schemas import events as ev
from schemas.facts import Point
from schemas.values import FloatValue, Histogram, HistogramValue, IntValue, JsonValue, StringValue
from schemas.wire import Envelope, ProducerId, RunId

START = 1_500_000_000_000_000  # µs: 2017-07-14
STEP_OF_TIME = 1_500  # µs between two instants
VALUES = (0.1, math.nan, math.inf, -math.inf, -0.0, 5e-324, sys.float_info.max, -sys.float_info.max, 1 / 3)
NAMES = (
    "loss", "LOSS", "with space", "with_space", "émojі 😀", "a//b", "a/b", "a_b", "..", "../up", "/lead", "trail/",
    "a[0]{b}", "_step", "gw/step", "gw.run_id", "gw/params", "a::b:", "_x5f_", "a.b", "new\nline", "'quote\"s'",
    "_timestamp", "x" * 300, "x" * 299 + "y", "y" * 1_024, "😀" * 256, "%2F", "NUL", "-", "epoch", "run",
)  # fmt: skip


class RunAuthor:
    """One producer of one run, which numbers its events; each instant is 1.5 ms after the previous one."""

    def __init__(self, run_id: str, producer: str = "p1", *, time: int = START) -> None:
        self._run_id, self._producer, self._seq = RunId(run_id), ProducerId(producer), 0
        self._time = time

    def now(self) -> int:
        """Return a new instant, in µs."""
        self._time += STEP_OF_TIME
        return self._time

    def envelope(self, event: ev.AnyEvent) -> Envelope:
        """Return an event with the next sequence number."""
        self._seq += 1
        return Envelope(self._run_id, self._producer, self._seq - 1, event.time, event)

    def start(self, **fields: object) -> Envelope:
        """Return the start of the run."""
        return self.envelope(ev.RunStarted.model_validate({"time": self.now(), **fields}))

    def finish(self, *, attempt: int = 1) -> Envelope:
        """Return the end of the run."""
        return self.envelope(ev.RunFinished(time=self.now(), attempt=attempt))

    def metrics(self, name: str, values: Sequence[float], steps: Sequence[int] = (), *, attempt: int = 1) -> Envelope:
        """Return points of one series; steps count from 0 by default."""
        return self.at([self.now() for _ in values], name, values, steps, attempt=attempt)

    def at(
        self, times: Sequence[int], name: str, values: Sequence[float], steps: Sequence[int] = (), *, attempt: int = 1
    ) -> Envelope:
        """Return points of one series at these instants."""
        series = ev.Series(
            name=name,
            steps=array("q", steps or range(len(values))),
            times=array("q", times),
            values=array("d", values),
        )
        return self.envelope(ev.Metrics(time=times[-1], series=[series], attempt=attempt))

    def params(self, attempt: int = 1, **params: float | str) -> Envelope:
        """Return parameters."""
        typed = {
            name: StringValue(value=value) if isinstance(value, str) else FloatValue(value=value)
            for name, value in params.items()
        }
        return self.envelope(ev.Params.model_validate({"time": self.now(), "attempt": attempt, "params": typed}))

    def tags(self, **tags: str) -> Envelope:
        """Return tags."""
        return self.envelope(ev.Tags(time=self.now(), tags=tags))

    def scoped(self, step_name: str, series: Mapping[str, Mapping[str, str]], *, attempt: int = 1) -> Envelope:
        """Return one point of each of these series of a named step, by name, with their labels."""
        time = self.now()
        made = [
            ev.Series(name=name, labels=dict(labels), steps=[number], times=[time], values=[number + 0.5])
            for number, (name, labels) in enumerate(series.items())
        ]
        return self.envelope(ev.Metrics(time=time, step_name=step_name, attempt=attempt, series=made))

    def stage(self, stage: str) -> Envelope:
        """Return the event that puts the run into the trash ("deleted"), or takes it out ("active")."""
        return self.envelope(ev.LifecycleStage.model_validate({"time": self.now(), "stage": stage}))

    def delete(self, what: str, name: str = "") -> Envelope:
        """Return the delete of a part of the run, or of the whole run."""
        return self.envelope(ev.Deleted.model_validate({"time": self.now(), "what": what, "name": name}))

    def rename(self, what: str, old: str, new: str) -> Envelope:
        """Return the rename of a part of the run, or of the run."""
        return self.envelope(ev.Renamed.model_validate({"time": self.now(), "what": what, "old": old, "new": new}))


def edge_case_run(run_id: str) -> list[Envelope]:
    """Return a run of two attempts with unusual values, names and steps, in log order."""
    author, other = RunAuthor(run_id), RunAuthor(run_id, "p2", time=START + 700)
    instant = author.now()
    return [
        author.start(name="odd one", tag="contract", group="sweep"),
        author.params(lr=0.1, text="x" * 20_000),
        author.envelope(
            ev.Params(time=author.now(), params={"a[0]": IntValue(value=7), "gw.x": StringValue(value="é")})
        ),
        *(author.metrics(name, VALUES) for name in NAMES),
        author.metrics("falling", [3.0, 2.0, 1.0], [5, -7, 2**40]),
        other.metrics("falling", [9.0, 8.0], [-5, -5]),
        author.at([instant] * 4, "equal", [1.0, 1.0, 2.0, math.nan], [1, 1, 1, 1]),
        author.envelope(_labelled(author)),
        author.envelope(_observations(author)),
        author.envelope(ev.Tags(time=author.now(), tags={"team": "vision", "a//b": "x" * 9_000})),
        author.envelope(ev.Note(time=author.now(), text="looks odd 😀")),
        author.envelope(ev.Artifact(time=author.now(), name="model.pt", uri="s3://bucket/model.pt", size=5)),
        author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd")),
        author.envelope(ev.RunResumed(time=author.now(), attempt=2)),
        author.params(2, lr=0.2),
        author.metrics("loss", [0.5, 0.25], [1, 2], attempt=2),
        other.metrics("loss", [0.75], [2], attempt=2),
        author.finish(attempt=2),
    ]


def edited_run(run_id: str) -> list[Envelope]:
    """Return a run of two attempts whose series, parameters, tags, name, note and experiment change, in log order."""
    author, other = RunAuthor(run_id), RunAuthor(run_id, "p2", time=START + 700)
    return [
        author.start(name="first name", tag="contract"),
        author.params(lr=0.1, secret="x", lost="y", depth=3),
        author.tags(team="vision", stage="draft", owner="ann"),
        author.metrics("loss", [4.0, 3.0, math.nan]),
        author.scoped("train", {"loss": {}, "acc": {}}),
        author.metrics("train/loss", [1.5]),
        author.scoped("main", {"acc": {"rank": "0"}, "old{x}": {}, "brace{a=b}": {}, "brace": {"a": "b"}}),
        author.envelope(_observations(author)),
        author.delete("series", "loss"),  # of main and of train; `train/loss` of main is another series
        author.delete("series", "never there"),
        other.metrics("loss", [9.0, 8.0], [7, 7]),
        author.rename("series", "acc", "accuracy"),
        author.metrics("acc", [0.5]),
        other.metrics("accuracy", [0.25, 0.75]),
        author.rename("series", "acc", "accuracy"),  # taken in main by now
        author.metrics("acc", [0.625], [3], attempt=2),
        author.rename("series", "acc", "accuracy"),  # free in the second attempt
        author.rename("series", "brace", "curly"),
        author.rename("series", "old{x}", "acc"),
        author.delete("param", "secret"),
        author.rename("param", "lr", "rate"),
        author.rename("param", "depth", "rate"),  # taken
        author.tags(stage="final"),
        author.delete("tag", "owner"),
        author.stage("deleted"),
        author.rename("tag", "team", "group"),
        author.rename("run", "", "better name"),
        author.envelope(ev.Moved(time=author.now(), tag="contract, edited")),
        author.envelope(ev.Note(time=author.now(), text="edited")),
        author.envelope(ev.RunFailed(time=author.now(), message="ValueError: odd")),
        author.stage("active"),
        author.delete("series", "seen 1"),
        author.delete("param", "lost"),
        author.envelope(ev.RunResumed(time=author.now(), attempt=2)),
        author.params(2, secret="again"),
        author.tags(owner="bob"),
        author.metrics("accuracy", [0.875], [4], attempt=2),
        author.delete("series", "train/loss"),
        author.envelope(ev.RunFinished(time=author.now(), attempt=2)),
        other.metrics("curly", [1.0]),
    ]


def points_of(envelopes: Iterable[Envelope], *, are_edited: bool = True) -> list[Point]:
    """Return the metric points of a run after these events, those of a series in log order."""
    held: dict[SeriesKey, list[tuple[int, int, float]]] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.Points):
            for series in event.series:
                points = zip(series.steps, series.times, series.values, strict=True)
                held.setdefault(series_key(event, series), []).extend(points)
        elif isinstance(event, ev.Values):
            for seen in event.values:
                held.setdefault(series_key(event, seen), [])  # an observation occupies its name
        elif are_edited and is_edit(event):
            changes = edited_series(held, edits_of([envelope]))
            found = {changes.get(key, key): points for key, points in held.items()}
            held = {key: points for key, points in found.items() if key is not None}
    return [
        Point(key.written, step, time // 1_000, value) for key, points in held.items() for step, time, value in points
    ]


def params_of(envelopes: Iterable[Envelope], *, are_edited: bool = True) -> set[str]:
    """Return the names of all parameters of a run after these events."""
    found: dict[str, str] = {}
    for envelope in envelopes:
        if isinstance(envelope.event, ev.Params):
            found |= dict.fromkeys(envelope.event.params, "")
        elif are_edited:
            found = _edited(found, envelope, "param")
    return set(found)


def tags_of(envelopes: Iterable[Envelope], *, are_edited: bool = True) -> dict[str, str]:
    """Return the tags of a run after these events."""
    found: dict[str, str] = {}
    for envelope in envelopes:
        if isinstance(envelope.event, ev.Tags):
            found |= envelope.event.tags
        elif are_edited:
            found = _edited(found, envelope, "tag")
    return found


def _edited(found: dict[str, str], envelope: Envelope, what: str) -> dict[str, str]:
    changes = edited_names(found, edits_of([envelope]), what)
    named = {changes.get(name, name): text for name, text in found.items()}
    return {name: text for name, text in named.items() if name is not None}


def _labelled(author: RunAuthor) -> ev.Metrics:
    time = author.now()
    return ev.Metrics(
        time=time,
        step_name="validate",
        series=[
            ev.Series(name="loss", labels={"rank": str(rank), "subset": "a"}, steps=[1], times=[time], values=[rank])
            for rank in range(3)
        ],
    )


def _observations(author: RunAuthor) -> ev.Values:
    values = [
        StringValue(value="NaN"),
        IntValue(value=10**40),
        JsonValue(value={"five": [5, None]}),
        HistogramValue(value=Histogram(counts=[1, 2], edges=[0, 1, 2])),
    ]
    seen = [
        ev.Observation(name=f"seen {index}", step=3, time=author.now(), value=value)
        for index, value in enumerate(values)
    ]
    return ev.Values(time=author.now(), values=seen)
