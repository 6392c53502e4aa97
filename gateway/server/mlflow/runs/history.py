"""
Histories of metrics: every point of a run, those of many runs, or a sample of each.

Order, pages and samples are those of mlflow/store/tracking/sqlalchemy_store.py, where a run that does not exist has no
points. A history may have millions of points: pages of the query API go to the client as they arrive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import chain
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.protobuf import array, integer, required, string, texts
from gateway.server.mlflow.routing import Call, Route
from schemas.mapping.mlflow import LARGEST, shown_names

MAX_BULK_POINTS = 25_000  # of all runs together (MLflow's MAX_HISTORY_RESULTS)
MAX_RUNS = 100
MAX_SAMPLE = 2_500  # points of one run (MLflow's MAX_RESULTS_PER_RUN)
PAGE_POINTS = 50_000  # asked of the query API at once: about 2 MB
MAX_INT64 = 2**63 - 1
QUOTED = {"NaN": '"NaN"', "Infinity": repr(LARGEST), "-Infinity": repr(-LARGEST)}  # as protobuf writes them
BARE = QUOTED | {"NaN": "NaN"}  # as MLflow's route of its own pages does


async def get_history(door: Door, call: Call) -> Mapping[str, Any] | Response:
    """Answer the points of a metric by time, step and value: a page of `max_results`, or all of them."""
    asked = call.message
    wanted = asked.max_results if asked.HasField("max_results") else None
    if wanted is not None and wanted <= 0:
        raise invalid(f"Invalid value {wanted} for parameter 'max_results' supplied. It must be a positive integer.")
    key, token = asked.metric_key, asked.page_token or None
    if not _is_possible(key):
        return {}
    pages = _pages(door, [asked.run_id or asked.run_uuid], key, wanted, token)
    first = await anext(pages)  # before the answer begins, so that a refusal is one
    if not first["runs"]:
        return {}

    async def pieces() -> AsyncIterator[str]:
        yield '{"metrics":['
        yield await _rows(first["runs"], key)
        last = first
        async for last in pages:
            if last["runs"]:
                yield "," + await _rows(last["runs"], key)
        token = last["next_page_token"]
        yield f'],"next_page_token":{json.dumps(token)}}}' if token else "]}"

    return StreamingResponse(pieces(), media_type="application/json")


async def get_history_bulk(door: Door, call: Call) -> Response:
    """Answer the points of a metric of several runs by run, time, step and value, up to `max_results`."""
    run_ids, key = call.given.get("run_id", []), call.given.get("metric_key")
    name = "GetMetricHistoryBulk request"
    if not run_ids:
        raise invalid(f"{name} must specify at least one run_id.")
    if len(run_ids) > MAX_RUNS:
        raise invalid(f"{name} cannot specify more than {MAX_RUNS} run_ids. Received {len(run_ids)} run_ids.")
    if key is None:
        raise invalid(f"{name} must specify a metric_key.")
    given = call.given.get("max_results", MAX_BULK_POINTS)
    if not integer(given) or int(given) < 0:
        raise invalid(f"Invalid value {given!r:.200} for parameter 'max_results' supplied: it must be a number.")
    runs: list[Any] = []
    if _is_possible(key):
        asked = {"run_id": run_ids, "name": shown_names(key), "limit": min(int(given), MAX_BULK_POINTS)}
        runs = (await door.reader.get("/v1/points", **asked))["runs"]
    return _answer(f'{{"metrics":[{await _rows(runs, key, with_run=True, words=BARE)}]}}')


async def get_history_bulk_interval(door: Door, call: Call) -> Mapping[str, Any] | Response:
    """Answer a sample of a metric of each run, evenly out of a range of steps."""
    run_ids, key = list(call.message.run_ids), call.message.metric_key
    if len(run_ids) > MAX_RUNS:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids. See the API docs for more information about request parameters."
        )
    count = int(call.given.get("max_results", MAX_SAMPLE))
    if not 1 <= count <= MAX_SAMPLE:
        raise invalid(
            f"max_results must be between 1 and {MAX_SAMPLE}. "
            "See the API docs for more information about request parameters."
        )
    first, last = steps_of(call.given)
    if not run_ids or not _is_possible(key):
        return {}
    found = await door.reader.get(
        "/v1/points/sample", run_id=run_ids, name=shown_names(key), count=count, first_step=first, last_step=last
    )
    by_run = {one["run_id"]: one for one in found["runs"]}
    runs = [by_run[run_id] for run_id in run_ids if run_id in by_run]  # in the order of the request
    return _answer(f'{{"metrics":[{await _rows(runs, key, with_run=True)}]}}') if runs else {}


def steps_of(given: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the range of steps of a request, as far as int64 reaches. Raises Refused."""
    first, last = given.get("start_step"), given.get("end_step")
    if first is None and last is None:
        return None, None
    if first is None or last is None:
        raise invalid("If either start step or end step are specified, both must be specified.")
    first, last = int(first), int(last)
    if first > last:
        raise invalid(f"end_step must be greater than start_step. Found start_step={first} and end_step={last}.")
    low, high = (max(-MAX_INT64 - 1, min(MAX_INT64, one)) for one in (first, last))
    return low, high


