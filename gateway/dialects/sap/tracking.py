"""
The functions of `sapdi.tracking`, as SAP's "Using the SDK to Track Metrics" describes them (seed 003).

    from sapdi import tracking

    run = tracking.start_run()
    tracking.log_metric("accuracy", 0.89)
    tracking.end_run()

A run collection is an experiment of the gateway. What is logged is in the journal of this process at once and on its
way to the log; the functions that read wait until readers see all of it. docs/sap.md has a table of what the document
says and what happens here.

A call that cannot be done raises TrackingError, and nothing of it is done. Functions that log never wait for the
network and do not fail because of it; those that read, delete or ask for a run of another process do.
"""

from __future__ import annotations

from gateway.client.notices import tell
from gateway.dialects.sap import active, checks
from gateway.dialects.sap.deleting import delete
from gateway.dialects.sap.errors import TrackingError
from gateway.dialects.sap.objects import Metric, Notebook, Run
from gateway.dialects.sap.reading import find_ids, find_runs, read_history
from gateway.dialects.sap.selection import NAMES, read_selectors
from gateway.dialects.sap.source import COLLECTION_TAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from gateway.dialects.sap.objects import Scenario

    Selector = str | int | Run | Notebook | Scenario | Iterable[str | Run | Notebook | Scenario] | None

__all__ = [
    "Metric",
    "Notebook",
    "Run",
    "TrackingError",
    "delete_runs",
    "end_run",
    "get_metrics_history",
    "get_runs",
    "log_metric",
    "log_metrics",
    "log_parameters",
    "persist_run",
    "set_labels",
    "set_tags",
    "start_run",
    "update_run_info",
]


def start_run(run_collection_name: str | None = None, run_name: str | None = None) -> Run:
    """
    Start a run, make it the active one, and return it.

    Without `run_collection_name` it belongs to the default run collection of its source: the notebook, pipeline or
    script that runs. Without `run_name` its id is its name. A run that this thread has left open is ended first, which
    one line on stderr says. Raises TrackingError for an argument that cannot be used.
    """
    if run_collection_name is not None:
        checks.read_text("run_collection_name", run_collection_name)
    if run_name is not None:
        checks.read_text("run_name", run_name)
    return active.start(run_collection_name, run_name)


def end_run() -> None:
    """End the active run, and wait until the log has it, at most GATEWAY_FINISH_TIMEOUT_S. Raises TrackingError."""
    active.end(active.active())


def log_parameters(name: Mapping[Any, Any] | str, value: Any = checks.NOT_GIVEN) -> None:
    """
    Log parameters of the active run: `log_parameters({"lr": 0.1})`, or one: `log_parameters("lr", 0.1)`.

    Names and values become text. A name has at most 256 characters, a value 5,000; the last value of a name counts.
    `start` and `end` are the system's. Raises TrackingError, and then logs none of them.
    """
    parameters = checks.read_parameters(name, value)
    active.active().log_params(parameters)


def log_metric(name: str, value: float, run: Run | str | None = None) -> None:
    """
    Log one value of a metric: of the active run, or of `run`, which may have ended or be of another process.

    All values of a name are kept, in their order. A name has at most 256 characters; a value is any finite number.
    Raises TrackingError.
    """
    key, number = checks.read_metric(name, value)
    active.writer(run).emit(key, number)


def log_metrics(metrics: Mapping[str, float] | Iterable[Mapping[str, Any]]) -> None:
    """
    Log several metrics: `[{"name": "loss", "value": 0.1}, …]`, each perhaps with "run", or `{"loss": 0.1, …}`.

    Raises TrackingError, and then logs none of them.
    """
    found = checks.read_metrics(metrics)
    for writer, name, value in [(active.writer(run), name, value) for name, value, run in found]:
        writer.emit(name, value)


