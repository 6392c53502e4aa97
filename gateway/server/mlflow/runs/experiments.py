"""
The experiment of a new run.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import quote

from gateway.server.mlflow.errors import absent, invalid
from gateway.server.mlflow.reading import NotThere, Reader
from schemas.mapping.mlflow import DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_ID

MAX_KNOWN = 1_000
FRESH_S = 10.0  # how long what was read of an experiment counts


class ExperimentOfRun(NamedTuple):
    """What a run needs of its experiment."""

    id: str
    name: str
    artifact_location: str  # "": runs have the place that follows from its id
    stage: str


class Experiments:
    """Reads experiments, each at most once in FRESH_S."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[float, ExperimentOfRun]] = {}

    async def find(self, experiment_id: str) -> ExperimentOfRun:
        """
        Return an active experiment; "" means the default one.

        Raises Refused with MLflow's words: RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE for an id that is no number
        and for a deleted experiment; TEMPORARILY_UNAVAILABLE.
        """
        wanted = experiment_id or DEFAULT_EXPERIMENT_ID
        try:
            wanted = str(int(wanted))
        except ValueError:
            raise invalid(f"Invalid experiment ID '{wanted}'. Experiment ID must be a valid integer.") from None
        time = asyncio.get_running_loop().time()
        at, found = self._known.get(wanted, (0.0, None))
        if found is None or time - at > FRESH_S:
            found = await self._read(wanted)
            if len(self._known) >= MAX_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[wanted] = (time, found)
        if found.stage != "active":
            raise invalid(f"The experiment {wanted} must be in the 'active' state. Current state is {found.stage}.")
        return found

    async def _read(self, experiment_id: str) -> ExperimentOfRun:
        path = f"/v1/experiments/{quote(experiment_id, safe='')}"
        try:
            found = await self._reader.get(path, min_offsets="end")
        except NotThere:
            if experiment_id != DEFAULT_EXPERIMENT_ID:
                raise absent(f"No Experiment with id={experiment_id} exists") from None
            return ExperimentOfRun(experiment_id, DEFAULT_EXPERIMENT, "", "active")
        return ExperimentOfRun(experiment_id, found["name"], found["artifact_location"], found["state"])
