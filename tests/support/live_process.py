"""The real API as a process, for tests whose other parts are processes as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gateway.local.ports import HOST
from tests.support.process_tree import until
from tests.support.python_process import PythonProcess


@contextmanager
def live_process(folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the address of an API that has reached Kafka and PostgreSQL; kill it when the block ends."""
    log, ready = folder / "live.log", folder / "live.ready"
    mine = {"GATEWAY_READY_FILE": str(ready), "GATEWAY_HOME": str(folder / "home")}
    with log.open("wb") as out:
        process = PythonProcess(
            [sys.executable, "-m", "consumers.live"], env={**variables, **mine}, stderr=out, stdout=out
        )
    try:
        until(lambda: ready.exists() or process.poll() is not None, "the API is ready")
        assert process.poll() is None, log.read_text(errors="replace")
        url = f"http://{HOST}:{variables['GATEWAY_LIVE_PORT']}"
        until(lambda: _is_healthy(url), "the API reaches Kafka and PostgreSQL")
        yield url
    finally:
        process.kill()
        process.wait()


def _is_healthy(url: str) -> bool:
    from gateway.client.query import ApiRefused, ApiUnavailable, get

    try:
        return bool(get(url, "/healthz")["status"] == "ok")
    except (ApiRefused, ApiUnavailable):
        return False
