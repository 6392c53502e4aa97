"""
What a person names must be there: runs and their series, parameters and tags, as the API has them; near names if not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from gateway.client.query import get, run_path
from schemas.errors import Refused

WORDS = {"series": "series", "param": "parameter", "tag": "tag"}
SEARCHED_RUNS = 1_000  # the newest, for near names
SHOWN_NAMES = 3


def find_run(base: str, run_id: str) -> dict[str, Any]:
    """Return the summary of a run (schemas/api.py). Raises Refused, with near ids, for one that is not there."""
    quoted = run_id.replace("'", "''")
    found = get(base, "/v1/runs", where=f"run_id = '{quoted}'", limit=1)["runs"]
    if found:
        return dict(found[0])
    newest = get(base, "/v1/runs", limit=SEARCHED_RUNS)["runs"]
    meant = [one["run_id"] for one in newest if one["run_id"].startswith(run_id) or one["name"] == run_id]
    near = _near(run_id, meant, [one["run_id"] for one in newest])
    raise Refused(
        f"no run {run_id!r:.300} (a new one shows as soon as it is folded): "
        f"{near or 'list the runs with `gateway runs list`'}"
    )


def places_of(base: str, run_id: str, what: str) -> dict[str, set[str]]:
    """Return the names of one kind in a run, each with where it is: a series' written names (schemas/names.py)."""
    log = get(base, run_path(run_id, "log"), max_points=1)
    if what != "series":
        names: Mapping[str, Any] = log["parameters" if what == "param" else "tags"]
        return {name: {name} for name in names}
    found: dict[str, set[str]] = {}
    series = get(base, run_path(run_id, "series"), buckets=1)["series"]
    for one in series:
        found.setdefault(one["name"], set()).add(one["series"])
    known = {one["series"] for one in series}
    for step_name, step in log["steps"].items():
        prefix = "" if step_name == "main" else f"{step_name}/"
        for written in step["user_defined_metrics"]:  # values that are no numbers are no series of the API
            if prefix + written not in known:
                name = written.rpartition("{")[0] if written.endswith("}") else ""
                found.setdefault(name or written, set()).add(prefix + written)
    return found


def check_named(run_id: str, what: str, name: str, places: Mapping[str, set[str]]) -> None:
    """Raise Refused, with near names, when a run has nothing of this name."""
    if name in places:
        return
    meant = [one for one, written in places.items() if name in written]  # `test/loss{rank=1}` is of series `loss`
    near = _near(name, meant, places)
    raise Refused(
        f"run {run_id} has no {WORDS[what]} {name!r:.300}: "
        f"{near or f'see what it has with `gateway runs show {run_id}`'}"
    )


def _near(name: str, meant: Iterable[str], names: Iterable[str]) -> str:
    """Ask whether one of the names is meant that fit, or else are nearly the same; "" when there is none."""
    found = list(meant)[:SHOWN_NAMES] or get_close_matches(name, list(names), SHOWN_NAMES, 0.7)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""
