"""
Read a run back from its W&B file. Pure: records in, facts out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from consumers.trackers.protocol import Contents, Observed
from consumers.trackers.wandb.translate import SCOPE_KEY, STEP_KEY, from_instant
from schemas.columns import NON_FINITE
from schemas.mapping.names import wandb_name

_ROW_KEYS = ("_step", "_timestamp", "_runtime", STEP_KEY, SCOPE_KEY)
_TAG, _LABEL, _ARTIFACT = "gw.tag.", "gw.label.", "gw.artifact."


class RunFileFacts:
    """What a file holds of a run, apart from its history."""

    def __init__(self, records: Iterable[Any]) -> None:
        self.params: dict[str, str] = {}
        self.facts: dict[str, str] = {}  # config items of ours, as JSON text
        self.status = "running"
        self._name = self._note = self.project = ""
        for record in records:
            self._add(record, record.WhichOneof("record_type"))

    def _add(self, record: Any, kind: str) -> None:
        if kind == "config":
            for item in record.config.update:
                kept = self.facts if item.key.startswith("gw.") else self.params
                kept[wandb_name(item.key)] = item.value_json
        elif kind == "exit":
            self.status = orjson.loads(self.facts["gw.status"])
        elif kind == "run":
            self._name, self._note, self.project = record.run.display_name, record.run.notes, record.run.project

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the training code."""
        return {name: orjson.loads(text) for name, text in self._with_prefix(_TAG).items()}

    @property
    def tag(self) -> str:
        """The tag of the run itself."""
        return str(orjson.loads(self.facts.get("gw.tag", '""')))

    def time(self, name: str) -> int | None:
        """Return the µs of `gw.<name>_at`."""
        return from_instant(orjson.loads(self.facts.get(f"gw.{name}_at", "null")))

    def contents(self, observations: Iterator[Observed], default_project: str, where: str) -> Contents:
        """Return what the file holds besides points, parameters and tags."""
        project = self.tag or default_project
        return Contents(
            name=self._name, tag=self.tag, where=where, note=self._note, labels=self._with_prefix(_LABEL),
            artifacts=self._with_prefix(_ARTIFACT), observations=observations,
            misplaced="" if project == self.project else f"project {self.project!r}",
        )  # fmt: skip

    def _with_prefix(self, prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): text for key, text in self.facts.items() if key.startswith(prefix)}


def points(records: Iterable[Any]) -> Iterator[tuple[str, int, int, float]]:
    """Yield the points of history rows: series, step, µs, value."""
    for step, time, cells in _rows(records):
        for key, text in cells.items():
            if (value := _number(text)) is not None:
                yield wandb_name(key), step, time, value


def observations(records: Iterable[Any]) -> Iterator[Observed]:
    """Yield the cells of history rows that are not numbers."""
    for step, time, cells in _rows(records):
        for key, text in cells.items():
            if _number(text) is None:
                yield Observed(wandb_name(key), step, time, _observed(text))


def _rows(records: Iterable[Any]) -> Iterator[tuple[int, int, Mapping[str, str]]]:
    for record in records:
        if record.WhichOneof("record_type") == "history":
            cells = {item.key: item.value_json for item in record.history.item}
            step, time = int(cells[STEP_KEY]), int(cells["_timestamp"].replace(".", ""))
            yield step, time, {key: text for key, text in cells.items() if key not in _ROW_KEYS}


def _number(text: str) -> float | None:
    if text in NON_FINITE:
        return NON_FINITE[text]
    return float(text) if text[0] in "-0123456789" else None


def _observed(text: str) -> str:
    if not text.startswith('{"_type":"histogram"'):
        return text
    counts, edges = (text.partition(f'"{name}":[')[2].partition("]")[0] for name in ("values", "bins"))
    return f'{{"counts":[{_quoted(counts)}],"edges":[{_quoted(edges)}]}}'


def _quoted(numbers: str) -> str:
    """Return numbers as the contract writes them: those that JSON does not have are texts."""
    return ",".join(f'"{one}"' if one in NON_FINITE else one for one in numbers.split(","))