def _is_possible(key: str) -> bool:
    """Tell whether a metric may have this key."""
    return bool(key) and "\x00" not in key


async def _pages(
    door: Door, run_ids: Sequence[str], key: str, wanted: int | None, token: str | None
) -> AsyncIterator[dict[str, Any]]:
    """Yield pages of the query API until `wanted` points are there, or all; the last says what follows."""
    left = wanted
    while True:
        limit = PAGE_POINTS if left is None else min(left, PAGE_POINTS)
        page = await door.reader.get("/v1/points", run_id=run_ids, name=shown_names(key), limit=limit, page_token=token)
        token = page["next_page_token"]
        if left is not None:
            left -= sum(len(run["steps"]) for run in page["runs"])
        yield page
        if token is None or left == 0:
            return


async def _rows(
    runs: Sequence[Mapping[str, Any]], key: str, *, with_run: bool = False, words: Mapping[str, str] = QUOTED
) -> str:
    # In a thread: 25,000 points take about 20 ms, and other requests are answered meanwhile.
    return await asyncio.to_thread(rows_of, runs, key, with_run=with_run, words=words)


def rows_of(
    runs: Sequence[Mapping[str, Any]], key: str, *, with_run: bool = False, words: Mapping[str, str] = QUOTED
) -> str:
    """Return the points of runs, as the query API gives them, as the items of a JSON array of MLflow's metrics."""
    begin = f'{{"key":{json.dumps(key)},"value":'
    pieces = []
    for run in runs:
        end = f',"run_id":{json.dumps(run["run_id"])}}}' if with_run else "}"
        pieces.append(
            [
                f'{begin}{words.get(value) or repr(value)},"timestamp":{time},"step":{step}{end}'
                for step, time, value in zip(run["steps"], run["times_ms"], run["values"], strict=True)
            ]
        )
    return ",".join(chain.from_iterable(pieces))


def _answer(text: str) -> Response:
    return Response(text, media_type="application/json")


_RANGE = {"start_step": [integer], "end_step": [integer], "max_results": [integer]}
ROUTES = [
    Route("GET", "/mlflow/metrics/get-history", "GetMetricHistory", get_history,
          {"run_id": [string, required], "metric_key": [string, required], "page_token": [string]}),
    Route("GET", "/mlflow/metrics/get-history-bulk", "GetMetricHistoryBulkInterval", get_history_bulk,
          repeated=frozenset({"run_id"})),
    Route("GET", "/mlflow/metrics/get-history-bulk-interval", "GetMetricHistoryBulkInterval", get_history_bulk_interval,
          {"run_ids": [required, array, texts], "metric_key": [required, string], **_RANGE}),
]  # fmt: skip
