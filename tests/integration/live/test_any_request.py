"""Whatever the description of the API allows, and more: no request is answered with an error of the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.support.live_server import Live, serving, settings_for, training

WAITS = ("/v1/stream",)  # its answer does not end
RUN = "one"


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        await running.publish(training(RUN))
        yield running


def sweep(url: str, document: dict[str, Any], examples: int) -> list[str]:
    """Send generated requests to each operation; return those that were answered with 5xx."""
    found: list[str] = []
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # an error fails here
        if operation.path in WAITS:
            continue

        def send(case: Any) -> None:
            case.query = {**(case.query or {}), "timeout_s": 0}  # offsets that are not there yet are not waited for
            if isinstance(case.body, dict):
                case.body.pop("min_offsets", None)
            if "run_id" in (case.path_parameters or {}) and len(str(case.path_parameters["run_id"])) % 2:
                case.path_parameters["run_id"] = RUN
            answer = case.call(base_url=url)
            if answer.status_code >= 500 and answer.status_code != 504:
                found.append(f"{case.as_curl_command()[:1_500]}: {answer.status_code} {answer.text[:300]}")

        for mode in GenerationMode:
            checks = list(HealthCheck)
            bounded = settings(max_examples=examples, deadline=None, suppress_health_check=checks, database=None)
            with suppress(Unsatisfiable):  # an operation without parameters has no wrong ones
                bounded(given(case=operation.as_strategy(generation_mode=mode))(send))()
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does
async def test_no_request_is_answered_with_an_error_of_the_server(live: Live) -> None:
    document = await live.json("/v1/openapi.json")

    assert await asyncio.to_thread(sweep, live.url, document, 5) == []
