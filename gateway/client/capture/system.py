"""
Sample the machine into series named `system/…`, every GATEWAY_SYSTEM_METRICS_S seconds (10).

The step of a sample is its number. Rates cover the time since the previous sample, so the first sample has none.
"""

from __future__ import annotations

import math
import os
from time import monotonic

from gateway.client.capture.gpu import find_reader as find_gpus
from gateway.client.capture.machine import COUNTERS
from gateway.client.capture.machine import find_reader as find_machine
from gateway.client.encoding.values import now
from gateway.client.journal.series import MAIN
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.recording.recorder import Recorder

VARIABLE = "GATEWAY_SYSTEM_METRICS_S"
EVERY_S = 10.0
AT_LEAST_S = 0.1
NAMES = {"cpu_seconds": "cpu_percent", "process_cpu_seconds": "process_cpu_percent"}


class System:
    """Takes the samples of one run in this process."""

    def __init__(self, recorder: Recorder) -> None:
        self.every_s = _interval()
        self._recorder = recorder
        self._readers = [find_machine()]
        gpus = find_gpus()
        if gpus is not None:
            self._readers.append(gpus)
        self._count = 0
        self._before: tuple[float, dict[str, float]] | None = None

    def sample(self) -> None:
        """Take one sample and record it."""
        found: dict[str, float] = {}
        for read in self._readers:
            found |= read()
        time, labels = now(), dict(self._recorder.labels)
        values = self._rates(found)
        series = [
            {"name": f"system/{name}", "labels": labels, "steps": [self._count], "times": [time], "values": [value]}
            for name, value in values.items()
            if math.isfinite(value)
        ]
        if not series:
            return  # nothing can be read here now, and the contract knows no event without a series
        self._recorder.record_at("system_metrics", time, step_name=MAIN, attempt=self._recorder.attempt, series=series)
        self._count += 1

    def stop(self) -> None:
        """Sample a run that was too short for any sample; rates right after another sample would mean nothing."""
        if not self._count:
            self.sample()

    def _rates(self, found: dict[str, float]) -> dict[str, float]:
        at, before = monotonic(), self._before
        self._before = (at, found)
        values = {name: float(value) for name, value in found.items() if name not in COUNTERS}
        if before is None or at <= before[0]:
            return values
        seconds = at - before[0]
        for name in COUNTERS:
            if name in found and name in before[1]:
                rate = max(0.0, found[name] - before[1][name]) / seconds
                if name == "cpu_seconds":
                    rate /= os.cpu_count() or 1
                values[NAMES.get(name, f"{name}_per_s")] = rate * 100.0 if name in NAMES else rate
        return values


def _interval() -> float:
    given = os.environ.get(VARIABLE)
    if given is None:
        return EVERY_S
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not AT_LEAST_S <= seconds <= 86_400:
        warn_once("system-setting", f"{VARIABLE}={given!r:.40} is no number of seconds from 0.1 to 86400: 10 is used")
        return EVERY_S
    return seconds
