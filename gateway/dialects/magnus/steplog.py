"""
What a step log of Magnus becomes: events about its attempts, its code, its parameters and its data catalog.

Pure. A step log is the JSON object that Magnus stores (seeds 000 and 001). Its times are naive and local; events have
µs since 1970.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from gateway.client.capture.host import IN_URL, MASK
from gateway.client.encoding.typed import typed
from gateway.client.shipping.batching import split
from gateway.dialects.masking import mask_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Timed = tuple[int, dict[str, Any]]  # time (µs) and body of an event

STATUS = {"SUCCESS": "success", "FAIL": "fail"}  # in any other a step has not ended
_SHA256 = re.compile("[0-9a-f]{64}")


def micros(text: str) -> int | None:
    """Return a time of Magnus, naive and local, in µs since 1970; None if it is none."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None


def start_event(step: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Return the event that a step starts."""
    fields = {"name": step["name"], "step_type": step["step_type"], "mock": step["mock"]}
    return {"kind": "step_started", "step_name": step["internal_name"], "attempt": attempt, **fields}


def attempt_events(step: Mapping[str, Any], *, base: int, now: int) -> Iterator[Timed]:
    """
    Yield the events of the attempts of a step, with the code that ran and their parameters; not the start.

    `base` is added to the numbers of attempts: it is above 0 where the run is an attempt of its own. `now` replaces
    times that are missing.
    """
    for attempt in step["attempts"]:
        scope = {"step_name": step["internal_name"], "attempt": base + max(1, attempt["attempt_number"])}
        start, end = micros(attempt["start_time"]) or now, micros(attempt["end_time"]) or now
        yield from ((start, body) for body in code_events(step, scope["attempt"]))
        params = {name: typed(value) for name, value in attempt["parameters"].items()}
        for part in split(params) if params else ():
            yield start, {"kind": "params", **scope, "params": part}
        status = STATUS.get(attempt["status"], "fail")
        yield end, {"kind": "step_finished", **scope, "status": status, "message": attempt["message"]}


def code_events(step: Mapping[str, Any], attempt: int) -> list[dict[str, Any]]:
    """Return the events about the code that a step ran."""
    scope = {"kind": "code", "step_name": step["internal_name"], "attempt": attempt}
    return [{**scope, **_code(code)} for code in step["code_identities"]]


def artifact_event(step: Mapping[str, Any], entry: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Return the event of an entry of the data catalog: where its bytes are, as a file: URI, and their digest."""
    folder = IN_URL.sub(f"{MASK}@", entry["catalog_handler_location"] or ".")
    place = Path(folder) / (entry["catalog_relative_path"] or entry["name"])
    found = {"name": entry["name"], "uri": place.absolute().as_uri(), "stage": entry["stage"] or "put"}
    digest = entry["data_hash"] if _SHA256.fullmatch(entry["data_hash"]) else ""
    return {"kind": "artifact", "step_name": step["internal_name"], "attempt": attempt, "sha256": digest, **found}


def steps_of(log: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all steps of a run log or branch log, each before those of its branches."""
    for step in log["steps"].values():
        yield step
        for branch in (step.get("branches") or {}).values():
            yield from steps_of(branch)


def time_span(step: Mapping[str, Any], now: int) -> tuple[int, int]:
    """Return start and end of a step with branches, which has no attempts: those of the steps in them (µs)."""
    inside = [one for branch in step["branches"].values() for one in steps_of(branch)]
    attempts = [attempt for one in inside for attempt in one["attempts"]]
    starts, ends = ([found for one in attempts if (found := micros(one[key]))] for key in ("start_time", "end_time"))
    return min(starts, default=now), max(ends, default=now)


def failure_of(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return why a pipeline failed: the message of its first attempt that failed."""
    for step in steps:
        for attempt in step["attempts"]:
            if attempt["status"] == "FAIL":
                return f"step {step['internal_name']} failed: {attempt['message']}"
    return "the pipeline took its failure path"


def _code(code: Mapping[str, Any]) -> dict[str, Any]:
    names = ("identifier", "identifier_type", "identifier_url", "identifier_message")
    found: dict[str, Any] = {f"code_{name}": code[f"code_{name}"] or "" for name in names}
    url = mask_config(found["code_identifier_url"])
    return {**found, "code_identifier_url": url, "code_identifier_dependable": bool(code["code_identifier_dependable"])}
