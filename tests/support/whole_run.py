"""A run with something of everything that the page of a run shows, and the bytes of its artifacts."""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from array import array
from pathlib import Path

from schemas import events as ev
from schemas.values import FloatValue, Histogram, HistogramValue, IntValue, JsonValue, StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author

SECOND = 1_000_000  # µs
STEPS = 40
RANKS, GPUS = 2, 4
FILES = {
    "report/metrics.csv": b'step,loss,note\n1,0.5,"a, b"\n2,0.25,c\n',
    "report/config.json": b'{"lr": 0.1, "layers": [64, 32]}',
    "report/page.html": b"<script>document.title = 'ran'</script><h1>hello</h1>",
    "model.bin": bytes(range(256)) * 8,
}


def png(shade: int, size: int = 16) -> bytes:
    """Return a grey picture with one bright square, whose place depends on its shade."""
    rows = b"".join(
        b"\x00" + bytes(255 if (x + y) // 4 == shade // 32 else shade for x in range(size)) for y in range(size)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def whole_run(run_id: str, store: Path, *, time: int) -> list[Envelope]:
    """Return the envelopes of a run of two attempts that began at `time` (µs); its bytes are written below `store`."""
    author = Author(run_id, time=time)
    params = {
        "lr": FloatValue(value=0.1), "epochs": IntValue(value=STEPS), "optimizer": StringValue(value="adam"),
        "net": JsonValue(value={"layers": [64, 32]}),
    }  # fmt: skip
    found = [
        author.start(name=f"whole {run_id}", tag="digits"),
        author.envelope(ev.Params(time=author.now(), params=params)),
        author.envelope(ev.Tags(time=author.now(), tags={"team": "vision", "host": "node-7"})),
        author.envelope(ev.Note(time=author.now(), text="Second try after the disk was full.")),
        author.envelope(ev.MetricDefined(time=author.now(), name="train/loss", goal="min", unit="nats")),
    ]
    found += _attempt(author, 1, range(STEPS // 2 + 5), ended=False)
    author.time += 20 * SECOND
    found.append(author.envelope(ev.RunResumed(time=author.now(), attempt=2)))
    found += _attempt(author, 2, range(STEPS // 2, STEPS), ended=True)
    found += [_artifact(author, store, name, data) for name, data in FILES.items()]
    found += [_artifact(author, store, f"samples/digits_{step}.png", png(step * 6)) for step in range(0, STEPS, 5)]
    found.append(author.envelope(ev.Artifact(time=author.now(), name="weights", uri="s3://elsewhere/w", stage="put")))
    found.append(author.envelope(ev.RunFinished(time=author.now(), attempt=2)))
    return found


def _attempt(author: Author, attempt: int, steps: range, *, ended: bool) -> list[Envelope]:
    found: list[Envelope] = []

    def add(event: ev.AnyEvent) -> None:
        found.append(author.envelope(event))

    for name in ("load", "fit"):
        scope = {"step_name": name, "attempt": attempt}
        add(ev.StepStarted(time=author.now(), name=name, **scope))
        add(ev.AttemptStarted(time=author.now(), **scope))
        if name == "load":
            author.time += 3 * SECOND
        else:
            for step in steps:
                found += _step(author, attempt, step)
        if name == "load" or ended:
            add(ev.AttemptFinished(time=author.now(), **scope))
            add(ev.StepFinished(time=author.now(), **scope))
        else:
            add(ev.AttemptFinished(time=author.now(), status="fail", message="the disk is full", **scope))
    return found


def _step(author: Author, attempt: int, step: int) -> list[Envelope]:
    author.time += SECOND
    loss = math.nan if step == STEPS - 3 else 2.0 / (step + 1) + (0.3 if attempt == 1 else 0.0)
    bells = [math.exp(-((at - 16 + step / 8) ** 2) / (8 + step)) * 100 for at in range(32)]
    histogram = Histogram(counts=array("d", bells), edges=array("d", [(at - 16) / 8 for at in range(33)]))
    seen = [
        ev.Observation(name="grads", step=step, time=author.time, value=HistogramValue(value=histogram)),
        ev.Observation(name="sample", step=step, time=author.time, value=StringValue(value=f"the {step}th sentence")),
    ]
    lines = [f"\x1b[32mstep {step}\x1b[0m of {STEPS}, loss {loss:.4f}", f"  took {step * 7 % 13 + 90} ms"]
    found = [
        author.metrics("train/loss", [loss], first_step=step, attempt=attempt),
        author.metrics("train/accuracy", [1 - 1 / (step + 2)], first_step=step, attempt=attempt),
        author.envelope(ev.Values(time=author.time, values=seen, attempt=attempt)),
        author.envelope(ev.ConsoleText(time=author.time, lines=lines, times=array("q", [author.now(), author.now()]))),
    ]
    if step % 10 == 9:
        warning = ev.ConsoleText(
            time=author.now(),
            stream="stderr",
            lines=[f"warning: step {step} was slow"],
            times=array("q", [author.time]),
        )
        found.append(author.envelope(warning))
    machine = [
        ev.Series(
            name=f"system/gpu/{gpu}/utilization_percent", labels={"rank": str(rank)}, steps=array("q", [step]),
            times=array("q", [author.time]),
            values=array("d", [5.0 if (rank, gpu) == (1, 2) and step > 20 else 80 + 10 * math.sin(step + gpu)]),
        )
        for rank in range(RANKS)
        for gpu in range(GPUS)
    ]  # fmt: skip
    found.append(author.envelope(ev.SystemMetrics(time=author.time, series=machine, attempt=attempt)))
    return found


def _artifact(author: Author, store: Path, name: str, data: bytes) -> Envelope:
    digest = hashlib.sha256(data).hexdigest()
    place = store / "sha256" / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return author.envelope(
        ev.Artifact(time=author.now(), name=name, uri=place.as_uri(), size=len(data), sha256=digest, stage="put")
    )
