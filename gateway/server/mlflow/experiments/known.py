"""
Active experiments, remembered for a moment, so that the start of a run need not ask for its experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

KEPT_S = 5.0  # how long after it was deleted through another door an experiment may still get runs
MAX_KEPT = 10_000


class KnownExperiments:
    """The objects of active experiments, by id."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def get(self, experiment_id: str) -> Mapping[str, Any] | None:
        """Return one that was kept a moment ago."""
        kept_at, found = self._kept.get(experiment_id, (0.0, None))
        return found if monotonic() - kept_at < KEPT_S else None

    def keep(self, experiment: Mapping[str, Any]) -> None:
        """Remember an active experiment."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[experiment["experiment_id"]] = monotonic(), experiment

    def forget(self, experiment_id: str) -> None:
        """Forget one that this door changes."""
        self._kept.pop(experiment_id, None)
