"""
Read runs inside training or anywhere else: `gateway.query.get_run(run_id)`, `search_runs(...)`, `metric_history(...)`.

Standard library only. The query API answers, through gateway/client/query.py, which finds its address.
A run is given by its id, or as the `Run` that this process has open: then the answer includes everything that this
process has emitted to it, because `run.barrier()` comes first. `min_offsets`, the `as_of` of an earlier answer, waits
until the answer is at least as new. Times are µs since 1970-01-01 UTC.

    RunNotFound (ClientError)    no run of this id is folded
    PointsDropped (ClientError)  retention dropped the points of the run
    ApiUnavailable, ApiRefused   gateway/client/query.py
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.client.errors import ClientError
from gateway.client.query import ApiRefused, ApiUnavailable, find_api, get, run_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from gateway.client.query import Api
    from gateway.client.registry.results import Experiment
    from gateway.client.run.run import Run

__all__ = [
    "ApiRefused", "ApiUnavailable", "Point", "PointsDropped", "RunNotFound", "RunPage", "StoredRun", "get_run",
    "get_run_log", "in_experiment", "metric_history", "read_history", "search_runs",
]  # fmt: skip

PAGE_RUNS = 1_000  # runs asked for at once
PAGE_POINTS = 50_000  # about 2 MB
WAIT_S = 10.0  # the longest that the API waits for `min_offsets`


class RunNotFound(ClientError):
    """No run of this id is folded into PostgreSQL."""


class PointsDropped(ClientError):
    """Retention dropped the points of the run; the last value of each series is left."""


class Point(NamedTuple):
    """One point of a series."""

    step: int
    time: int  # µs since 1970-01-01 UTC
    value: float


class StoredRun:
    """A run as readers see it, at one instant. `document` is what the API answered (schemas/api, RunSummary)."""

    __slots__ = ("_api", "document", "metrics")

    def __init__(self, api: Api, document: Mapping[str, Any]) -> None:
        self._api = api
        self.document = dict(document)
        self.metrics: dict[str, float] = {name: float(value) for name, value in document["last"].items()}

    def __repr__(self) -> str:
        return f"StoredRun({self.id!r}, name={self.name!r}, state={self.state!r})"

    @property
    def id(self) -> str:
        """The id of the run."""
        return str(self.document["run_id"])

    @property
    def name(self) -> str:
        """The name of the run, for people."""
        return str(self.document["name"])

    @property
    def state(self) -> str:
        """One of created, running, finished, failed, killed and lost."""
        return str(self.document["state"])

    @property
    def experiment(self) -> str:
        """The name of the experiment: the tag of the run, or what the experiment is called by now; "" without one."""
        return str(self.document["experiment"])

    @property
    def experiment_id(self) -> str:
        """The id of the experiment; "" if none of this name was created."""
        return str(self.document["experiment_id"])

    @property
    def lifecycle_stage(self) -> str:
        """Either active, or deleted: in the trash, from which the run can be restored."""
        return str(self.document["lifecycle_stage"])

    @property
    def message(self) -> str:
        """Why the run failed or was killed; "" otherwise."""
        return str(self.document["message"])

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name, with their types."""
        return dict(self.document["params"])

    @property
    def tags(self) -> dict[str, str]:
        """The tags by name."""
        return dict(self.document["tags"])

    @property
    def started(self) -> int | None:
        """µs; None until the run has started."""
        return self.document["started"]  # type: ignore[no-any-return]

    @property
    def ended(self) -> int | None:
        """µs; None until the run has ended."""
        return self.document["ended"]  # type: ignore[no-any-return]

    @property
    def duration_s(self) -> float | None:
        """Seconds from the start to the end; None while one of them is unknown."""
        return None if self.started is None or self.ended is None else (self.ended - self.started) / 1e6

    def log(self) -> dict[str, Any]:
        """Return the run log as it is now: the document of `gateway runs show RUN --json`."""
        return _get(self._api, run_path(self.id, "log"))

    def history(self, name: str) -> Iterator[Point]:
        """Yield the points of a series, as `metric_history` does."""
        return read_history(self._api, self.id, name)


class RunPage(list[StoredRun]):
    """Runs in the order that was asked for, and the token of what follows; None if nothing does."""

    next_page_token: str | None = None
    as_of: str = ""  # offsets of the log: pass them as min_offsets of a later read


def get_run(run: str | Run, *, min_offsets: str | None = None, timeout_s: float = WAIT_S) -> StoredRun:
    """
    Return a run: its state, times, parameters, tags and the last value of each series, of up to 1,000 series.

    Raises RunNotFound, ApiUnavailable, ApiRefused; BarrierTimeout for a `Run` whose events are not readable in time.
    """
    run_id, api = _read(run, timeout_s), find_api()
    quoted = run_id.replace("'", "''")
    parameters = {"where": f"run_id = '{quoted}'", "limit": 1, "last": PAGE_RUNS, "stage": "all"}
    found = _get(api, "/v1/runs", **parameters, **_freshness(min_offsets, timeout_s))["runs"]
    if not found:
        raise RunNotFound(_not_found(run_id))
    return StoredRun(api, found[0])


