"""
The objects that calls of `sapdi` take and return: runs, metrics, notebooks and scenarios.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.client.guards import safe_repr
from gateway.dialects.sap.checks import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Any

DEFAULT_MARK = " (Default)"  # ends the shown name of a default run collection (seed 003)


class Metric(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    timestamp: datetime  # UTC
    step: int  # number of the value in its metric, from 0


class Identified:
    """Something that is known by an id."""

    __slots__ = ("id",)
    _what = "an id"

    def __init__(self, id: str) -> None:
        self.id = read_text(f"the id of {self._what}", id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={safe_repr(self.id, 260)})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.id == self.id  # type: ignore[attr-defined]  # of the same class

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.id))


class Notebook(Identified):
    """A notebook, for `get_runs(notebook=tracking.Notebook(id=…), scenario=…)`."""

    __slots__ = ()
    _what = "a notebook"


class Scenario(Identified):
    """A scenario: what runs of notebooks and pipelines belong to."""

    __slots__ = ()
    _what = "a scenario"


class Run(Identified):
    """
    A run: `tracking.Run(id=…)` names one, `start_run` and `get_runs` return it as it is at that moment.

    `parameters` are text by name, with the system's `start` and `end`; `tags` text by key, with the system's `runName`;
    `metrics` the last value of each metric by name (`get_metrics_history` returns all); `labels` any values by key,
    read when they are first asked for. A run that was not read has none of them.
    """

    __slots__ = (
        "_labels", "context", "is_default_collection", "metrics", "parameters", "run_collection_name", "run_name",
        "state", "tags",
    )  # fmt: skip
    _what = "a run"

    def __init__(  # noqa: PLR0913 -- each is a fact about a run
        self,
        id: str,
        *,
        run_name: str = "",
        run_collection_name: str = "",
        is_default_collection: bool = False,
        state: str = "",
        parameters: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        context: Mapping[str, str] | None = None,
        labels: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        super().__init__(id)
        self.run_name = run_name
        self.run_collection_name = run_collection_name
        self.is_default_collection = is_default_collection
        self.state = state  # one of created, running, finished, failed, killed and lost; "" if it was not read
        self.parameters = dict(parameters or {})
        self.metrics = dict(metrics or {})
        self.tags = dict(tags or {})
        self.context = dict(context or {})  # scenario, scenario_version, pipeline, execution, notebook: those known
        self._labels: dict[str, Any] | Callable[[], dict[str, Any]] = labels

    @property
    def run_collection(self) -> str:
        """The name of the run collection as people see it: that of a default one ends in "(Default)"."""
        return self.run_collection_name + (DEFAULT_MARK if self.is_default_collection else "")

    @property
    def labels(self) -> dict[str, Any]:
        """The labels by key. Raises TrackingError if they cannot be read."""
        if callable(self._labels):
            self._labels = self._labels()
        return self._labels
