"""
Bodies of MLflow's `log-batch`: divide metrics, params and tags into as few calls as the limits allow.

Pure. Limits of mlflow.utils.validation: 1,000 metrics, 100 params and 100 tags in one call, 1,000 in total. Databricks
and proxies enforce the documented limit of a call, 1 MB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from consumers.trackers.mlflow.metrics import Metric
from schemas.mapping.mlflow import MAX_PARAMS, MAX_TAGS, MAX_TOGETHER

MAX_BYTES = 900_000  # of a call
_METRIC_BYTES, _TEXT_BYTES = 120, 30  # JSON around a key and its values
_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


class Call(NamedTuple):
    """The content of one call of log-batch."""

    metrics: Sequence[Metric] = ()
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}

    def halves(self) -> tuple[Call, Call] | None:
        """Return two calls with the same content together, or None if there is nothing to divide."""
        params, tags = list(self.params.items()), list(self.tags.items())
        if len(self.metrics) + len(params) + len(tags) < 2:
            return None
        metric, param = len(self.metrics) // 2, (len(params) + 1) // 2
        tag = (len(tags) + (not params)) // 2  # neither half is empty, even if only one kind is there
        first = Call(self.metrics[:metric], dict(params[:param]), dict(tags[:tag]))
        return first, Call(self.metrics[metric:], dict(params[param:]), dict(tags[tag:]))


def split_calls(metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
    """Yield the calls. Params and tags come first, each call filled up with as many metrics as fit."""
    texts = [("param", key, text) for key, text in params.items()] + [("tag", key, text) for key, text in tags.items()]
    size_of: dict[str, int] = {}
    done = at = 0
    while done < len(metrics) or at < len(texts):
        some: dict[str, dict[str, str]] = {"param": {}, "tag": {}}
        limits = {"param": MAX_PARAMS, "tag": MAX_TAGS}
        size = taken = 0
        while at < len(texts):
            kind, key, text = texts[at]
            more = _text_bytes(key) + _text_bytes(text) + _TEXT_BYTES
            if len(some[kind]) >= limits[kind] or (taken and size + more > MAX_BYTES):
                break
            some[kind][key] = text
            size, taken, at = size + more, taken + 1, at + 1
        end = done
        while end < len(metrics) and taken < MAX_TOGETHER:
            key = metrics[end].key
            more = size_of.get(key) or size_of.setdefault(key, _text_bytes(key) + _METRIC_BYTES)
            if taken and size + more > MAX_BYTES:
                break
            size, taken, end = size + more, taken + 1, end + 1
        yield Call(metrics[done:end], some["param"], some["tag"])
        done = end


def body(run_id: str, call: Call) -> bytes:
    """Return a call as JSON. Non-finite numbers have the names of protobuf's JSON, which MLflow reads."""
    rows = [
        {
            "key": key,
            "value": value if math.isfinite(value) else _NON_FINITE.get(value, "NaN"),
            "timestamp": ms,
            "step": n,
        }
        for key, value, ms, n in call.metrics
    ]
    return orjson.dumps(
        {
            "run_id": run_id,
            "metrics": rows,
            "params": [{"key": key, "value": text} for key, text in call.params.items()],
            "tags": [{"key": key, "value": text} for key, text in call.tags.items()],
        }
    )


def _text_bytes(text: str) -> int:
    # JSON escapes a character with up to six bytes.
    return len(text) if text.isascii() and text.isprintable() else 6 * len(text)
