"""A tracker for magnus 0.5.1, as its documents say (seed 002): one JSON line a call, in a file for each run."""

import json
from hashlib import sha256
from pathlib import Path

from magnus.experiment_tracker import BaseExperimentTracker


class LinesOfMagnus(BaseExperimentTracker):  # type: ignore[misc]  # magnus has no types
    service_name: str = "lines"
    folder: str

    def log_metric(self, key: str, value: float, step: int = 0) -> None:
        self._write("metric", key, value, step)

    def log_parameter(self, key: str, value: object) -> None:
        self._write("parameter", key, value, None)

    def _write(self, kind: str, key: str, value: object, step: int | None) -> None:
        if value == "refuse me":
            raise ValueError("no")
        context = self._context
        place = [context.tag, context.executor._context_step_log.internal_name]
        with file_of(self.folder, context.run_id).open("a") as file:
            file.write(json.dumps([kind, key, value, step, *place]) + "\n")


def file_of(folder: str, run_id: str) -> Path:
    return Path(folder) / (sha256(run_id.encode()).hexdigest() + ".jsonl")