def get_run_log(run: str | Run, *, min_offsets: str | None = None, timeout_s: float = WAIT_S) -> dict[str, Any]:
    """Return the run log of a run: the document of `gateway runs show RUN --json`. Raises as `get_run` does."""
    run_id = _read(run, timeout_s)
    return _of_run(find_api(), run_id, "log", **_freshness(min_offsets, timeout_s))


def search_runs(
    where: str = "",
    *,
    experiment: str | Experiment | None = None,
    order_by: str | Sequence[str] | None = None,
    limit: int | None = None,
    stage: str = "active",
    page_token: str | None = None,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
) -> RunPage:
    """
    Return the runs that match a filter: `search_runs("metrics.accuracy >= 0.9", order_by="metrics.accuracy DESC")`.

    The language is that of `gateway runs list --where` (seed 004: `metrics.accuracy > 0.9 AND params.model = 'rf'`).
    Newest first without `order_by`, which may also be a list of one text, as in seed 004. With `limit` there are at
    most so many runs, and `page_token` continues after them. `experiment` is the name of one, or what
    `gateway.experiments` returned. `stage` is active, deleted (runs in the trash) or all.
    """
    api, found, wait = find_api(), RunPage(), _freshness(min_offsets, timeout_s)
    chosen_where, order = in_experiment(where, experiment), _one_order(order_by)
    found.next_page_token = page_token
    while limit is None or len(found) < limit:
        count = PAGE_RUNS if limit is None else min(PAGE_RUNS, limit - len(found))
        chosen = {
            "where": chosen_where or None,
            "order_by": order,
            "limit": count,
            "last": PAGE_RUNS,
            "stage": stage,
        }
        page = _get(api, "/v1/runs", **chosen, page_token=found.next_page_token, **wait)
        found += [StoredRun(api, one) for one in page["runs"]]
        found.next_page_token, found.as_of = page["next_page_token"], found.as_of or page["as_of"]
        if found.next_page_token is None:
            break
    return found


def _one_order(order_by: str | Sequence[str] | None) -> str | None:
    """Return the order that a text, or a list of one, describes. Raises ClientError."""
    if order_by is None or isinstance(order_by, str):
        return order_by
    if len(order_by) > 1:
        raise ClientError(f"order_by has {len(order_by)} keys: runs are ordered by one, so give the first")
    return order_by[0] if order_by else None


def in_experiment(where: str, experiment: str | Experiment | None) -> str:
    """Return a filter restricted to the runs of an experiment, given by its name or as it was read; None: of any."""
    if experiment is None:
        return where
    fact, value = ("experiment", experiment) if isinstance(experiment, str) else ("experiment_id", experiment.id)
    named = f"{fact} = '{value.replace(chr(39), chr(39) * 2)}'"
    return f"({where}) and {named}" if where.strip() else named


def metric_history(
    run: str | Run, name: str, *, min_offsets: str | None = None, timeout_s: float = WAIT_S
) -> Iterator[Point]:
    """
    Yield every point of a series as it was recorded: `for point in metric_history(run_id, "accuracy")` (seed 004).

    `name` is the written name: `loss`, `validate/loss`, `loss{rank=3}`. A series that a run lacks has no points. Of
    steps that a later attempt repeated only its points are there. The points are asked for page by page, so a series
    may have any number. Raises as `get_run` does, and PointsDropped.
    """
    return read_history(find_api(), _read(run, timeout_s), name, _freshness(min_offsets, timeout_s))


def read_history(api: str, run_id: str, name: str, wait: Mapping[str, Any] | None = None) -> Iterator[Point]:
    """Yield the points of a series as `metric_history` does, from the API at this address."""
    token: str | None = ""
    while token is not None:
        page = _of_run(api, run_id, "history", name=name, limit=PAGE_POINTS, page_token=token or None, **wait or {})
        if page["points_dropped"] is not None:
            raise PointsDropped(
                f"run {run_id:.300}: `gateway retention` dropped its points: get_run has the last values"
            )
        for step, time, value in page["points"]:
            yield Point(step, time, float(value))
        token = page["next_page_token"]


def _read(run: str | Run, timeout_s: float) -> str:
    """Return the id of a run, after the barrier of one that this process writes to."""
    if isinstance(run, str):
        return run
    run.barrier(timeout_s)
    return run.id


def _freshness(min_offsets: str | None, timeout_s: float) -> dict[str, Any]:
    return {} if min_offsets is None else {"min_offsets": min_offsets, "timeout_s": timeout_s}


def _get(api: str, path: str, **parameters: Any) -> dict[str, Any]:
    return dict(get(api, path, **parameters))


def _of_run(api: str, run_id: str, document: str, **parameters: Any) -> dict[str, Any]:
    """Return a document of a run. Raises RunNotFound for an unknown one."""
    try:
        return _get(api, run_path(run_id, document), **parameters)
    except ApiRefused as error:
        if error.status == 404:
            raise RunNotFound(_not_found(run_id)) from None
        raise


def _not_found(run_id: str) -> str:
    return f"no run {run_id!r:.300}: a new one can be read as soon as its first event is folded"
