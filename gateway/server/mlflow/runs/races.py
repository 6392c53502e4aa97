"""
Two doors that give one param two values: the order of the log decides, and both learn it.

Only with several doors (GATEWAY_MLFLOW_DOORS). The fold keeps the value that comes first in the log. The door of the
other one writes the value that counts once more as a plain event, because a tracker takes the last value that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.client.encoding.values import now
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.runs import events
from gateway.server.mlflow.runs.known import KnownRun, find_document, params_of


async def settle_race(door: Door, run: KnownRun, values: Mapping[str, str]) -> None:
    """Wait until params of a run are folded. Raises Refused with MLflow's words if another value came first."""
    document = await find_document(door.reader, run.run_id)
    if document is None:
        return
    stored = params_of(document)
    lost = {key: stored[key] for key, text in values.items() if stored.get(key, text) != text}
    if not lost:
        return
    run.params |= lost
    await door.runs.append(run, [events.params(lost, now(), once=False)])
    changed = [{"key": key, "old_value": text, "new_value": values[key]} for key, text in lost.items()]
    raise invalid(
        f"Changing param values is not allowed. Params were already logged='{changed}' for run ID='{run.run_id}'."
    )
