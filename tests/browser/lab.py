"""Runs with everything that pages show: a small sweep of training a network on digits, made without randomness."""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from schemas import events as ev
from schemas.values import FloatValue, IntValue, JsonValue, StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author

SECOND = 1_000_000  # µs
STEP_S = 3
RATES = (0.1, 0.03, 0.01, 0.003)


def png(width: int, height: int, rows: Iterable[bytes]) -> bytes:
    """Return a PNG of rows of RGB pixels (PNG specification, 3rd edition: IHDR, IDAT, IEND)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def digit(number: int, step: int) -> bytes:
    """Return a small picture that becomes brighter with the step."""
    shade = 60 + 8 * min(step, 24)

    def row(y: int) -> bytes:
        lit = [(x - 8) ** 2 + (y - 8) ** 2 < 30 + 5 * number for x in range(16)]
        return b"".join(bytes((shade, shade // 2, 200 - shade // 2)) if on else b"\x10\x14\x20" for on in lit)

    return png(16, 16, map(row, range(16)))


class Training:
    """One run, written event by event, with times that are seconds apart."""

    def __init__(self, run_id: str, *, experiment: str, began: int, folder: Path | None = None) -> None:
        self.author = Author(run_id, time=began)
        self.experiment, self.began, self.folder = experiment, began, folder
        self.events: list[Envelope] = []

    def say(self, event: ev.AnyEvent) -> None:
        """Add an event."""
        self.events.append(self.author.envelope(event))

    def start(self, name: str, params: dict[str, float | int | str | dict[str, object]], **fields: object) -> None:
        """Begin the run, with its parameters."""
        self.say(ev.RunStarted(time=self.author.now(), name=name, tag=self.experiment, **fields))
        kinds = {float: FloatValue, int: IntValue, str: StringValue, dict: JsonValue}
        typed = {key: kinds[type(value)](value=value) for key, value in params.items()}
        self.say(ev.Params(time=self.author.now(), params=typed))

    def points(
        self, values: Mapping[str, Sequence[float]], *, first: int = 0, attempt: int = 1, every_s: float = STEP_S
    ) -> None:
        """Add series of equal length; the point of a step is `every_s` after that of the step before."""
        count = len(next(iter(values.values())))
        times = array("q", (self.author.time + int(at * every_s * SECOND) for at in range(1, count + 1)))
        steps = array("q", range(first, first + count))
        made = [ev.Series(name=name, steps=steps, times=times, values=array("d", one)) for name, one in values.items()]
        self.author.time = times[-1]
        self.say(ev.Metrics(time=self.author.time, attempt=attempt, series=made))

    def image(self, name: str, content: bytes) -> None:
        """Store an image as an artifact."""
        assert self.folder is not None
        digest = hashlib.sha256(content).hexdigest()
        place = self.folder / "sha256" / digest[:2] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        uri = f"file://{place}"
        self.say(ev.Artifact(time=self.author.now(), name=name, uri=uri, size=len(content), sha256=digest))

    def finish(self) -> None:
        """End the run without an error."""
        self.say(ev.RunFinished(time=self.author.now()))


def loss_of(rate: float, count: int, *, shift: int = 0) -> list[float]:
    """Return a falling, slightly noisy loss."""
    return [
        2.3 * math.exp(-rate * 4 * step / 10) + 0.2 + 0.05 * math.sin(step * 12.9898 + shift) for step in range(count)
    ]


def sweep(experiment: str, folder: Path, *, began: int, count: int = 40) -> list[Envelope]:
    """
    Return a sweep of eight runs `EXPERIMENT-0`... with parameters, tags, images, NaN, a failure and a second attempt.

    The last run still runs; the one before it failed; the third was resumed at step 20 and repeats ten steps.
    """
    found: list[Envelope] = []
    for number in range(8):
        rate, name = RATES[number % 4], f"{experiment}-{number}"
        run = Training(name, experiment=experiment, began=began + number * 20 * SECOND, folder=folder)
        params: dict[str, float | int | str | dict[str, object]] = {
            "lr": rate, "optimizer": "adam" if number < 4 else "sgd", "batch": 32 * (1 + number % 2),
            "net": {"layers": [64, 32], "dropout": 0.1 * (number % 2)},
        }  # fmt: skip
        run.start(f"digits lr={rate} {params['optimizer']}", params, group="adam" if number < 4 else "")
        run.say(ev.MetricDefined(time=run.author.now(), name="val/loss", goal="min"))
        run.say(ev.MetricDefined(time=run.author.now(), name="val/accuracy", goal="max", unit="%"))
        run.say(ev.Tags(time=run.author.now(), tags={"team": "vision" if number % 2 else "speech"}))
        run.say(ev.Environment(time=run.author.now(), values={"python": StringValue(value=f"3.11.{number % 2}")}))
        train = loss_of(rate, count, shift=number)
        if number == 1:
            train[25] = math.nan
        curves = {"train/loss": train, "val/loss": [value * 1.1 + 0.02 for value in loss_of(rate, count, shift=9)]}
        curves |= {"val/accuracy": [100 * (1 - math.exp(-rate * step)) for step in range(count)]}
        curves |= {"lr": [rate * 0.95**step for step in range(count)]}
        if number == 2:
            run.points({key: values[:30] for key, values in curves.items()})
            run.say(ev.RunResumed(time=run.author.now() + 600 * SECOND, attempt=2))
            run.author.time += 601 * SECOND
            run.points({key: values[20:] for key, values in curves.items()}, first=20, attempt=2)
        else:
            run.points(curves)
        gpus = {
            f"system/gpu/{gpu}/percent": [80.0 + 10 * math.sin(step + gpu) for step in range(count)] for gpu in (0, 1)
        }
        run.author.time -= count * STEP_S * SECOND
        run.points(gpus)
        for step in (0, 12, 24):
            run.image(f"samples/step-{step:04}.png", digit(number, step))
        run.say(
            ev.ConsoleText(time=run.author.now(), lines=["epoch done"] * 3, times=array("q", [run.author.time] * 3))
        )
        if number == 6:
            run.say(ev.RunFailed(time=run.author.now(), message="RuntimeError: CUDA out of memory"))
        elif number != 7:
            run.finish()
        found += run.events
    return found
