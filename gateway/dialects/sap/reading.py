"""
Read runs and histories back: everything that this process has recorded is in the answer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import nlargest

from gateway import query
from gateway.client.encoding.values import text_of
from gateway.client.query import find_api, get, run_path
from gateway.dialects.sap.active import until_readable
from gateway.dialects.sap.checks import END, RUN_NAME, START, SYSTEM_TAG
from gateway.dialects.sap.errors import one_error
from gateway.dialects.sap.objects import DEFAULT_MARK, Metric, Run
from gateway.dialects.sap.selection import filters
from gateway.dialects.sap.source import COLLECTION_TAG, PARTS, tag_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from gateway.dialects.sap.selection import Chosen

RUNS_AT_ONCE = 1_000  # of which ids are asked for
MAX_HISTORY = 1_000  # values of a metric in a history (seed 003)
SYSTEM_METRIC = "system/"  # begins the names of series about the machine (schemas/events/data.py)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def find_runs(chosen: Chosen, tags: Mapping[str, str]) -> list[Run]:
    """Return the runs that these selectors and tags choose, newest first. Raises TrackingError."""
    until_readable(chosen.get("run"))
    with one_error():
        found = [one for where in filters(chosen, tags) for one in query.search_runs(where)]
    return [_run(one) for one in sorted(found, key=lambda one: int(one.document["created"]), reverse=True)]


def find_ids(chosen: Chosen) -> list[str]:
    """Return the ids of the runs that these selectors choose. Raises TrackingError."""
    until_readable(chosen.get("run"))
    with one_error():
        return [run_id for where in filters(chosen, {}) for run_id in _ids(where)]


def _ids(where: str) -> Iterator[str]:
    api, token = find_api(), None
    while True:
        page = get(api, "/v1/runs", where=where, limit=RUNS_AT_ONCE, last=0, page_token=token)
        yield from (str(one["run_id"]) for one in page["runs"])
        token = page["next_page_token"]
        if token is None:
            return


def read_history(run_id: str, names: Sequence[str] | None) -> list[Metric]:
    """Return the last MAX_HISTORY values of each metric, oldest first; names None: of all. Raises TrackingError."""
    until_readable([run_id])
    with one_error():
        chosen = list(_metrics(run_id)) if names is None else names
        return [metric for name in chosen for metric in _history(run_id, name)]


def _history(run_id: str, name: str) -> list[Metric]:
    # By time: a value that another process logged may have the step of an earlier one.
    newest = nlargest(MAX_HISTORY, query.metric_history(run_id, name), key=lambda point: (point.time, point.step))
    return [Metric(name, point.value, _instant(point.time), point.step) for point in reversed(newest)]


def _metrics(run_id: str) -> Iterator[str]:
    """Yield the written name of each metric of a run that training code has logged."""
    api, token = find_api(), None
    while True:
        page = get(api, run_path(run_id, "series"), buckets=1, page_token=token)
        yield from (str(one["series"]) for one in page["series"] if not one["name"].startswith(SYSTEM_METRIC))
        token = page["next_page_token"]
        if token is None:
            return


def _run(stored: query.StoredRun) -> Run:
    """Return a stored run in the form of this dialect."""
    tags, collection = stored.tags, stored.experiment
    times = {START: stored.started, END: stored.ended}  # of a run that no call has ended, or another API has started
    return Run(
        stored.id,
        run_name=stored.name,
        run_collection_name=collection,
        is_default_collection=tags.get(COLLECTION_TAG) == collection + DEFAULT_MARK,
        state=stored.state,
        parameters={
            **{name: _instant(time).isoformat(timespec="microseconds") for name, time in times.items() if time},
            **{name: text_of(value) for name, value in stored.params.items()},
        },
        metrics=stored.metrics,
        tags={**{key: tag for key, tag in tags.items() if not key.startswith(SYSTEM_TAG)}, RUN_NAME: stored.name},
        context={part: tags[tag_of(part)] for part in PARTS if tag_of(part) in tags},
        labels=partial(_labels, stored.id),
    )


def _labels(run_id: str) -> dict[str, Any]:
    until_readable([run_id])
    with one_error():
        return dict(get(find_api(), run_path(run_id, "log"), max_points=1, max_series=1)["labels"])


def _instant(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)
