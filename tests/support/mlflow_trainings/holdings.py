"""
What a server holds of an experiment, read with MLflow's client, without what differs between two executions.

Ids become the names of what they identify, times and folders are left out, and random names too. Everything else stays.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType

RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
VARIES = re.compile(
    r"utc_time_created: .*|model_uuid: .*|model_size_bytes: .*|mlflow_version: .*|\"uuid\": \"[0-9a-f]*\""
)
TIME = 1_700_000_000_000  # ms; timestamps below it plus a day were given, later ones are clocks


def holdings(experiment: str) -> dict[str, Any]:
    """Return runs, logged models and registered models of an experiment."""
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], run_view_type=ViewType.ALL, max_results=1_000)
    runs = [client.get_run(run.info.run_id) for run in runs]  # the other answer has no model inputs at a stock server
    models = client.search_logged_models([found.experiment_id], max_results=50)
    versions = client.search_model_versions(f"name = '{experiment}'")
    names = Names()
    names.add(experiment, "EXPERIMENT")
    names.add(f"/{found.experiment_id}/", "/ID OF EXPERIMENT/")
    names.add(mlflow.get_tracking_uri(), "SERVER")
    for run in sorted(runs, key=_what_it_is):
        names.add(run.info.run_id, f"RUN of {_what_it_is(run)[:60]}")
    for model in sorted(models, key=lambda one: names.replace(f"{one.name} {one.source_run_id}")):
        names.add(model.model_id, names.replace(f"MODEL {model.name} of {model.source_run_id}"))
    return {
        "experiment": names.replace({"name": found.name, "stage": found.lifecycle_stage, "tags": dict(found.tags)}),
        "runs": by_name(names, [_run(client, names, run) for run in runs]),
        "models": by_name(names, [_model(client, names, model) for model in models]),
        "registered": by_name(names, [_version(one) for one in versions]),
    }


class Names:
    """Texts that differ between two executions, and what stands for them."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []

    def add(self, text: str, name: str) -> None:
        """Let `name` stand for `text`."""
        self._pairs.append((text, name))

    def replace(self, value: Any) -> Any:
        """Return a JSON value with the names, and with its keys sorted."""
        if isinstance(value, dict):
            return {self.replace(key): self.replace(one) for key, one in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [self.replace(one) for one in value]
        if not isinstance(value, str):
            return value
        for text, name in reversed(self._pairs):
            value = value.replace(text, name)
        return VARIES.sub("VARIES", RANDOM_NAME.sub("RANDOM", value) if RANDOM_NAME.fullmatch(value) else value)


def by_name(names: Names, found: list[dict[str, Any]]) -> list[Any]:
    """Return documents in an order that does not depend on ids."""
    return sorted((names.replace(one) for one in found), key=repr)


def _what_it_is(run: Any) -> str:
    name = run.info.run_name
    return f"{'' if RANDOM_NAME.fullmatch(name) else name} {sorted(run.data.params.items())!r}"


def _run(client: MlflowClient, names: Names, run: Any) -> dict[str, Any]:
    info, run_id = run.info, run.info.run_id
    return {
        "name": info.run_name,
        "id": run_id,
        "status": info.status,
        "stage": info.lifecycle_stage,
        "user": info.user_id,
        "artifact_uri": info.artifact_uri,
        "is in order": info.start_time <= (info.end_time or 0),
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key != "mlflow.log-model.history"},
        "latest": {key: _number(key, value) for key, value in run.data.metrics.items()},
        "metrics": {key: _history(client, run_id, key) for key in run.data.metrics},
        "inputs": [_input(one) for one in run.inputs.dataset_inputs],
        "model inputs": [one.model_id for one in run.inputs.model_inputs],
        "outputs": [[one.model_id, one.step] for one in run.outputs.model_outputs],
        "artifacts": {
            path: _content(names, Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path)), size)
            for path, size in _files(client, run_id)
        },
    }


def _history(client: MlflowClient, run_id: str, key: str) -> list[Any]:
    points = client.get_metric_history(run_id, key)
    if key.startswith("system/"):
        return ["points"]
    return [
        [one.step, _number(key, one.value), one.timestamp if one.timestamp < TIME + 86_400_000 else "a clock's",
         one.model_id, one.dataset_name, one.dataset_digest]
        for one in points
    ]  # fmt: skip


def _number(key: str, value: float) -> str:
    """Return a value, but not that of a clock or of this machine."""
    return "VARIES" if "_time" in key or key.startswith("system/") else repr(value)


def _input(one: Any) -> dict[str, Any]:
    data = one.dataset
    return {
        "tags": {tag.key: tag.value for tag in one.tags},
        "dataset": [data.name, data.digest, data.source_type, data.source, data.schema, data.profile],
    }


def _files(client: MlflowClient, run_id: str, path: str | None = None) -> Iterator[tuple[str, int | None]]:
    for one in client.list_artifacts(run_id, path):
        if one.is_dir:
            yield from _files(client, run_id, one.path)
        else:
            yield one.path, one.file_size


def _content(names: Names, file: Path, size: int | None) -> Any:
    """Return the size of a file and its digest; its text without ids, and less of what holds times and addresses."""
    content = file.read_bytes()
    assert len(content) == (size or 0), file
    if zipfile.is_zipfile(file):  # skops and Keras name members by addresses, and write the time into them
        with zipfile.ZipFile(file) as packed:
            return f"{len(packed.namelist())} members"
    if file.name in ("model.pkl", "estimator.html"):  # of a search: how long each fit took, and addresses
        return file.suffix
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return [size, hashlib.sha256(content).hexdigest()]
    if file.name == "cv_results.csv":
        return text.partition("\n")[0]
    if file.name == "MLmodel":  # trusted types are a set
        return sorted(names.replace(text).splitlines())
    replaced = names.replace(text)
    return [size, hashlib.sha256(content).hexdigest()] if replaced == text else replaced


def _model(client: MlflowClient, names: Names, model: Any) -> dict[str, Any]:
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model.artifact_location))
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {
        "name": model.name,
        "id": model.model_id,
        "status": str(model.status),
        "type": model.model_type,
        "run": model.source_run_id,
        "location": model.artifact_location,
        "tags": model.tags,
        "params": model.params,
        "metrics": sorted(
            [one.key, one.step, _number(one.key, one.value), one.run_id, one.dataset_name or ""]
            for one in model.metrics or []
        ),
        "files": {
            one.relative_to(folder).as_posix(): _content(names, one, one.stat().st_size or None) for one in files
        },
    }


def _version(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "source": one.source,
        "run": one.run_id,
        "stage": one.current_stage,
        "status": one.status,
        "aliases": one.aliases,
        "tags": one.tags,
        "model": one.model_id,
    }
