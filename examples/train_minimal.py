"""
The smallest training script: gradient descent on y = 3x + 2, standard library only.

First start a stack with `gateway up`, or set GATEWAY_URL=kafka://host:port. Then: python examples/train_minimal.py
"""

from __future__ import annotations

import random

import gateway

rng = random.Random(7)
points = [(x, 3 * x + 2 + rng.gauss(0, 0.1)) for x in (rng.uniform(-1, 1) for _ in range(256))]

with gateway.start_run(tag="examples", params={"lr": 0.1, "epochs": 50}) as run:
    slope = intercept = 0.0
    with run.step("train"):
        for epoch in range(50):
            errors = [(slope * x + intercept - y, x) for x, y in points]
            slope -= 0.1 * sum(2 * error * x for error, x in errors) / len(errors)
            intercept -= 0.1 * sum(2 * error for error, _ in errors) / len(errors)
            gateway.emit("loss", sum(error**2 for error, _ in errors) / len(errors), step=epoch)
    gateway.emit({"fit": {"slope": slope, "intercept": intercept}})

print(f"run {run.id} ({run.name}): {run.report}")
