"""
`python -m gateway.local.demo.training SPEC`: one worker of the demo's sweep.

A multi-layer perceptron learns scikit-learn's 8x8 digits, batch by batch, and logs as any training script would.
It also keeps a ledger of what it emitted, so that the demo can compare every place with it, and prints its progress as
JSON lines on stdout. SPEC is one JSON object with the fields of `Spec`.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import gateway
from schemas.facts import Facts, Point

BATCH = 64  # digits in one step of the optimizer
REPORT_EVERY = 10  # batches between two lines of progress


class Spec(NamedTuple):
    """What one worker trains."""

    run_id: str
    name: str
    group: str
    ledger: str  # path of the file for the facts of what was emitted
    learning_rate: float = 0.05
    hidden: int = 32
    epochs: int = 10
    seed: int = 0
    pace_ms: float = 0.0  # pause after each batch
    clock: int | None = None  # time of the first event, µs; each next one is 1 ms later. None: the real time


class Ledger:
    """Emits points, and counts them."""

    def __init__(self, spec: Spec) -> None:
        self.facts = Facts()
        self._run_id, self._clock = spec.run_id, spec.clock

    def emit(self, name: str, value: float, step: int) -> None:
        """Emit one point and count it."""
        now = time.time_ns() // 1_000 if self._clock is None else self._tick()
        gateway.emit(name, value, step=step, time=now / 1_000_000)
        self.facts.add_point(self._run_id, Point(name, step, now // 1_000, float(value)))

    def _tick(self) -> int:
        assert self._clock is not None
        self._clock += 1_000
        return self._clock


def train(spec: Spec) -> Facts:
    """Train one model as one run, and return what was emitted. Raises what the training raises."""
    ledger = Ledger(spec)
    params = {
        "learning_rate": spec.learning_rate, "hidden": spec.hidden, "epochs": spec.epochs, "batch": BATCH,
        "seed": spec.seed, "optimizer": "sgd",
    }  # fmt: skip
    ledger.facts.runs, ledger.facts.params = 1, len(params)
    try:
        with gateway.start_run(
            spec.name, run_id=spec.run_id, group=spec.group, tag="digits", params=params, tags={"data": "digits"}
        ) as run:
            _fit(spec, ledger)
        _report(spec, done=True, unsent=run.health().get("unsent", 0))
    finally:
        Path(spec.ledger).write_text(json.dumps(ledger.facts.to_json()), encoding="utf-8")
    return ledger.facts


def _fit(spec: Spec, ledger: Ledger) -> None:
    from sklearn.neural_network import MLPClassifier

    train_x, train_y, test_x, test_y = _digits(spec.seed)
    model = MLPClassifier((spec.hidden,), solver="sgd", learning_rate_init=spec.learning_rate, random_state=spec.seed)
    batches = math.ceil(len(train_x) / BATCH)
    step = 0
    for epoch in range(spec.epochs):
        for first in range(0, len(train_x), BATCH):
            rows = slice(first, first + BATCH)
            try:
                model.partial_fit(train_x[rows], train_y[rows], classes=range(10))
            except ValueError:
                ledger.emit("train/loss", math.nan, step)  # the weights are no longer finite
                raise
            ledger.emit("train/loss", float(model.loss_), step)
            step += 1
            if step % REPORT_EVERY == 0:
                _report(spec, step=step, steps=spec.epochs * batches, loss=round(float(model.loss_), 4))
            if spec.pace_ms:
                time.sleep(spec.pace_ms / 1_000)
        ledger.emit("train/accuracy", model.score(train_x, train_y), epoch)
        ledger.emit("test/accuracy", model.score(test_x, test_y), epoch)


def _digits(seed: int) -> tuple[Any, Any, Any, Any]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, test_size=0.2, random_state=seed)
    return train_x, train_y, test_x, test_y


def _report(spec: Spec, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"run_id": spec.run_id, **facts}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Train as the first argument says. Returns 1 when the training failed."""
    warnings.filterwarnings("ignore", module="sklearn")  # overflow in the run that is meant to diverge
    spec = Spec(**json.loads(sys.argv[1]))
    try:
        train(spec)
    except ValueError as error:
        _report(spec, done=True, failed=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
