"""Run logs in the form of Magnus: the examples of seeds 000 and 001, small made ones, and a comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).parent / "seeds"
EXAMPLES = ("000", "001", "001_steps")
START, END = "2024-01-10 10:48:10.089266", "2024-01-10 10:48:10.092541"


def example(name: str) -> dict[str, Any]:
    """Return the run log that a seed shows."""
    found: dict[str, Any] = json.loads((SEEDS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def step(name: str, **fields: Any) -> dict[str, Any]:
    """Return a step with one attempt; its short name is what follows the last dot."""
    attempt = {"attempt_number": 1, "start_time": START, "end_time": END, "status": "SUCCESS", "message": ""}
    whole = {"name": name.rpartition(".")[2], "internal_name": name, "status": "SUCCESS", "step_type": "task"}
    return {**whole, "attempts": [{**attempt, "parameters": {}}], **fields}


def run_log(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a run log with these steps."""
    found = {"run_id": "r1", "status": "SUCCESS", "steps": {one["internal_name"]: one for one in steps}}
    return {**found, **fields}


def differences(written: Any, printed: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """
    Yield every place at which a printed run log lacks or changes what Magnus wrote; what it has more is left out.

    A data catalog is printed in the order of names, whatever the order in which Magnus wrote it.
    """
    if isinstance(written, Mapping) and isinstance(printed, Mapping):
        for name, value in written.items():
            yield from differences(value, printed.get(name, "(missing)"), f"{where}/{name}")
        if where.endswith(("steps", "branches", "user_defined_metrics", "parameters")):
            yield from ((f"{where}/{name}", "(missing)", printed[name]) for name in printed.keys() - written.keys())
    elif isinstance(written, list) and isinstance(printed, list) and len(written) == len(printed):
        if where.endswith("/data_catalog"):
            written, printed = (
                sorted(one, key=lambda entry: (entry["name"], entry["stage"])) for one in (written, printed)
            )
        for index, pair in enumerate(zip(written, printed, strict=True)):
            yield from differences(*pair, f"{where}/{index}")
    elif json.dumps(written, sort_keys=True) != json.dumps(printed, sort_keys=True):
        yield where, written, printed


def _place(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["name"], entry["stage"]
