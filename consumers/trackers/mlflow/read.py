"""
Read a run back from MLflow: what a person sees of it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import TypeAdapter

from consumers.trackers.mlflow.backend import Backend, RemoteRun
from consumers.trackers.mlflow.mapping_state import MappingState
from consumers.trackers.mlflow.params import FOLDER, VALUE_TAG
from consumers.trackers.protocol import Contents, Observed
from schemas.errors import TrackerRefused
from schemas.mapping.mlflow import MAX_PARAM, MAX_TAG, NOTE_TAG, RUN_NAME_TAG
from schemas.mapping.names import shorten
from schemas.values import Typed, to_text

DEFAULT_EXPERIMENT = "Default"
MAX_EXPERIMENT = 500  # characters
_TYPED: TypeAdapter[Typed] = TypeAdapter(Typed)


def experiment_name(tag: str) -> str:
    """Return the experiment of runs with this tag."""
    return shorten(tag.strip() or DEFAULT_EXPERIMENT, tag, MAX_EXPERIMENT)


def visible_run(backend: Backend, run_id: str) -> RemoteRun:
    """Return a run that MLflow's pages show. Raises TrackerRefused if they do not."""
    run = backend.get_run(run_id)
    if not run.is_active:
        raise TrackerRefused(f"run {run_id} is in MLflow's trash and not on its pages: restore it, or repair it")
    if run.experiment_id and not (experiment := backend.get_experiment(run.experiment_id)).is_active:
        raise TrackerRefused(
            f"run {run_id} is in the experiment {experiment.name!r}, which was deleted in MLflow: restore the "
            "experiment, or delete it for good and repair the run"
        )
    return run


def read_contents(backend: Backend, run: RemoteRun, state: MappingState) -> Contents:
    """Return what MLflow shows of a run besides points, parameters and tags of the training code."""
    named = {state.name_of(key, run.tags): text for key, text in run.tags.items()}
    tag = run.tags.get("gw.tag", "")
    return Contents(
        name=run.tags.get(RUN_NAME_TAG, ""),
        tag=tag,
        misplaced=_misplaced(backend, run, experiment_name(tag)),
        where=f"run {run.id} at {backend.address}",
        note=run.tags.get(NOTE_TAG, ""),
        labels=_with_prefix(named, "gw.label."),
        artifacts=_with_prefix(named, "gw.artifact."),
        observations=_observations(backend, run, state, named),
        unheld=state.left_out,
        lifecycle_stage="active" if run.is_active else "deleted",
    )


def _misplaced(backend: Backend, run: RemoteRun, expected: str) -> str:
    """Return the experiment that shows the run instead; "" also if a person gave the right one another name."""
    if not run.experiment_id:
        return ""
    name = backend.get_experiment(run.experiment_id).name
    if name == expected or (name != DEFAULT_EXPERIMENT and backend.find_experiment(expected) is None):
        return ""
    return f"experiment {name!r}"


def _with_prefix(named: dict[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in named.items() if name.startswith(prefix)}


def _observations(backend: Backend, run: RemoteRun, state: MappingState, named: dict[str, str]) -> Iterator[Observed]:
    """Yield observations; MLflow keeps no times of them, and one value as a param for each step."""
    for key in state.values:
        if key in run.params:
            yield _observed(state.name_of(key, run.tags), run.params[key], MAX_PARAM)
    for name, text in _with_prefix(named, VALUE_TAG).items():
        yield _observed(name.rpartition("@")[0], text, MAX_TAG)
    for _, content in backend.load_artifacts(run.artifact_uri, FOLDER):
        for line in content.splitlines():
            facts: dict[str, Any] = orjson.loads(line)
            value = _TYPED.validate_python({"type": facts["type"], "value": facts["value"]})
            yield Observed(facts["name"], facts["step"], None, to_text(value))


def _observed(name: str, text: str, limit: int) -> Observed:
    series, _, step = name.rpartition("_")
    return Observed(series, int(step), None, None if len(text) >= limit else text)
