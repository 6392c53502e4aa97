"""
AnyEvent, the union of all kinds of events, version 1, discriminated by `kind`.

One Kafka record holds one event of one producer for one run. Metrics, values and text are columns or lists, so one
record holds many points. Within a version, changes are additive: readers ignore fields they do not know.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.events.data import ConsoleText, Metrics, SystemMetrics, Values
from schemas.events.edits import Deleted, Renamed
from schemas.events.facts import Artifact, CodeIdentity, Environment, Note, Params, RunLabels, Tags
from schemas.events.lifecycle import (
    AttemptFinished,
    AttemptStarted,
    Heartbeat,
    ProducerClosed,
    RunCreated,
    RunFailed,
    RunFinished,
    RunKilled,
    RunResumed,
    RunStarted,
    StepFinished,
    StepStarted,
)

AnyEvent = Annotated[
    RunCreated | RunStarted | RunResumed | RunFinished | RunFailed | RunKilled
    | StepStarted | StepFinished | AttemptStarted | AttemptFinished | Heartbeat | ProducerClosed
    | Metrics | SystemMetrics | Values | Params | Tags | RunLabels | Note | Artifact | ConsoleText
    | CodeIdentity | Environment | Deleted | Renamed,
    Field(discriminator="kind"),
]  # fmt: skip
