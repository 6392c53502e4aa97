"""
Answers of the query API as models. The dashboard, `gateway runs` and scripts read them.

- `runs`, `tables`, `comparison`, `content`, `points`, `artifacts`: of runs; `edits`: their changes.
- `series`: charts of series. `metric_definitions`: what code says of metrics.
- `registry`, `logged_models`: experiments and models. `saved`: views and rules of alerts. `status`: health.
- `access`: who asks. `alerts`: what fired.
"""

from schemas.api.access import LoginQuestion, Me
from schemas.api.alerts import AlertDocument, AlertsPage
from schemas.api.artifacts import ArtifactEntry, ArtifactsPage
from schemas.api.logged_models import (
    DatasetChoice,
    LoggedModelArtifacts,
    LoggedModelDocument,
    LoggedModelOrder,
    LoggedModelsPage,
    LoggedModelsQuestion,
    ModelPointDocument,
)
from schemas.api.points import HistoryPage, PointColumns, PointsPage, Position, SeriesData, SeriesPage, number
from schemas.api.registry import (
    DecisionDocument,
    Experiment,
    ExperimentsPage,
    ModelDocument,
    ModelsPage,
    ModelVersionDocument,
    ModelVersionsPage,
)
from schemas.api.runs import (
    POINTS_DROPPED,
    LastPoint,
    LastStep,
    RunDocument,
    RunDocumentsPage,
    RunProgress,
    RunsPage,
    RunSummary,
)
from schemas.api.status import DeliveryStatus, NewestDeadLetter, PartitionLag, Status

__all__ = [
    "POINTS_DROPPED",
    "AlertDocument",
    "AlertsPage",
    "ArtifactEntry",
    "ArtifactsPage",
    "DatasetChoice",
    "DecisionDocument",
    "DeliveryStatus",
    "Experiment",
    "ExperimentsPage",
    "HistoryPage",
    "LastPoint",
    "LastStep",
    "LoggedModelArtifacts",
    "LoggedModelDocument",
    "LoggedModelOrder",
    "LoggedModelsPage",
    "LoggedModelsQuestion",
    "LoginQuestion",
    "Me",
    "ModelDocument",
    "ModelPointDocument",
    "ModelVersionDocument",
    "ModelVersionsPage",
    "ModelsPage",
    "NewestDeadLetter",
    "PartitionLag",
    "PointColumns",
    "PointsPage",
    "Position",
    "RunDocument",
    "RunDocumentsPage",
    "RunProgress",
    "RunSummary",
    "RunsPage",
    "SeriesData",
    "SeriesPage",
    "Status",
    "number",
]
