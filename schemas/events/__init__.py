"""
Every kind of event, version 1, in one place: `from schemas import events as ev`, then `ev.Metrics`.

- `base`: names, times and what all events share. `lifecycle`: runs, steps, attempts, heartbeats. `data`: points,
  observations, console lines. `facts`: params, tags, notes, artifacts, code, environment. `edits`: deletes and
  renames. `experiments`, `models`: requests about them. `union`: all as one type.
"""

from schemas.bounds import MAX_NAME
from schemas.events.base import MAIN_STEP, VERSION, Attempt, Count, Event, Labels, Name, Scoped, Text, Time
from schemas.events.data import ConsoleText, Metrics, Observation, Series, SystemMetrics, Values
from schemas.events.edits import Deleted, Renamed
from schemas.events.experiments import (
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentDescribed,
    ExperimentRenamed,
    ExperimentRestored,
    ExperimentTags,
)
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
from schemas.events.models import (
    ModelAliasDeleted,
    ModelAliasSet,
    ModelDeleted,
    ModelDescribed,
    ModelRegistered,
    ModelRenamed,
    ModelTags,
    ModelVersionCreated,
    ModelVersionDeleted,
    ModelVersionDescribed,
    ModelVersionStage,
    ModelVersionTags,
)
from schemas.events.union import AnyEvent, ExperimentEvent, ModelEvent, RegistryEvent

__all__ = [
    "MAIN_STEP",
    "MAX_NAME",
    "VERSION",
    "AnyEvent",
    "Artifact",
    "Attempt",
    "AttemptFinished",
    "AttemptStarted",
    "CodeIdentity",
    "ConsoleText",
    "Count",
    "Deleted",
    "Environment",
    "Event",
    "ExperimentCreated",
    "ExperimentDeleted",
    "ExperimentDescribed",
    "ExperimentEvent",
    "ExperimentRenamed",
    "ExperimentRestored",
    "ExperimentTags",
    "Heartbeat",
    "Labels",
    "Metrics",
    "ModelAliasDeleted",
    "ModelAliasSet",
    "ModelDeleted",
    "ModelDescribed",
    "ModelEvent",
    "ModelRegistered",
    "ModelRenamed",
    "ModelTags",
    "ModelVersionCreated",
    "ModelVersionDeleted",
    "ModelVersionDescribed",
    "ModelVersionStage",
    "ModelVersionTags",
    "Name",
    "Note",
    "Observation",
    "Params",
    "ProducerClosed",
    "RegistryEvent",
    "Renamed",
    "RunCreated",
    "RunFailed",
    "RunFinished",
    "RunKilled",
    "RunLabels",
    "RunResumed",
    "RunStarted",
    "Scoped",
    "Series",
    "StepFinished",
    "StepStarted",
    "SystemMetrics",
    "Tags",
    "Text",
    "Time",
    "Values",
]
