"""
What events are in TensorBoard's terms: records of scalars, histograms, text and hyperparameters.

Pure; scalars.py collects points into records. The same events always give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, DATA_CLASS_TENSOR, Summary
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from consumers.trackers.edits import Scope, SeriesKey
from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.mapping.names import tensorboard_tag
from schemas.statuses import STATUS_AFTER
from schemas.values import BoolValue, FloatValue, HistogramValue, IntValue, Typed, to_plain, to_text

SCALARS, TEXT, HISTOGRAMS, HPARAMS = "scalars", "text", "histograms", "hparams"  # names of plugins
PARAMS, STATUS, TAGS = "gw/params", "gw/status", "gw/tags"
VERSION = "brain.Event:2"  # with it, falling steps do not make TensorBoard drop what came before
FLOAT32_MAX = 3.4028234663852886e38
_SESSION_START, _SESSION_END = "_hparams_/session_start_info", "_hparams_/session_end_info"
_SUCCESS, _FAILURE = 1, 2  # tensorboard.hparams.Status


def first_record(time: int) -> bytes:
    """Return the record that an event file begins with."""
    return bytes_of(Event(wall_time=seconds(time), file_version=VERSION))


def text_records(run_id: str, events: Iterable[ev.AnyEvent], kept: dict[str, Any]) -> Iterator[bytes]:
    """Yield what some events say in words, counting in `kept` so that a reader sees their order."""
    for event in events:
        for tag, text in _words(run_id, event, kept):
            made = Event(wall_time=seconds(event.time), step=kept["facts"])
            kept["facts"] += 1
            _add_text(made.summary.value, tag, text)
            yield bytes_of(made)
        if isinstance(event, ev.Params) and not kept["hparams"]:
            kept["hparams"] = True  # the dashboard takes the first record of a run only
            yield _hparams(event.time, _SESSION_START, _session_start(event))
        elif isinstance(event, ev.RunFinished | ev.RunFailed | ev.RunKilled):
            status = _SUCCESS if isinstance(event, ev.RunFinished) else _FAILURE
            ended = HParamsPluginData(version=0)
            ended.session_end_info.status = status
            ended.session_end_info.end_time_secs = seconds(event.time)
            yield _hparams(event.time, _SESSION_END, ended)


def parse(record: bytes) -> Any:
    """Return the event of a record."""
    return Event.FromString(record)


def text_of(value: Any) -> bytes:
    """Return the text of a value."""
    text: bytes = value.tensor.string_val[0]
    return text


def put_scope(value: Any, series: SeriesKey) -> None:
    """Have a value say what its tag does not say of its series; TensorBoard shows it as the description of a chart."""
    value.metadata.summary_description = _described(series)


def edit_hparams(value: Any, changes: Mapping[str, str | None]) -> None:
    """Take parameters from what the HParams dashboard shows, or give them other names."""
    if value.tag != _SESSION_START:
        return
    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    hparams = content.session_start_info.hparams
    held = {name: hparams[name].SerializeToString() for name in hparams}
    for name in changes.keys() & held.keys():
        del hparams[name]
    for name, new in changes.items():
        if name in held and new is not None:
            hparams[new].ParseFromString(held[name])
    value.metadata.plugin_data.content = content.SerializeToString(deterministic=True)


def seconds(time: int) -> float:
    """Return µs as the seconds that TensorBoard counts in."""
    return time / 1_000_000


def microseconds(wall_time: float) -> int:
    """Return the µs of `seconds`; exact until the year 2255."""
    return round(wall_time * 1_000_000)


def float32(value: float) -> float:
    """Return a value that a 32-bit float can hold: what is beyond becomes an infinity."""
    return math.copysign(math.inf, value) if math.isfinite(value) and abs(value) > FLOAT32_MAX else value


def exact(value: Any) -> float:
    """Return the value of a scalar that this file wrote."""
    held: float = value.tensor.double_val[0]
    return held


@lru_cache(maxsize=10_000)
def _described(series: SeriesKey) -> str:
    scope = Scope.of([series])
    return _json(scope._asdict()) if scope.to_json() else ""


def add_scalar(values: Any, series: SeriesKey, value: float) -> None:
    """Add a point to the values of a record."""
    one = values.add(tag=tensorboard_tag(series.written))
    if scope := _described(series):
        one.metadata.summary_description = scope
    one.metadata.plugin_data.plugin_name = SCALARS
    one.metadata.data_class = DATA_CLASS_SCALAR  # TensorBoard's fast loader shows nothing without it
    one.tensor.dtype = DT_FLOAT  # all that the fast loader takes; TensorBoard passes over the exact value behind it
    one.tensor.float_val.append(float32(value))
    one.tensor.double_val.append(value)


def observation(series: SeriesKey, value: Typed) -> Any:
    """Return a summary of one value that is no number."""
    made = Summary()
    # Below `gw/`, because TensorBoard takes one kind of value for each tag, and ours may come as several.
    if not isinstance(value, HistogramValue):
        put_scope(_add_text(made.value, f"gw/text/{series.written}", to_text(value)), series)
        return made
    one = made.value.add(tag=f"gw/histogram/{series.written}")
    put_scope(one, series)
    one.metadata.plugin_data.plugin_name = HISTOGRAMS
    one.metadata.data_class = DATA_CLASS_TENSOR
    one.tensor.dtype = DT_DOUBLE
    edges, counts = value.value.edges, value.value.counts
    for size in (len(counts), 3):
        one.tensor.tensor_shape.dim.add(size=size)
    for index, count in enumerate(counts):
        one.tensor.double_val.extend((edges[index], edges[index + 1], count))
    return made


def _add_text(values: Any, tag: str, text: str) -> Any:
    one = values.add(tag=tag)
    one.metadata.plugin_data.plugin_name = TEXT
    one.metadata.data_class = DATA_CLASS_TENSOR
    one.tensor.dtype = DT_STRING
    one.tensor.string_val.append(text.encode())
    return one


def _words(run_id: str, event: ev.AnyEvent, kept: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if event.kind in STATUS_AFTER:
        if event.kind in ("run_started", "run_created"):
            kept["started"] = min(kept.setdefault("opened", event.time), event.time)
        end = fold_run_status(RunStatus(*kept["end"]) if kept.get("end") else None, [event])
        kept["end"] = end and list(end)
        told = {"run_id": run_id, "status": STATUS_AFTER[event.kind], "time": event.time, "started": kept["started"]}
        told |= event.model_dump(exclude={"kind", "time"}, exclude_defaults=True)
        if end is not None:
            told |= end._asdict() if end.is_over else {"status": end.status}
        yield STATUS, _json(told)
    match event:
        case ev.Params():
            yield PARAMS, _json({name: to_text(value) for name, value in event.params.items()})
        case ev.Tags():
            yield TAGS, _json(event.tags)
        case ev.Note():
            yield "gw/note", event.text
        case ev.Renamed(what="run"):
            yield "gw/name", event.new
        case ev.RunLabels():
            yield "gw/labels", _json({name: to_plain(value) for name, value in event.labels.items()})
        case ev.Environment():
            yield "gw/environment", _json({name: to_plain(value) for name, value in event.values.items()})
        case ev.Artifact():
            yield f"gw/artifact/{event.name}", _json(event.model_dump(exclude={"kind", "name", "time"}))
        case ev.CodeIdentity():
            yield "gw/code", _json(event.model_dump(exclude={"kind", "time"}))
        case _:
            return


def _session_start(event: ev.Params) -> Any:
    made = HParamsPluginData(version=0)
    start = made.session_start_info
    start.start_time_secs = seconds(event.time)
    for name, value in event.params.items():
        match value:
            case BoolValue():
                start.hparams[name].bool_value = value.value
            case FloatValue() | IntValue() if abs(value.value) <= 2**53:
                start.hparams[name].number_value = value.value
            case _:
                start.hparams[name].string_value = to_text(value)
    return made


def _hparams(time: int, tag: str, content: Any) -> bytes:
    made = Event(wall_time=seconds(time), summary=Summary())
    one = made.summary.value.add(tag=tag)
    one.metadata.plugin_data.plugin_name = HPARAMS
    one.metadata.plugin_data.content = content.SerializeToString(deterministic=True)
    one.tensor.dtype = DT_FLOAT  # of no element: the plugin wants a tensor, and reads the metadata alone
    one.tensor.tensor_shape.dim.add(size=0)
    return bytes_of(made)


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def bytes_of(event: Any) -> bytes:
    """Return the record of an event."""
    raw: bytes = event.SerializeToString(deterministic=True)
    return raw
