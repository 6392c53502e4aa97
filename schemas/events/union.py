"""
The unions of all kinds of events, version 1, discriminated by `kind`: AnyEvent is about runs, RegistryEvent about the
rest.

One Kafka record holds one event of one producer for one subject. Metrics, values and text are columns or lists, so one
record holds many points. Within a version, changes are additive: readers ignore fields they do not know.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.events.data import ConsoleText, Metrics, SystemMetrics, Values
from schemas.events.edits import Deleted, LifecycleStage, Moved, Renamed
from schemas.events.experiments import (
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentDescribed,
    ExperimentRenamed,
    ExperimentRestored,
    ExperimentTags,
)
from schemas.events.facts import Artifact, CodeIdentity, Environment, MetricDefined, Note, Params, RunLabels, Tags
from schemas.events.lifecycle import (
    AttemptFinished,
    AttemptStarted,
    Heartbeat,
    ProducerClosed,
    RunCreated,
    RunFailed,
    RunFinished,
    RunKilled,
    RunReopened,
    RunResumed,
    RunStarted,
    StepFinished,
    StepStarted,
)
from schemas.events.logged_models import (
    LoggedModelArtifact,
    LoggedModelArtifactDeleted,
    LoggedModelCreated,
    LoggedModelDeleted,
    LoggedModelMetrics,
    LoggedModelParams,
    LoggedModelStatus,
    LoggedModelTags,
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
from schemas.events.rows import MetricRows
from schemas.events.saved import AlertRuleDeleted, AlertRuleSaved, ViewDeleted, ViewSaved

AnyEvent = Annotated[
    RunCreated | RunStarted | RunResumed | RunReopened | RunFinished | RunFailed | RunKilled
    | StepStarted | StepFinished | AttemptStarted | AttemptFinished | Heartbeat | ProducerClosed
    | Metrics | MetricRows | SystemMetrics | Values | Params | Tags | RunLabels | Note | Artifact | ConsoleText
    | CodeIdentity | Environment | MetricDefined | Deleted | Renamed | LifecycleStage | Moved,
    Field(discriminator="kind"),
]  # fmt: skip

ExperimentEvent = Annotated[
    ExperimentCreated | ExperimentRenamed | ExperimentDescribed | ExperimentTags | ExperimentDeleted
    | ExperimentRestored,
    Field(discriminator="kind"),
]  # fmt: skip

ModelEvent = Annotated[
    ModelRegistered | ModelRenamed | ModelDescribed | ModelTags | ModelDeleted | ModelAliasSet | ModelAliasDeleted
    | ModelVersionCreated | ModelVersionDescribed | ModelVersionTags | ModelVersionStage | ModelVersionDeleted,
    Field(discriminator="kind"),
]  # fmt: skip

LoggedModelEvent = Annotated[
    LoggedModelCreated | LoggedModelStatus | LoggedModelParams | LoggedModelTags | LoggedModelDeleted
    | LoggedModelArtifact | LoggedModelArtifactDeleted | LoggedModelMetrics,
    Field(discriminator="kind"),
]  # fmt: skip

ViewEvent = Annotated[ViewSaved | ViewDeleted, Field(discriminator="kind")]

AlertRuleEvent = Annotated[AlertRuleSaved | AlertRuleDeleted, Field(discriminator="kind")]

RegistryEvent = ExperimentEvent | ModelEvent | LoggedModelEvent | ViewEvent | AlertRuleEvent
