"""
Turn a run log that Magnus wrote into records of the log. Pure: no clock, no I/O.

The same run log always gives the same records: their producer is named by a hash of the document, they are numbered
from 0, and their times are those in the document. So a file can be imported any number of times, after a kill and from
any machine, and counts once. Magnus' times are naive; the caller gives their time zone.

    run                 run_started with tag, dag_hash, use_cached, original_run_id, and run_config, its secrets masked;
                        at the end its outcome
    step                step_started … step_finished under its internal name, those of branches as well
    attempts            attempt_started, params, attempt_finished
    metrics             a number is a point, anything else an observation; `{"0": …, "1": …}` are the steps of one name
    data_catalog        artifacts: the digest, and `catalog_handler_location/catalog_relative_path` as the place
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gateway.client.capture.host import IN_URL, MASK
from gateway.client.encoding.values import EXACT, INT64, float_to_json
from gateway.client.encoding.wire import MAX_RECORD, encode, source_of
from gateway.client.shipping.batching import MAX_POINTS, split
from gateway.dialects.magnus.run_log_check import ENDS, RunLogError
from gateway.dialects.magnus.steplog import steps_of
from gateway.dialects.masking import mask_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo
    from typing import Any

    from gateway.client.encoding.wire import Record

    Body = dict[str, Any]

PRODUCER = "magnus-import-"  # followed by the hash of a run log
MAPPING = 1  # counted up when the same run log gives other records, which then need an identity of their own
MAIN_STEP = "main"  # as schemas/events has it
_STEP = re.compile(r"0|-?[1-9][0-9]{0,17}")
_HASH = re.compile(r"[0-9a-f]{64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ImportedRunLog:
    """The records of one run log, in order; the last one closes their producer."""

    __slots__ = ("points", "producer", "records", "run_id")

    def __init__(self, run_id: str, producer: str, bodies: Sequence[Body]) -> None:
        self.run_id = run_id
        self.producer = producer
        self.points = sum(len(one["values"]) for body in bodies for one in body.get("series", ()))
        last = bodies[-1]["time"]
        end = {"batches": len(bodies) + 1, "points": self.points, "dropped": 0}
        closed = [*bodies, {"kind": "producer_closed", "time": last, **end}]
        source = source_of(run_id, producer)
        self.records: list[Record] = [
            encode(run_id, source, seq, body["time"], body) for seq, body in enumerate(closed)
        ]
        for body, record in zip(closed, self.records, strict=True):
            if len(record.value) > MAX_RECORD:
                raise RunLogError(
                    f"{_named(body)} takes {len(record.value):,} bytes, an event holds {MAX_RECORD:,}: shorten it"
                )


def producer_of(document: Mapping[str, Any], *, replaces: bool = False) -> str:
    """Return the name of the producer of a run log: the same for the same document, however its file is written."""
    text = json.dumps([MAPPING, replaces, document], sort_keys=True, separators=(",", ":"))
    return PRODUCER + sha256(text.encode()).hexdigest()[:32]


def import_run_log(document: Mapping[str, Any], zone: tzinfo | None, *, replaces: bool = False) -> ImportedRunLog:
    """
    Return the records of a run log that `check_run_log` accepted. Raises RunLogError.

    `zone` is that of its times; None: the local one. With `replaces`, the points and values that an earlier state of
    the same run log has put into the log are deleted first.
    """
    clock = _Clock(document, zone)
    bodies = _bodies(document, clock, replaces=replaces)
    return ImportedRunLog(document["run_id"], producer_of(document, replaces=replaces), list(bodies))


def _bodies(document: Mapping[str, Any], clock: _Clock, *, replaces: bool) -> Iterator[Body]:
    opened = {name: document.get(name) or "" for name in ("tag", "original_run_id", "dag_hash")}
    use_cached, config = bool(document.get("use_cached")), _plain(mask_config(document.get("run_config") or {}))
    yield {"kind": "run_started", "time": clock.start, **opened, "use_cached": use_cached, "run_config": config}
    steps = list(steps_of(document))
    if replaces:
        for name in sorted({name for step in steps for name in step.get("user_defined_metrics") or ()}):
            yield {"kind": "deleted", "time": clock.start, "what": "series", "name": name}
    for step in steps:
        yield from _step(step, clock)
    yield from _run_parameters(document, steps, clock)
    if end := ENDS.get(document["status"]):
        yield {"kind": "run_finished" if end == "success" else "run_failed", "time": clock.end}


def _step(step: Mapping[str, Any], clock: _Clock) -> Iterator[Body]:
    start, end = clock.span(step)
    attempts = step.get("attempts") or [{}]
    numbers = [attempt.get("attempt_number") or index for index, attempt in enumerate(attempts, 1)]
    scope = {"step_name": step["internal_name"], "attempt": numbers[0]}
    named = {"name": step["name"], "step_type": step.get("step_type") or "task", "mock": bool(step.get("mock"))}
    yield {"kind": "step_started", "time": start, **scope, **named}
    for code in step.get("code_identities") or ():
        dependable = bool(code.get("code_identifier_dependable"))
        found = {name: code.get(name) or "" for name in code if name.startswith("code_identifier")}
        url = mask_config(code.get("code_identifier_url") or "")
        identity = {
            "code_identifier": "",
            **found,
            "code_identifier_dependable": dependable,
            "code_identifier_url": url,
        }
        yield {"kind": "code", "time": start, **scope, **identity}
    for number, attempt in zip(numbers, attempts, strict=True):
        scope = {**scope, "attempt": number}
        at, until = clock.of(attempt, start, end)
        yield {"kind": "attempt_started", "time": at, **scope}
        for part in split({name: _typed(value) for name, value in (attempt.get("parameters") or {}).items()}):
            if part:
                yield {"kind": "params", "time": at, **scope, "params": part}
        if number == numbers[-1]:
            yield from _metrics(step, until, scope)
            yield from _artifacts(step, until, scope)
        if ended := ENDS.get(attempt.get("status", "")):
            message = attempt.get("message") or ""
            yield {"kind": "attempt_finished", "time": until, **scope, "status": ended, "message": message}
    if ended := ENDS.get(step["status"]):
        message = step.get("message") or attempts[-1].get("message") or ""
        yield {"kind": "step_finished", "time": end, **scope, "status": ended, "message": message}


def _metrics(step: Mapping[str, Any], time: int, scope: Body) -> Iterator[Body]:
    """Yield the points and observations of a step. The run log has no time for each: all get the end of the attempt."""
    series: list[Body] = []
    values: dict[str, Body] = {}
    for name, value in (step.get("user_defined_metrics") or {}).items():
        by_step = _by_step(value)
        numbers = {at: one for at, one in by_step.items() if _is_number(one)}
        for first in range(0, len(numbers), MAX_POINTS):
            part = dict(list(numbers.items())[first : first + MAX_POINTS])
            kept = {"integer": True} if all(type(one) is int for one in part.values()) else {}
            columns = {"steps": [*part], "times": [time] * len(part), "values": [*part.values()]}
            series.append({"name": name, **kept, **columns})
        for at, one in by_step.items():
            if at not in numbers:
                values[str(len(values))] = {"name": name, "step": at, "time": time, "value": _typed(one)}
    yield from ({"kind": "metrics", "time": time, **scope, "series": part} for part in _grouped(series))
    for found in split(values):
        several = list(found.values())
        for first in range(0, len(several), MAX_POINTS):
            yield {"kind": "values", "time": time, **scope, "values": several[first : first + MAX_POINTS]}


def _grouped(series: Sequence[Body]) -> Iterator[list[Body]]:
    """Yield series in groups of at most MAX_POINTS points; names of 1,024 bytes fit as well."""
    group: list[Body] = []
    room = MAX_POINTS
    for one in series:
        if group and (len(one["values"]) > room or len(group) >= MAX_POINTS // 4):
            yield group
            group, room = [], MAX_POINTS
        group.append(one)
        room -= len(one["values"])
    if group:
        yield group


def _by_step(value: Any) -> dict[int, Any]:
    """
    Return the values of a metric by step: those of `{"0": 1.0, "1": 0.5}`, else the value itself at step 0 (seed 001).

    Magnus writes a key that has only step 0 as the value alone, so a dict without step 0 or with one key is a value.
    """
    if isinstance(value, dict) and len(value) > 1 and "0" in value and all(map(_STEP.fullmatch, value)):
        return {int(step): one for step, one in value.items()}
    return {0: value}


def _artifacts(step: Mapping[str, Any], time: int, scope: Body) -> Iterator[Body]:
    """Yield the data catalog of a step."""
    for entry in step.get("data_catalog") or ():
        path, place = entry.get("catalog_relative_path") or entry["name"], entry.get("catalog_handler_location") or ""
        place = IN_URL.sub(f"{MASK}@", place)
        digest = entry.get("data_hash") or ""
        known = {"sha256": digest} if _HASH.fullmatch(digest) else {}
        yield {
            "kind": "artifact", "time": time, **scope, "name": entry["name"],
            "uri": f"{place}/{path}" if place else path, **known, "stage": entry.get("stage") or "put",
        }  # fmt: skip


def _run_parameters(document: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], clock: _Clock) -> Iterator[Body]:
    """Yield the parameters of the run that no attempt of a step has had: those that its last steps have set."""
    known: dict[str, tuple[int, str]] = {}
    for step in steps:
        for number, attempt in enumerate(step.get("attempts") or (), 1):
            rank = attempt.get("attempt_number") or number
            for name, value in (attempt.get("parameters") or {}).items():
                if rank >= known.get(name, (0, ""))[0]:
                    known[name] = (rank, _text(value))
    newest = max((rank for rank, _ in known.values()), default=1)
    wanted = document.get("parameters") or {}
    left = {name: _typed(value) for name, value in wanted.items() if known.get(name, (0, ""))[1] != _text(value)}
    scope = {"step_name": MAIN_STEP, "attempt": newest}
    for part in split(left) if left else ():
        yield {"kind": "params", "time": clock.end, **scope, "params": part}
    if left and newest > 1 and (end := ENDS.get(document["status"])):
        yield {"kind": "attempt_finished", "time": clock.end, **scope, "status": end}


class _Clock:
    """The times of a run log in µs."""

    def __init__(self, document: Mapping[str, Any], zone: tzinfo | None) -> None:
        self._zone = zone
        times = self._times(document)
        if not times:
            raise RunLogError("no step has a start or an end: the run has not begun, so there is nothing to import")
        self.start, self.end = min(times), max(times)
        self._now = self.start  # the end of the step before, for a step without times

    def span(self, step: Mapping[str, Any]) -> tuple[int, int]:
        """Return the start and end of a step: of its attempts, or of all steps in its branches."""
        times = self._times({"steps": {"": step}}) or [self._now]
        self._now = max(times)
        return min(times), self._now

    def of(self, attempt: Mapping[str, Any], start: int, end: int) -> tuple[int, int]:
        """Return the start and end of an attempt; what it lacks is that of its step."""
        at, until = self._read(attempt.get("start_time")), self._read(attempt.get("end_time"))
        at = start if at is None else at
        return at, max(at, end if until is None else until)

    def _times(self, document: Mapping[str, Any]) -> list[int]:
        attempts = [attempt for step in steps_of(document) for attempt in step.get("attempts") or ()]
        found = [self._read(attempt.get(name)) for attempt in attempts for name in ("start_time", "end_time")]
        return [time for time in found if time is not None]

    def _read(self, text: str | None) -> int | None:
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo or self._zone is None else moment.replace(tzinfo=self._zone)
            time = (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, OverflowError) as error:
            raise RunLogError(f"{text!r:.60} is no time: Magnus writes YYYY-MM-DD HH:MM:SS.ffffff") from error
        if time < 0:
            raise RunLogError(f"{text!r:.60} is before 1970: correct the file")
        return time


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= EXACT)


def _typed(value: Any) -> Body:
    """Return a value as a typed value of the contract (schemas/values.py)."""
    if isinstance(value, str):
        return {"type": "string", "value": value}
    if isinstance(value, bool):
        return {"type": "bool", "value": value}
    if isinstance(value, int):
        return {"type": "int", "value": _integer(value)}
    if isinstance(value, float):
        return {"type": "float", "value": float_to_json(value)}
    return {"type": "json", "value": _plain(value, mark=True)}


def _plain(value: Any, *, mark: bool = False) -> Any:
    """Return JSON without what JSON lacks: NaN and infinities are text, inside a typed value marked as numbers."""
    if isinstance(value, dict):
        return {name: _plain(one, mark=mark) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, mark=mark) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": float_to_json(value)} if mark else float_to_json(value)
    return _integer(value) if type(value) is int else value


def _integer(value: int) -> int | str:
    return value if abs(value) <= INT64 else str(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _named(body: Body) -> str:
    """Return what an event that is too large holds, in the words of the run log."""
    kinds = {"run_started": "run_config", "params": "parameters", "values": "user_defined_metrics"}
    step = f" of step {body['step_name']!r:.100}" if "step_name" in body else ""
    return f"{kinds.get(body['kind'], body['kind'])}{step}"
