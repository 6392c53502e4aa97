"""
Look up what the user names, through the API: runs and their series, parameters and tags. Suggest near names if absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.client.query import ApiRefused, get, run_path
from gateway.query import RunNotFound
from schemas.errors import Refused

WORDS = {"series": "series", "param": "parameter", "tag": "tag"}
SEARCHED_RUNS = 1_000  # the newest, for near names


def find_run(base: str, run_id: str) -> dict[str, Any]:
    """Return the summary of a run (schemas/api). Raises Refused, with near ids, for an unknown one."""
    quoted = run_id.replace("'", "''")
    found = get(base, "/v1/runs", where=f"run_id = '{quoted}'", limit=1, stage="all")["runs"]
    if found:
        return dict(found[0])
    newest = get(base, "/v1/runs", limit=SEARCHED_RUNS)["runs"]
    matching = [one["run_id"] for one in newest if one["run_id"].startswith(run_id) or one["name"] == run_id]
    from gateway.read.near import did_you_mean

    near = did_you_mean(run_id, matching, [one["run_id"] for one in newest])
    raise Refused(
        f"no run {run_id!r:.300} (a new one appears as soon as it is folded): "
        f"{near or 'list the runs with `gateway runs list`'}"
    )


@contextmanager
def near_ids(base: str, *runs: str) -> Iterator[None]:
    """Raise Refused, with near ids, when the API does not know one of these runs."""
    try:
        yield
    except (RunNotFound, ApiRefused):
        for run_id in runs:
            find_run(base, run_id)
        raise


def document_of(base: str, run_id: str, document: str, **parameters: Any) -> dict[str, Any]:
    """Return a document of a run. Raises Refused, with near ids, for an unknown one."""
    try:
        return dict(get(base, run_path(run_id, document), **parameters))
    except ApiRefused:
        find_run(base, run_id)
        raise


def names_of(base: str, run_id: str, what: str) -> dict[str, set[str]]:
    """
    Return the names of one kind that a run has, each with the names it is written as.

    `what` is series, param or tag. A series is written with its step and labels (schemas/names.py), once for each.
    """
    log = get(base, run_path(run_id, "log"), max_points=1)
    if what != "series":
        names: Mapping[str, Any] = log["parameters" if what == "param" else "tags"]
        return {name: {name} for name in names}
    found: dict[str, set[str]] = {}
    known: set[str] = set()
    for one in _all_series(base, run_id):
        found.setdefault(one["name"], set()).add(one["series"])
        known.add(one["series"])
    for step_name, step in all_steps(log):
        prefix = "" if step_name == "main" else f"{step_name}/"
        for written in step["user_defined_metrics"]:  # series whose values are not numbers are not in the API's list
            if prefix + written not in known:
                name = written.rpartition("{")[0] if written.endswith("}") else ""
                found.setdefault(name or written, set()).add(prefix + written)
    return found


def all_steps(log: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every step of a run log by internal name, those of branches right after the step that holds them."""
    for name, step in log["steps"].items():
        yield name, step
        for branch in step.get("branches", {}).values():
            yield from all_steps(branch)


def _all_series(base: str, run_id: str) -> Iterator[dict[str, Any]]:
    """Yield the series of a run, page by page."""
    token: str | None = None
    while True:
        page = get(base, run_path(run_id, "series"), buckets=1, page_token=token)
        yield from page["series"]
        token = page["next_page_token"]
        if token is None:
            return


def check_name(run_id: str, what: str, name: str, names: Mapping[str, set[str]]) -> None:
    """Raise Refused, with near names, when a run has no series, parameter or tag of this name."""
    if name in names:
        return
    from gateway.read.near import did_you_mean

    matching = [one for one, written in names.items() if name in written]  # `test/loss{rank=1}` is of series `loss`
    near = did_you_mean(name, matching, names)
    raise Refused(
        f"run {run_id} has no {WORDS[what]} {name!r:.300}: "
        f"{near or f'see what it has with `gateway runs show {run_id}`'}"
    )
