"""
Whatever the description of a server allows, and more: no request is answered with an error of the server's own.

In the suite a few requests of each operation, the same ones each time; with `-m slow` many.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.support.live_server import Live, serving, settings_for, training
from tests.support.server_process import Server, note, plain
from tests.support.server_process import serving as serving_ingest

ENDLESS = "/v1/stream"  # below it are answers that do not end
RUN = "one"
MAX_URL = 16_000  # characters; h11, which reads requests for uvicorn, drops a connection at 64 KiB
TIMEOUT_S = 60.0
quietly = pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        await running.publish(training(RUN))
        yield running


class Sweep:
    """Sends generated requests to the operations of one server, and keeps what it answered with 5xx."""

    def __init__(self, url: str, document: dict[str, Any], examples: int) -> None:
        self.url, self.sent, self.found = url, 0, list[str]()
        self._schema = schemathesis.openapi.from_dict(document)
        self._bounds = settings(
            max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        self._http = requests.Session()

    def run(self, change: Callable[[Any], None]) -> list[str]:
        """Send requests to each operation; `change` may make each of them likelier to reach the code."""
        for result in self._schema.get_all_operations():
            operation = result.ok()  # type: ignore[union-attr]  # an error fails here

            def send(case: Any) -> None:
                change(case)
                self._send(case)

            for mode in GenerationMode:
                with suppress(Unsatisfiable):  # an operation without parameters has no wrong ones
                    self._bounds(given(case=operation.as_strategy(generation_mode=mode))(send))()
        return self.found

    def _send(self, case: Any) -> None:
        asked = requests.Request(**case.as_transport_kwargs(base_url=self.url))
        prepared = self._http.prepare_request(asked)
        if len(prepared.url or "") > MAX_URL:
            return
        self.sent += 1
        with self._http.send(prepared, stream=True, timeout=TIMEOUT_S) as answer:
            text = "" if case.operation.path.startswith(ENDLESS) and answer.ok else answer.text
            # As docs/query.md says. 504: what is waited for did not come in time; 503: two exports have not ended yet.
            is_documented = answer.status_code == 504 or (answer.status_code == 503 and "exports run already" in text)
            if answer.status_code >= 500 and not is_documented:
                self.found.append(f"{case.as_curl_command()[:1_500]}: {answer.status_code} {text[:300]}")


def to_the_run(case: Any) -> None:
    """Wait for nothing that is not there yet, and name the run that is there in every second request."""
    case.query = {**(case.query or {}), "timeout_s": 0}
    if isinstance(case.body, dict):
        case.body.pop("min_offsets", None)
    if "run_id" in (case.path_parameters or {}) and len(str(case.path_parameters["run_id"])) % 2:
        case.path_parameters["run_id"] = RUN


@quietly
@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=[pytest.mark.slow, pytest.mark.timeout(3_600)])])
async def test_the_api_answers_no_request_with_an_error_of_its_own(live: Live, examples: int) -> None:
    document = await live.json("/v1/openapi.json")
    sweep = Sweep(live.url, document, examples)

    assert await asyncio.to_thread(sweep.run, to_the_run) == []
    assert sweep.sent > 2 * len(document["paths"])


@pytest.fixture
def ingest(kafka: str, topic: str, tmp_path: Path) -> Iterator[Server]:
    with serving_ingest(tmp_path, kafka, topic, artifacts=f"file://{tmp_path}/artifacts") as running:
        yield running


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_RECORD = plain([note("sent", 0)])[0]
_RECORDS = st.lists(
    st.tuples(st.sampled_from(["key", "value", "headers", "more"]), _JSON).map(lambda one: {**_RECORD, one[0]: one[1]})
    | st.tuples(st.sampled_from(sorted(_RECORD["headers"])), _JSON).map(
        lambda one: {**_RECORD, "headers": {**_RECORD["headers"], one[0]: one[1]}}
    )
    | st.text(max_size=40).map(lambda text: {**_RECORD, "value": f'{{"kind": "note", "time": 1, {text}}}'}),
    max_size=3,
)
_BODIES = st.binary(max_size=200) | (_JSON | st.builds(lambda records: {"records": records}, _RECORDS)).map(
    lambda body: json.dumps(body).encode()
)
_DIGESTS = st.binary(max_size=30).map(lambda body: hashlib.sha256(body).hexdigest()) | st.text(max_size=70)
_WORDS = st.text("0123456789-,=*/ bytes?x", max_size=20)
_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/plain"]),
        "Content-Encoding": st.sampled_from(["gzip", "zstd", "br", "identity"]),
        "Range": _WORDS, "If-Range": _WORDS, "Content-Range": _WORDS, "Upload-Offset": _WORDS, "If-None-Match": _WORDS,
    },
)  # fmt: skip
_REQUESTS = st.tuples(st.just("POST"), st.just("/v1/events"), _HEADERS, _BODIES) | st.tuples(
    st.sampled_from(["PUT", "GET", "HEAD"]),
    _DIGESTS.map(lambda digest: f"/v1/artifacts/sha256/{quote(digest, safe='')}"),
    _HEADERS,
    st.binary(max_size=30),
)


@pytest.mark.parametrize("examples", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_the_ingest_server_answers_no_request_with_an_error_of_its_own(ingest: Server, examples: int) -> None:
    http = requests.Session()
    seen: Counter[int] = Counter()
    bounds = settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )

    @bounds
    @given(asked=_REQUESTS)
    def send(asked: tuple[str, str, dict[str, str], bytes]) -> None:
        method, path, headers, body = asked
        headers = {name: text.strip() for name, text in headers.items()}
        with http.request(method, ingest.url + path, headers=headers, data=body, timeout=TIMEOUT_S) as answer:
            seen[answer.status_code] += 1
            assert answer.status_code < 500, answer.text

    send()
    assert {200, 400, 404} <= seen.keys()
