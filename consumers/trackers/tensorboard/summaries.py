"""
TensorBoard's protobufs: build and read the values of a record.

Pure. A value is a scalar, a histogram, a text or a set of hyperparameters. The same arguments always give the same
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, DATA_CLASS_TENSOR, Summary
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from consumers.trackers.edits import Scope, SeriesKey
from schemas import events as ev
from schemas.mapping.names import tensorboard_tag
from schemas.values import BoolValue, FloatValue, HistogramValue, IntValue, Typed, to_text

SCALARS, TEXT, HISTOGRAMS, HPARAMS = "scalars", "text", "histograms", "hparams"  # names of plug-ins
PARAMS, STATUS, TAGS, LABELS = "gw/params", "gw/status", "gw/tags", "gw/labels"
ARTIFACT, OBSERVED_TEXT, OBSERVED_HISTOGRAM = "gw/artifact/", "gw/text/", "gw/histogram/"  # a name follows
VERSION = "brain.Event:2"  # with it, decreasing steps do not make TensorBoard drop earlier points
FLOAT32_MAX = 3.4028234663852886e38
_SESSION_START, _SESSION_END = "_hparams_/session_start_info", "_hparams_/session_end_info"
_SUCCESS, _FAILURE = 1, 2  # tensorboard.hparams.Status


def first_record(time: int) -> bytes:
    """Return the first record of an event file."""
    return to_bytes(Event(wall_time=to_seconds(time), file_version=VERSION))


def text_record(time: int, number: int, tag: str, text: str) -> bytes:
    """Return a record with a text; `number` is its step, so that a reader sees the order."""
    event = Event(wall_time=to_seconds(time), step=number)
    _add_text(event.summary.value, tag, text)
    return to_bytes(event)


def session_start_record(event: ev.Params) -> bytes:
    """Return the record from which the HParams dashboard takes the parameters of a run."""
    content = HParamsPluginData(version=0)
    start = content.session_start_info
    start.start_time_secs = to_seconds(event.time)
    for name, value in event.params.items():
        match value:
            case BoolValue():
                start.hparams[name].bool_value = value.value
            case FloatValue() | IntValue() if abs(value.value) <= 2**53:
                start.hparams[name].number_value = value.value
            case _:
                start.hparams[name].string_value = to_text(value)
    return _hparams(event.time, _SESSION_START, content)


def session_end_record(event: ev.RunFinished | ev.RunFailed | ev.RunKilled) -> bytes:
    """Return the record from which the HParams dashboard takes the status of a run."""
    content = HParamsPluginData(version=0)
    content.session_end_info.status = _SUCCESS if isinstance(event, ev.RunFinished) else _FAILURE
    content.session_end_info.end_time_secs = to_seconds(event.time)
    return _hparams(event.time, _SESSION_END, content)


def edit_hparams(value: Any, changes: Mapping[str, str | None]) -> None:
    """Delete or rename parameters in the record that the HParams dashboard shows."""
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


def add_scalar(values: Any, series: SeriesKey, value: float) -> None:
    """Add a point to the values of a record."""
    one = values.add(tag=tensorboard_tag(series.written))
    if scope := _description(series):
        one.metadata.summary_description = scope
    one.metadata.plugin_data.plugin_name = SCALARS
    one.metadata.data_class = DATA_CLASS_SCALAR  # TensorBoard's fast loader shows nothing without it
    one.tensor.dtype = DT_FLOAT  # the only type the fast loader reads; TensorBoard ignores the exact value after it
    one.tensor.float_val.append(to_float32(value))
    one.tensor.double_val.append(value)


def observation(series: SeriesKey, value: Typed) -> Any:
    """Return a summary of one value that is not a number."""
    summary = Summary()
    # Below `gw/`: TensorBoard accepts one kind of value for each tag, and our observations may have several.
    if not isinstance(value, HistogramValue):
        set_scope(_add_text(summary.value, f"{OBSERVED_TEXT}{series.written}", to_text(value)), series)
        return summary
    one = summary.value.add(tag=f"{OBSERVED_HISTOGRAM}{series.written}")
    set_scope(one, series)
    one.metadata.plugin_data.plugin_name = HISTOGRAMS
    one.metadata.data_class = DATA_CLASS_TENSOR
    one.tensor.dtype = DT_DOUBLE
    edges, counts = value.value.edges, value.value.counts
    for size in (len(counts), 3):
        one.tensor.tensor_shape.dim.add(size=size)
    for index, count in enumerate(counts):
        one.tensor.double_val.extend((edges[index], edges[index + 1], count))
    return summary


def set_scope(value: Any, series: SeriesKey) -> None:
    """Store in a value what its tag does not express; TensorBoard shows it as the description of a chart."""
    value.metadata.summary_description = _description(series)


def scope_of(value: Any) -> Scope:
    """Return the scope that `set_scope` stored in a value."""
    description = value.metadata.summary_description
    return Scope(**orjson.loads(description)) if description else Scope()


def parse(record: bytes) -> Any:
    """Return the protobuf of a record."""
    return Event.FromString(record)


def to_bytes(event: Any) -> bytes:
    """Return the record of a protobuf."""
    raw: bytes = event.SerializeToString(deterministic=True)
    return raw


def text_of(value: Any) -> bytes:
    """Return the text of a value."""
    text: bytes = value.tensor.string_val[0]
    return text


def exact_value(value: Any) -> float:
    """Return the float64 of a scalar that `add_scalar` wrote."""
    held: float = value.tensor.double_val[0]
    return held


def to_float32(value: float) -> float:
    """Return a value in the range of a 32-bit float: finite values beyond it become infinities."""
    return math.copysign(math.inf, value) if math.isfinite(value) and abs(value) > FLOAT32_MAX else value


def to_seconds(time: int) -> float:
    """Return µs in TensorBoard's unit, seconds."""
    return time / 1_000_000


def from_seconds(wall_time: float) -> int:
    """Return the µs of `to_seconds`; exact until the year 2255."""
    return round(wall_time * 1_000_000)


@lru_cache(maxsize=10_000)
def _description(series: SeriesKey) -> str:
    scope = Scope.of([series])
    return orjson.dumps(scope._asdict()).decode() if scope.to_json() else ""


def _add_text(values: Any, tag: str, text: str) -> Any:
    one = values.add(tag=tag)
    one.metadata.plugin_data.plugin_name = TEXT
    one.metadata.data_class = DATA_CLASS_TENSOR
    one.tensor.dtype = DT_STRING
    one.tensor.string_val.append(text.encode())
    return one


def _hparams(time: int, tag: str, content: Any) -> bytes:
    event = Event(wall_time=to_seconds(time), summary=Summary())
    one = event.summary.value.add(tag=tag)
    one.metadata.plugin_data.plugin_name = HPARAMS
    one.metadata.plugin_data.content = content.SerializeToString(deterministic=True)
    one.tensor.dtype = DT_FLOAT  # without elements: the plug-in requires a tensor, and reads the metadata alone
    one.tensor.tensor_shape.dim.add(size=0)
    return to_bytes(event)