def persist_run() -> bool:
    """
    Wait until readers see everything logged to the active run so far, at most GATEWAY_FINISH_TIMEOUT_S.

    Returns whether they do; if not, one line on stderr says why. What was logged is kept either way. Raises
    TrackingError if no run is active.
    """
    run = active.active()
    try:
        active.until_readable([run.id])
    except TrackingError as error:
        tell("sap-persist", f"persist_run: {error}")
        return False
    return True


def set_tags(tags: Mapping[str, str]) -> None:
    """
    Set tags of the active run, by which `get_runs(tags=…)` finds it: text by text, and the last value of a key counts.

    `runName`, and keys that begin with "sapdi.", are the system's. Raises TrackingError, and then sets none of them.
    """
    found = checks.read_tags("set_tags", tags)
    active.active().set_tags(found)


def set_labels(labels: Mapping[str, Any]) -> None:
    """Set labels of the active run, any values by key, for people and front ends; the last value of a key counts."""
    found = checks.read_labels(labels)
    active.active().set_labels(found)


def update_run_info(
    run: Run | str | None = None,
    run_name: str | None = None,
    run_collection_name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """
    Change the name, run collection or tags of a run, also after it has ended; without `run` of the active one.

    Raises TrackingError, and then changes nothing.
    """
    if run_name is None and run_collection_name is None and tags is None:
        raise TrackingError("update_run_info changes nothing: give run_name, run_collection_name or tags")
    changed = {} if tags is None else checks.read_tags("update_run_info", tags)
    if run_name is not None:
        changed[checks.RUN_NAME] = checks.read_text("run_name", run_name)
    if run_collection_name is not None:
        changed[COLLECTION_TAG] = checks.read_text("run_collection_name", run_collection_name)
    writer = active.writer(run)
    if run_name is not None:
        writer.rename(run_name)
    if run_collection_name is not None:
        writer.recorder.record("moved", tag=run_collection_name)
    writer.set_tags(changed)


def get_runs(
    scenario: Selector = None,
    scenario_version: Selector = None,
    pipeline: Selector = None,
    execution: Selector = None,
    notebook: Selector = None,
    run: Selector = None,
    tags: Mapping[str, str] | None = None,
) -> list[Run]:
    """
    Return the runs that fit every selector given, newest first, with all that is stored of them.

    At least one selector is needed, and `notebook` needs `scenario` or `run`. A selector is an id, ids separated by
    commas, an object with an id, or a list of these. `tags` narrows: a run must have each of these tags.
    Raises TrackingError.
    """
    given = _selectors(scenario, scenario_version, pipeline, execution, notebook, run)
    chosen = read_selectors("get_runs", given, is_bulk_exclusive=False)
    wanted = {} if tags is None else checks.read_wanted_tags("get_runs(tags=…)", tags)
    return find_runs(chosen, wanted)


def delete_runs(
    scenario: Selector = None,
    scenario_version: Selector = None,
    pipeline: Selector = None,
    execution: Selector = None,
    notebook: Selector = None,
    run: Selector = None,
) -> list[str]:
    """
    Delete the runs that fit every selector given, for good, with everything stored of them; return their ids.

    The selectors are those of `get_runs`; several scenarios may not be combined with another selector. The active run
    is not deleted: end it first. Raises TrackingError.
    """
    given = _selectors(scenario, scenario_version, pipeline, execution, notebook, run)
    chosen = read_selectors("delete_runs", given, is_bulk_exclusive=True)
    found = find_ids(chosen)
    delete(found)
    return found


def get_metrics_history(run: Run | str | None = None, metrics: str | Iterable[str] | None = None) -> list[Metric]:
    """
    Return every value logged to these metrics, in the order of logging, at most the last 1,000 of each.

    Without `metrics` of all metrics, without `run` of the active run. Raises TrackingError.
    """
    run_id = active.active().id if run is None else active.id_of(run)
    return read_history(run_id, None if metrics is None else checks.read_names(metrics))


def _selectors(*given: object) -> dict[str, object]:
    return dict(zip(NAMES, given, strict=True))
