"""
What one run gets of MLflow's params, and which tags tell what params and metrics cannot.

MLflow keeps the first value of a param for ever and refuses a whole call for another one, so what a run has already is
asked for before params are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumers.trackers.mlflow.backend import Held, Place
from consumers.trackers.mlflow.metrics import MAX_PARAM, MAX_TAG, Notes, dump
from consumers.trackers.mlflow.params import Param
from consumers.trackers.mlflow.tags import Words
from schemas.mapping.names import mlflow_key, mlflow_name


class Asked:
    """What the server holds of a run, asked for when it is needed, and once."""

    def __init__(self, place: Place, run: str, is_new: bool) -> None:
        self._place, self._run = place, run
        self.is_new = is_new
        self._held: Held | None = None

    @property
    def held(self) -> Held:
        """Everything but points."""
        if self._held is None:
            self._held = self._place.held(self._run)
        return self._held


def divide(wanted: Sequence[Param], server: Asked, notes: Notes) -> tuple[dict[str, str], Words, Notes]:
    """Return what MLflow takes as params, and the rest as tags; the notes with the names of those."""
    moved: Words = {}
    names = dict(notes.names)
    taken: dict[str, str] = {}
    held = dict(server.held.params) if wanted and not server.is_new else {}
    for param in wanted:
        text = param.text[:MAX_PARAM]
        if param.owns and held.setdefault(param.key, text) == text:
            taken[param.key] = text
            continue
        name = f"{param.prefix}{notes.name_of(param.key)}@{param.attempt}"
        key = mlflow_key(name)
        moved[key] = param.text[:MAX_TAG]
        if mlflow_name(key) != name:
            names[key] = name
    return taken, moved, notes._replace(names=names)


def note_tags(notes: Notes) -> dict[str, str]:
    """Return what the notes say in tags."""
    found = {f"gw.name.{key[-32:]}": name[:MAX_TAG] for key, name in notes.names.items()}
    if notes.infinite:
        counts = {notes.name_of(key): count for key, count in notes.infinite.items()}
        found["gw.nonfinite"] = dump(counts)[:MAX_TAG]
    if notes.left_out:
        found["gw.values_left_out"] = str(notes.left_out)
    return found


def altered(notes: Notes) -> dict[str, int]:
    """Return what MLflow's pages show otherwise, in words, and how often: `read_points` undoes it."""
    found = {
        "±Infinity, shown as ±1.797e308": sum(notes.infinite.values()),
        "equal points, shown as one": sum(count for _, count in notes.doubles),
        "observations left out": notes.left_out,
    }
    return {words: count for words, count in found.items() if count}


def changed(now: Mapping[str, str], before: Mapping[str, str]) -> Words:
    """Return the tags that are new or say something else."""
    return {key: text for key, text in now.items() if before.get(key) != text}
