"""
Say what the new state of a chunk of a run log means: facts, in the order in which they happened. Pure.

runnable keeps states and no events; it writes the whole state at each change. What was not there before is a fact.

    new or running step, or job            it starts
    attempt                                start, parameters, code, returned values, end; with the attempt's own times
    returned metric                        a point at step 0; a dict with numbers as keys: a point for each
    other returned value                   an observation; of a pickled object its description
    parameters of the run                  parameters, so that those of the run log are runnable's
    data catalog                           references to artifacts
    terminal step, or a finished job       the run ends

Steps of a branch are named steps like any other; their names say where they belong. Attempt 0 of a fact stands for the
attempt of the run: a step that contains branches has no attempts in runnable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gateway.dialects.runnable.chunks import ROOT, Chunk

SUCCESS, FAIL = "SUCCESS", "FAIL"
_ENDS = {SUCCESS: "success", FAIL: "fail"}
_TERMINAL = ("success", "fail")  # types of the steps with which runnable ends a graph
_MAX_STEP = 2**63 - 1
JOB = "job"  # the named step of a job


class Fact(NamedTuple):
    """Something that happened in a run: an event of this kind, or `value`, `end` (see recording.py)."""

    kind: str
    time: int  # µs
    body: Mapping[str, Any]
    step_name: str = ""  # "" for a fact of the run itself
    attempt: int = 0


def find_facts(name: str, old: Chunk | None, new: Chunk, now: int) -> list[Fact]:
    """Return what happened between two states of the chunk `name`; `old` is None for its first. `now` is in µs."""
    before: Chunk = old or {}
    return list(_facts_of_run(before, new, now) if name == ROOT else _facts_of_steps(before, new, now))


def _facts_of_run(old: Chunk, new: Chunk, now: int) -> Iterator[Fact]:
    described = {key: new[key] for key in ("dag_hash", "tag", "run_config") if new.get(key) != old.get(key)}
    if any(described.values()):
        yield Fact("description", now, described)
    known = old.get("parameters") or {}
    params = {key: one for key, one in (new.get("parameters") or {}).items() if not _is_same(known.get(key), one)}
    if params:
        yield Fact("params", now, _values(params))
    yield from _facts_of_steps(old, new, now)
    job_before, job = old.get("job"), new.get("job")
    if job is not None:
        yield from _facts_of_step(_job_step(job_before) if job_before else {}, _job_step(job), now)
    if _has_ended(old, new):
        failed = new["status"] != SUCCESS
        yield Fact(
            "end", now, {"status": "failed" if failed else "finished", "message": _reason(new) if failed else ""}
        )


def _is_same(old: object, new: object) -> bool:
    return old == new or json.dumps(old) == json.dumps(new)  # NaN is not equal to itself


def _facts_of_steps(old: Chunk, new: Chunk, now: int) -> Iterator[Fact]:
    known = old.get("steps") or {}
    for key, step in (new.get("steps") or {}).items():
        if known.get(key) != step:
            yield from _facts_of_step(known.get(key) or {}, step, now)


def _job_step(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job in the form of a step; runnable numbers all of its attempts 1."""
    code = job.get("code_identities") or []
    attempts = [
        {**attempt, "attempt_number": number, "code_identities": attempt.get("code_identities") or code}
        for number, attempt in enumerate(job.get("attempts") or [], 1)
    ]
    return {**job, "name": JOB, "internal_name": JOB, "step_type": JOB, "attempts": attempts}


