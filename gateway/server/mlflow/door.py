"""
What the handlers of the door share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from gateway.server.artifacts.storage import Storage
from gateway.server.ingest.bodies import Budget
from gateway.server.log_writer import LogWriter
from gateway.server.mlflow.experiments.known import KnownExperiments
from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.runs.writer import RunWriter
from gateway.server.mlflow.unanswered import Asked, Unanswered
from schemas.runtime.settings import Settings

MAX_UNANSWERED = 100  # of up to 1 MB
UPLOADS = (
    256 * 1024 * 1024
)  # bytes that uploads of artifacts may hold; they may take hours, and no event waits for them


@dataclass(frozen=True, kw_only=True)
class Door:
    """The parts behind the door's routes."""

    settings: Settings
    writer: LogWriter
    reader: Reader
    runs: RunWriter  # of all events about runs
    storage: Storage | None  # of artifacts; None: GATEWAY_ARTIFACTS names none
    budget: Budget  # bytes that all requests together may hold
    uploads: Budget = field(default_factory=partial(Budget, UPLOADS, "uploads under way"))
    experiments: KnownExperiments = field(default_factory=KnownExperiments)
    unanswered: Unanswered[str, Asked] = field(default_factory=lambda: Unanswered(MAX_UNANSWERED))  # of the registry
    logged_models: set[str] = field(default_factory=set)  # ids of models that exist; deleted ones do too
