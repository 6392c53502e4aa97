"""Runs in which anything is deleted or renamed at any time, with names that are easily confused."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from random import Random

from consumers.trackers.testing.runs import RunAuthor
from schemas import events as ev
from schemas.values import FloatValue, Histogram, HistogramValue, StringValue
from schemas.wire import Envelope

SERIES = ("a", "b", "t/a", "a{x}", "{b")  # `a` of step t is written `t/a`; `a` with the label x=1 is `a{x=1}`
LABELS: tuple[dict[str, str], ...] = ({}, {"x": "1"}, {"x": "1", "y": "2"})
WORDS = ("lr", "rate", "t/lr")
OBSERVED = (StringValue(value="seen"), HistogramValue(value=Histogram(counts=[1, 2], edges=[0, 1, 2])))


def any_run(run_id: str, random: Random, size: int, *, are_observed: bool = True) -> list[Envelope]:
    """Return a run of two attempts, with `size` envelopes of two producers between start and end."""
    author, other = RunAuthor(run_id), RunAuthor(run_id, "p2", time=1_500_000_000_000_700)
    made = [author.start(name="any")]
    for number in range(size):
        attempt = 1 + (2 * number > size)
        made.append(_any_envelope(random.choice((author, other)), random, attempt, are_observed=are_observed))
    return [*made, author.finish()]


def _any_envelope(author: RunAuthor, random: Random, attempt: int, *, are_observed: bool) -> Envelope:
    step_name = random.choice(("main", "main", "t"))
    kind = random.choice(("points", "points", "points", "values", "params", "tags", "delete", "rename"))
    time = author.now()
    match kind:
        case "params":
            params = {random.choice(WORDS): FloatValue(value=random.random())}
            return author.envelope(ev.Params(time=time, attempt=attempt, params=params))
        case "tags":
            return author.tags(**{random.choice(WORDS): str(random.random())})
        case "delete":
            what = random.choice(("series", "series", "param", "tag"))
            return author.delete(what, random.choice(SERIES if what == "series" else WORDS))
        case "rename":
            what = random.choice(("series", "series", "param", "tag"))
            names = SERIES if what == "series" else WORDS
            return author.rename(what, random.choice(names), random.choice(names))
        case "values" if are_observed:
            name, labels, value = random.choice(SERIES), random.choice(LABELS), random.choice(OBSERVED)
            seen = ev.Observation(name=name, labels=labels, step=1, time=time, value=value)
            return author.envelope(ev.Values(time=time, step_name=step_name, attempt=attempt, values=[seen]))
        case _:
            series = list(_any_series(author, random))
            return author.envelope(ev.Metrics(time=time, step_name=step_name, attempt=attempt, series=series))


def _any_series(author: RunAuthor, random: Random) -> Iterator[ev.Series]:
    for name in random.sample(SERIES, random.randint(1, 3)):
        count = random.randint(1, 3)
        yield ev.Series(
            name=name,
            labels=random.choice(LABELS),
            steps=array("q", [random.randint(0, 3) for _ in range(count)]),
            times=array("q", [author.now() for _ in range(count)]),
            values=array("d", [random.random() for _ in range(count)]),
        )