def _transition(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether a step starts, again or for the first time, and whether it ends."""
    was, now = old.get("status"), new["status"]
    return (not old or was in _ENDS) and now != was, now in _ENDS and now != was


def _facts_of_step(old: Mapping[str, Any], step: Mapping[str, Any], now: int) -> Iterator[Fact]:
    name, attempts = step["internal_name"], list(step.get("attempts") or [])
    done = len(old.get("attempts") or [])
    started, ended = _transition(old, step)
    is_task = bool(attempts) or step["step_type"] in ("task", "stub", JOB, *_TERMINAL)
    if started and not (done < len(attempts)):
        body = {"name": step["name"], "step_type": step["step_type"], "mock": bool(step.get("mock"))}
        yield Fact("step_started", now, body, name, len(attempts) + 1 if is_task else 0)
    for attempt in attempts[done:]:
        yield from _facts_of_attempt(step, attempt, now)
    if ended and done == len(attempts):
        body = {"status": _ENDS[step["status"]], "message": step.get("message") or ""}
        yield Fact("step_finished", now, body, name, len(attempts))
    yield from _catalog(old, step, now)


def _facts_of_attempt(step: Mapping[str, Any], attempt: Mapping[str, Any], now: int) -> Iterator[Fact]:
    name, number = step["internal_name"], int(attempt["attempt_number"])
    start = micros(attempt["start_time"], now)
    end = max(start, micros(attempt["end_time"], now))
    body = {"name": step["name"], "step_type": step["step_type"], "mock": bool(step.get("mock"))}
    yield Fact("step_started", start, body, name, number)
    if attempt["input_parameters"]:
        yield Fact("params", start, _values(attempt["input_parameters"]), name, number)
    for code in attempt["code_identities"]:
        if code.get("code_identifier"):
            yield Fact("code", start, code, name, number)
    returned = {**attempt["output_parameters"], **attempt["user_defined_metrics"]}
    for key, one in returned.items():
        for at, value in _by_step(one):
            yield Fact("value", end, {"name": key, "step": at, "value": value}, name, number)
    status = _ENDS.get(attempt["status"], "fail")
    yield Fact("step_finished", end, {"status": status, "message": attempt["message"]}, name, number)


def _by_step(returned: Mapping[str, Any]) -> list[tuple[int, Any]]:
    """Return a returned value with its step; a metric that is a dict with whole numbers as keys, with several."""
    value = _value(returned)
    if returned["kind"] == "metric" and isinstance(value, dict) and value and all(map(_is_step, value)):
        return [(int(at), one) for at, one in value.items()]
    return [(0, value)]


def _is_step(key: object) -> bool:
    text = str(key)
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 20 and abs(int(text)) <= _MAX_STEP


def _values(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {key: _value(one) for key, one in parameters.items()}


def _value(parameter: Mapping[str, Any]) -> Any:
    """Return the value of a parameter; of a pickled object runnable knows only where it is."""
    return parameter["description"] if parameter["kind"] == "object" else parameter["value"]


def _catalog(old: Mapping[str, Any], step: Mapping[str, Any], now: int) -> Iterator[Fact]:
    known = list(old.get("data_catalog") or [])
    for item in step.get("data_catalog") or []:
        if item in known:
            continue
        known.append(item)
        location, path = item.get("catalog_handler_location") or "", item.get("catalog_relative_path") or item["name"]
        body = {
            "name": item["name"],
            "uri": f"{location.rstrip('/')}/{path}" if location else path,
            "sha256": item.get("data_hash") or "",
            "stage": "get" if item.get("stage") == "get" else "put",
        }
        yield Fact("artifact", now, body, step["internal_name"], len(step.get("attempts") or []))


def _has_ended(old: Chunk, new: Chunk) -> bool:
    """
    Return whether this change ends the run.

    Its status is not enough: it says FAIL while a failed run is tried again, and SUCCESS before the last step is
    written.
    """
    if new["status"] not in _ENDS:
        return False
    known, steps = old.get("steps") or {}, new.get("steps") or {}
    if any(_ends_graph(known.get(key) or {}, step) for key, step in steps.items()):
        return True
    if new.get("job") is not None:
        return bool(_transition(old.get("job") or {}, new["job"])[1])
    # An orchestrator that runs each step in a process of its own sets the status alone.
    return new["status"] != old.get("status") and all(step["status"] in _ENDS for step in steps.values())


def _ends_graph(old: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    return step["step_type"] in _TERMINAL and len(step["attempts"]) > len(old.get("attempts") or [])


def _reason(run: Chunk) -> str:
    """Return which step failed, and why: the last one that did."""
    failed = [step for step in (run.get("steps") or {}).values() if step["status"] == FAIL]
    failed += [_job_step(run["job"])] if run.get("job") and run["job"]["status"] == FAIL else []
    if not failed:
        return "the pipeline failed"
    step = failed[-1]
    message = step["attempts"][-1]["message"] if step["attempts"] else step.get("message")
    return f"step {step['internal_name']} failed" + (f": {message.strip()}" if message else "")


def micros(text: str, otherwise: int) -> int:
    """Return a time of runnable (local, without a zone) in µs; `otherwise` if there is none."""
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return otherwise
    # Whole seconds: as a float, a time with microseconds is not exact.
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
