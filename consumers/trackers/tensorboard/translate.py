"""
Translate events into TensorBoard's records.

Pure; summaries.py builds the protobufs. Scalars are written without a protobuf object for each point, in a third of the
time: all points of one step and one instant share a record, and the entries of one series differ in 4 and 8 bytes only,
the two numbers, so the bytes around them are serialised once for each series. They equal the bytes that protobuf
writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

import orjson
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from consumers.trackers.edits import SeriesKey, series_key
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.run_status import RunStatus, fold_run_status
from consumers.trackers.tensorboard import summaries
from schemas import events as ev
from schemas.statuses import STATUS_AFTER
from schemas.values import to_plain, to_text

MAX_OPEN = 2_000  # records collected at once: a point takes 200 bytes until it is written
_BETWEEN = b"\x32\x08"  # field 6 of a TensorProto, 8 bytes long: double_val, after float_val
_NUMBERS = Struct("<f2sd")
_SAMPLE = 1.5  # its eight bytes are not UTF-8, so they do not occur in the text around them
_SUMMARY = b"\x2a"  # field 5 of an Event


class Translation(NamedTuple):
    """Records of some events, and the state of the run after them."""

    records: Sequence[bytes]
    state: dict[str, Any]


def translate(run_id: str, events: Sequence[ev.AnyEvent], state: Mapping[str, Any]) -> Translation:
    """Return the records of some events in log order: texts first, then points and observations."""
    after = dict(state)
    records = [] if state["size"] else [summaries.first_record(state["started"])]
    records += _text_records(run_id, events, after)
    records += scalar_records(events)
    return Translation(records, after)


def scalar_records(events: Iterable[ev.AnyEvent]) -> Iterator[bytes]:
    """Yield records of the points and observations of some events, in log order of their first ones."""
    found: dict[tuple[int, int], list[bytes]] = {}
    for event in events:
        if isinstance(event, ev.Points):
            for series in event.series:
                before, after = _around(series_key(event, series))
                for time, step, value in zip(series.times, series.steps, series.values, strict=True):
                    at = (time, step)
                    entry = before + _numbers(value) + after
                    if at in found:
                        found[at].append(entry)
                    else:
                        found[at] = [entry]
        elif isinstance(event, ev.Values):
            for seen in event.values:
                entry = summaries.to_bytes(summaries.observation(series_key(event, seen), seen.value))
                found.setdefault((seen.time, seen.step), []).append(entry)
        if len(found) >= MAX_OPEN:
            yield from _records(found)
            found.clear()
    yield from _records(found)


def _records(found: dict[tuple[int, int], list[bytes]]) -> Iterator[bytes]:
    for (time, step), entries in found.items():
        content = b"".join(entries)
        head = summaries.to_bytes(Event(wall_time=summaries.to_seconds(time), step=step))
        yield head + _SUMMARY + _varint(len(content)) + content


def _numbers(value: float) -> bytes:
    if -summaries.FLOAT32_MAX <= value <= summaries.FLOAT32_MAX:
        return _NUMBERS.pack(value, _BETWEEN, value)
    return _NUMBERS.pack(summaries.to_float32(value), _BETWEEN, value)


@lru_cache(maxsize=10_000)
def _around(series: SeriesKey) -> tuple[bytes, bytes]:
    """Return the bytes before and after the numbers in the entry of a point."""
    summary = Summary()
    summaries.add_scalar(summary.value, series, _SAMPLE)
    before, found, after = summaries.to_bytes(summary).partition(_numbers(_SAMPLE))
    assert found
    return before, after


def _varint(number: int) -> bytes:
    """Return a length as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text_records(run_id: str, events: Iterable[ev.AnyEvent], state: dict[str, Any]) -> Iterator[bytes]:
    """Yield the facts of some events as texts, numbered in `state` so that a reader sees their order."""
    for event in events:
        for tag, text in _texts(run_id, event, state):
            yield summaries.text_record(event.time, state["facts"], tag, text)
            state["facts"] += 1
        if isinstance(event, ev.Params) and not state["hparams"]:
            state["hparams"] = True  # the dashboard reads the first such record of a run only
            yield summaries.session_start_record(event)
        elif isinstance(event, ev.RunFinished | ev.RunFailed | ev.RunKilled):
            yield summaries.session_end_record(event)


def _texts(run_id: str, event: ev.AnyEvent, state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    opening = Opening(*state["opening"])
    if event.kind in STATUS_AFTER or isinstance(event, ev.Renamed | ev.Moved):
        opening = fold_opening(opening, [event])
        state["opening"], state["started"] = list(opening), opening.shown
    if event.kind in STATUS_AFTER:
        status = fold_run_status(RunStatus(*state["end"]) if state.get("end") else None, [event])
        state["end"] = status and list(status)
        facts = {"run_id": run_id, "status": STATUS_AFTER[event.kind], "time": event.time, "started": state["started"]}
        facts |= event.model_dump(exclude={"kind", "time"}, exclude_defaults=True)
        facts |= {name: text for name, text in (("name", opening.name), ("tag", opening.tag)) if text}
        if status is not None:
            facts |= status._asdict() if status.is_over else {"status": status.status}
        yield summaries.STATUS, _json(facts)
    match event:
        case ev.Params():
            yield summaries.PARAMS, _json({name: to_text(value) for name, value in event.params.items()})
        case ev.Tags():
            yield summaries.TAGS, _json(event.tags)
        case ev.Note():
            yield "gw/note", event.text
        case ev.Renamed(what="run"):
            yield "gw/name", event.new
        case ev.Moved() if event.tag:
            yield "gw/tag", event.tag
        case ev.RunLabels():
            yield summaries.LABELS, _json({name: to_plain(value) for name, value in event.labels.items()})
        case ev.Environment():
            yield "gw/environment", _json({name: to_plain(value) for name, value in event.values.items()})
        case ev.Artifact():
            yield f"{summaries.ARTIFACT}{event.name}", _json(event.model_dump(exclude={"kind", "name", "time"}))
        case ev.CodeIdentity():
            yield "gw/code", _json(event.model_dump(exclude={"kind", "time"}))
        case _:
            return


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
