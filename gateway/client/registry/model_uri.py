"""
Names of a version, and of its files, as text: `models:/name/3`, `/Production` or `/latest`, `models:/name@alias`.

The forms are MLflow's (seed 004: `models:/iris_classifier/Production`); `models:/name/@alias` is one too. The name is
percent-decoded, so that it may hold any character.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from gateway.client.errors import ClientError
from gateway.client.registry.arguments import STAGES, check_version

SCHEME = "models:/"
FORMS = "write models:/NAME/VERSION, models:/NAME/STAGE, models:/NAME/latest or models:/NAME@ALIAS"


RUNS = "runs:/"


def parse_run_uri(uri: str) -> tuple[str, str] | None:
    """
    Return run id and path of artifacts named as `runs:/RUN/path/in/the/run`; None for a URI of another form.

    The form is MLflow's; both are percent-decoded. Without a path it means all artifacts of the run.
    """
    run_id, _, path = uri.removeprefix(RUNS).partition("/")
    return (unquote(run_id), unquote(path.strip("/"))) if uri.startswith(RUNS) and run_id else None


class ModelUri(NamedTuple):
    """Which version of which model; one of the last three is set, or none for the newest."""

    name: str
    version: int | None = None
    stage: str | None = None
    alias: str | None = None


def parse_model_uri(uri: str) -> ModelUri:
    """Return what a `models:/` URI names. Raises ClientError."""
    rest = uri.removeprefix(SCHEME) if isinstance(uri, str) and uri.startswith(SCHEME) else ""
    name, slash, choice = rest.strip("/").rpartition("/")
    stage = next((one for one in STAGES if one.lower() == choice.lower()), None)
    if slash and name and choice.startswith("@") and len(choice) > 1:
        return ModelUri(unquote(name), alias=unquote(choice[1:]))
    if slash and name and "@" not in choice:
        if stage is not None:
            return ModelUri(unquote(name), stage=stage)
        if choice.lower() == "latest":
            return ModelUri(unquote(name))
        if choice.isdecimal():
            return ModelUri(unquote(name), version=check_version(choice))
    name, at, alias = rest.strip("/").rpartition("@")
    if at and name and alias:
        return ModelUri(unquote(name), alias=unquote(alias))
    raise ClientError(f"{uri!r:.200} does not name a version of a model: {FORMS}")
