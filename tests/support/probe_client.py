"""Read /metrics, /healthz and /readyz of a process."""

from __future__ import annotations

import http.client
import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.local.ports import HOST

TIMEOUT_S = 10.0


def ask(port: int, path: str, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
    """Return status and body of the response. Raises OSError, TimeoutError included, if there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def status(port: int, path: str) -> int:
    """Return the status of the response, or 0 if there is none."""
    try:
        return ask(port, path)[0]
    except OSError:
        return 0


def failure_reason(port: int, path: str) -> str:
    """Return the reason for which a probe fails, or "" if it succeeds."""
    body: dict[str, Any] = json.loads(ask(port, path)[1])
    return str(body.get("why", ""))


def metrics(port: int) -> dict[str, float]:
    """Return the value of each sample, by name and labels in the notation of Prometheus."""
    found = {}
    for family in text_string_to_metric_families(ask(port, "/metrics")[1].decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def total(found: dict[str, float], name: str) -> float:
    """Return the sum of a metric over all its labels."""
    return sum(value for key, value in found.items() if key.partition("{")[0] == name)
