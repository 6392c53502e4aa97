"""
Make sure of the default experiment: id "0", name "Default". Runs that name no experiment are shown in it.

Its id is its identity: however many doors create it, however often, the first request in the log does.
"""

from __future__ import annotations

import asyncio
import logging

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.reading import NotThere
from gateway.server.mlflow.requests import request
from schemas.mapping.mlflow import DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_ID

AGAIN_S = 2.0
_NAMES = (DEFAULT_EXPERIMENT, f"MLflow {DEFAULT_EXPERIMENT}")  # the second: a native experiment has the first

log = logging.getLogger("gateway.server")


async def keep_default(door: Door) -> None:
    """Return when it exists. What it needs may be away for as long as it likes."""
    while True:
        try:
            await _create(door)
            return
        except Refused as error:
            log.debug("the default experiment is not made sure of yet: %s", error.message)
            await asyncio.sleep(AGAIN_S)


async def _create(door: Door) -> None:
    try:
        await door.reader.get(f"/v1/experiments/{DEFAULT_EXPERIMENT_ID}")
        return
    except NotThere:
        pass
    for name in _NAMES:
        decision = await request(door, "experiments", DEFAULT_EXPERIMENT_ID, "experiment_created", name=name)
        if decision.result.get("experiment_id") == DEFAULT_EXPERIMENT_ID:
            return
    log.warning("no name is left for the default experiment: %s", decision.reason)
