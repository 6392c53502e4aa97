"""States that an earlier release stored with the checkpoint: the names and the order of their fields stay."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from consumers.trackers.parquet.translate import RunRow
from consumers.trackers.run_start import Opening
from consumers.trackers.run_status import RunStatus
from consumers.trackers.trackio.config import RunHead
from consumers.trackers.wandb.translate import RunEnd, RunHeader

BY_NAME = [
    (RunHeader, {"name": "one", "project": "p", "group": "g", "notes": "n", "tags": {"team": "vision"}}),
    (RunHead, {"project": "p", "name": "one", "started": 1, "opened": True, "attempt": 2, "tag": "p"}),
    (
        RunRow,
        {
            "status": "failed", "started": 1, "ended": 2, "name": "one", "tag": "p", "group": "g",
            "parent_run_id": "r0", "message": "odd",
        },
    ),
]  # fmt: skip
BY_ORDER = [
    (Opening, [1, 2, 3, "one", "p"], {"first": 1, "started": 2, "attempt": 3, "name": "one", "tag": "p"}),
    (RunStatus, ["failed", 1_500, "odd", 2], {"status": "failed", "time": 1_500, "message": "odd", "attempt": 2}),
    (
        RunEnd,
        ["failed", 1, "odd", 1_500, 2],
        {"status": "failed", "exit_code": 1, "message": "odd", "time": 1_500, "attempt": 2},
    ),
]


@pytest.mark.parametrize(("kind", "stored"), BY_NAME, ids=lambda one: getattr(one, "__name__", ""))
def test_fields_that_are_stored_by_name(kind: Any, stored: dict[str, Any]) -> None:
    assert kind(**stored)._asdict() == stored


@pytest.mark.parametrize(("kind", "stored", "fields"), BY_ORDER, ids=lambda one: getattr(one, "__name__", ""))
def test_fields_that_are_stored_in_order(kind: type[NamedTuple], stored: list[Any], fields: dict[str, Any]) -> None:
    assert kind(*stored)._asdict() == fields
