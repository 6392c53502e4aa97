"""
Cut what a run gets into as few calls of MLflow's `log-batch` as its limits allow, and write them as JSON.

Pure. Limits of mlflow.utils.validation: 1,000 metrics, 100 params and 100 tags in one call, 1,000 of all together; the
documented bound of a call, 1 MB, is held by Databricks and by proxies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from consumers.trackers.mlflow.metrics import Metric

MAX_TOGETHER, MAX_PARAMS, MAX_TAGS = 1_000, 100, 100
MAX_BYTES = 900_000  # of a call
_METRIC_BYTES, _WORD_BYTES = 120, 30  # JSON around a key and its values; names may take six bytes a character
_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


class Call(NamedTuple):
    """What one call of log-batch carries."""

    metrics: Sequence[Metric] = ()
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}

    def halves(self) -> tuple[Call, Call] | None:
        """Return two calls that carry the same, or None when there is nothing to divide."""
        params, tags = list(self.params.items()), list(self.tags.items())
        if len(self.metrics) + len(params) + len(tags) < 2:
            return None
        metric, param = len(self.metrics) // 2, (len(params) + 1) // 2
        tag = (len(tags) + (not params)) // 2  # neither half is empty, whatever there is one of
        first = Call(self.metrics[:metric], dict(params[:param]), dict(tags[:tag]))
        return first, Call(self.metrics[metric:], dict(params[param:]), dict(tags[tag:]))


def cut(metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
    """Yield the calls. Params and tags come first, with as many metrics as fit beside them."""
    words = [("param", key, text) for key, text in params.items()] + [("tag", key, text) for key, text in tags.items()]
    size_of: dict[str, int] = {}
    done = at = 0
    while done < len(metrics) or at < len(words):
        some: dict[str, dict[str, str]] = {"param": {}, "tag": {}}
        limits = {"param": MAX_PARAMS, "tag": MAX_TAGS}
        size = taken = 0
        while at < len(words):
            kind, key, text = words[at]
            more = _text_bytes(key) + _text_bytes(text) + _WORD_BYTES
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


def body(run: str, call: Call) -> bytes:
    """Return a call as JSON. Protobuf's JSON has names for numbers that are not finite; MLflow reads those."""
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
            "run_id": run,
            "metrics": rows,
            "params": [{"key": key, "value": text} for key, text in call.params.items()],
            "tags": [{"key": key, "value": text} for key, text in call.tags.items()],
        }
    )


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() and text.isprintable() else 6 * len(text)
